// Package whatsappsim is a stand-in for WhatsApp, used by the demo mode and by
// tests. It plays three parts:
//
//   - "/" stands in for web.whatsapp.com: a page that defines window.WPP with
//     the part of @wppconnect/wa-js 4.6.0 that the platform uses, under the
//     same names and with the same shapes. What a linked device knows lives in
//     the page's IndexedDB, and it talks to this server over the WebSocket
//     /device, so real browsers, real profiles and real reconnects take part.
//   - "/phone" is the phone and its customers, for people who try the demo.
//   - "/control/" is the same for programs; Client speaks it.
//
// # Devices
//
// A page without a login is given a reference, shows it as a QR code and gets
// another one every QRLifetime; after QRRotations of them it goes idle. When a
// phone scans the code the device gets a credential, 256 random bits of which
// the server stores only the hash, and everything that it is ever sent is what
// belongs to that credential's account.
//
// Everything that changes in an account gets the account's next sequence
// number. A device remembers the highest number that it has stored and asks
// for what came after it, so that the first sync, live updates, and what
// happened while the device was offline are the same thing, and a restored
// older copy of a profile catches up.
//
// # Behaviour copied from the real thing
//
//   - conn.main_ready is emitted once per page load, also in QR mode.
//   - conn.setAutoDownloadSettings reloads the page, each time it is called:
//     compare with conn.getAutoDownloadSettings first.
//   - chat.new_message is emitted for messages of one's own, too.
//   - A message that is sent while offline has ack 0 and is sent on reconnect.
//   - chat.sendTextMessage marks the chat as read and waits for the ack unless
//     it is told otherwise.
//   - chat.markIsRead, getMessages and the like reject with the code
//     chat_not_found where there is no such chat; only chat.find makes one.
//   - After a conflict ("opened elsewhere") a page does nothing until it is
//     loaded again.
//
// Every plausible phone number counts as one that is on WhatsApp. Accounts of
// the stand-in do not write to each other: who is not the account is a
// customer.
//
// # Faults
//
// POST /control/accounts/{phone}/faults {"fault":"…"} makes something go wrong
// that goes wrong in reality. The first three wait for the next message that a
// customer writes to the account; the others happen at once, on every device
// that is connected.
//
//	double_new_message  chat.new_message fires twice, first as ciphertext, then as text
//	silent_message      the message is stored by the device, but no event says so
//	lid_contact         it comes from a contact that has a LID and no phone number
//	conflict            WhatsApp was opened elsewhere: stream mode CONFLICT
//	renderer_hang       the page's only thread stops answering, for ten minutes
//	disconnect          the connection breaks; the page reconnects by itself
package whatsappsim
