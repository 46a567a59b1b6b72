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
//
//   - conn.setAutoDownloadSettings reloads the page, each time it is called:
//     compare with conn.getAutoDownloadSettings first.
//
//   - chat.new_message is emitted for messages of one's own, too.
//
//   - A message that is sent while offline has ack 0 and is sent on reconnect.
//
//   - chat.sendTextMessage marks the chat as read and waits for the ack unless
//     it is told otherwise.
//
//   - chat.markIsRead, getMessages and the like reject with the code
//     chat_not_found where there is no such chat; only chat.find makes one.
//
//   - After a conflict ("opened elsewhere") a page does nothing until it is
//     loaded again.
//
//   - chat.msg_edited carries the id as text, and its chat is the message's "to".
//     chat.editMessage answers with the id of the change, not of the message.
//
//   - chat.msg_revoke is not emitted for what this device deletes itself.
//
//   - chat.new_reaction is not emitted for reactions from before the page was
//     loaded: chat.getReactions has them.
//
//   - A picture's body is its preview; a document without a caption has its name
//     for one, and isCaptionByUser is false.
//
//   - chat.downloadMedia rejects with a plain object where the file is gone.
//
//   - Keys in groups end with their author; the account's own is its LID.
//
//   - A pairing code is asked for anew when it expires, five times.
//
// Every plausible phone number counts as one that is on WhatsApp. Accounts of
// the stand-in do not write to each other: who is not the account is a
// customer.
//
// # Files
//
// The content of messages' files is on the server, beside the state file; what
// a page stores of them is a description. Pages send and fetch files with their
// credential, /device/files.
//
// # Passkeys
//
// wa-js has no function for them: the page itself asks the browser. So does
// this one, once the phone has scanned its code, with navigator.credentials.get
// and the options of the real page (rpId whatsapp.com, a challenge, user
// verification). Whoever answers for it answers over the challenge; the
// signature cannot be checked here. The page shows neither a code nor a login
// until it has an answer, or until the phone gives one: Client.Passkey.
//
// # Faults
//
// POST /control/accounts/{phone}/faults {"fault":"…","count":1} makes something
// go wrong that goes wrong in reality. The next ones wait for something, and
// are played as often as count says. For a message that a customer writes:
//
//	double_new_message  chat.new_message fires twice, first as ciphertext, then as text
//	silent_message      the message is stored by the device, but no event says so
//	lid_contact         it comes from a contact that has a LID and no phone number
//	out_of_order        the next message overtakes it
//
// For a message that a device sends:
//
//	send_failure        it is refused and ends with the ack -1
//	delayed_ack         it is on its way at once, but its ack takes AckDelay
//	duplicate_ack       every further ack of it comes twice
//
// For something else:
//
//	media_gone          the next download finds no file
//	passkey_required    the next device to be linked needs a passkey
//
// These happen at once, on every device that is connected:
//
//	conflict            WhatsApp was opened elsewhere: stream mode CONFLICT
//	renderer_hang       the page's only thread stops answering, for ten minutes
//	renderer_crash      the page ends its renderer
//	needs_update        WhatsApp wants a newer page
//	disconnect          the connection breaks; the page reconnects by itself
//
// A page says who it is only once it runs. So POST /control/faults is for the
// next pages that are loaded, whoever they belong to:
//
//	never_ready         WPP is there, but never ready
package whatsappsim
