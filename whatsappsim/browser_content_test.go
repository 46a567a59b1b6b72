//go:build integration

package whatsappsim

import (
	"bytes"
	"image"
	"image/png"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

func testPicture(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, image.NewGray(image.Rect(0, 0, 30, 20))); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// holds evaluates expressions that must be true.
func (b *browser) holds(expressions ...string) {
	b.t.Helper()
	for _, js := range expressions {
		if !eval[bool](b, js) {
			b.t.Errorf("does not hold: %s", js)
		}
	}
}

// watch records the events of what happens to messages.
func (b *browser) watch() {
	b.t.Helper()
	b.do(`(() => {
		window.seen = {};
		for (const e of ['chat.msg_edited', 'chat.msg_revoke', 'chat.new_reaction', 'chat.presence_change', 'chat.new_message',
			'conn.link_code_change', 'conn.link_code_error', 'conn.link_code_expired', 'conn.needs_update', 'chat.msg_ack_change'])
			WPP.on(e, (v) => (seen[e] ??= []).push(v ?? null));
	})()`)
}

func TestFiles(t *testing.T) {
	t.Parallel()
	s := startServer(t, Config{DeliveryDelay: time.Millisecond})
	b := startBrowser(t, t.TempDir())
	s.link(b)
	b.watch()
	picture := testPicture(t)
	customer := CustomerMessage{From: customerNumber, FromName: "Carl", Text: "look"}
	id, err := s.client.CustomerSendsFile(t.Context(), phoneNumber, customer, CustomerFile{Type: "image", MIMEType: "image/png", Data: picture})
	if err != nil {
		t.Fatal(err)
	}
	voice, err := s.client.CustomerSendsFile(t.Context(), phoneNumber, CustomerMessage{From: customerNumber, FromName: "Carl", Quoted: id},
		CustomerFile{Type: "ptt", MIMEType: "audio/ogg; codecs=opus", Seconds: 7, Data: []byte("OggS")})
	if err != nil {
		t.Fatal(err)
	}
	b.wait(`seen['chat.new_message']?.length === 2`)
	b.do(`(async () => { window.m = await WPP.chat.getMessageById('` + id + `'); window.v = await WPP.chat.getMessageById('` + voice + `'); })()`)
	b.holds(
		`m.type === 'image' && m.mimetype === 'image/png' && m.caption === 'look' && m.width === 30 && m.height === 20 && m.body.startsWith('/9j/')`,
		`(await WPP.chat.downloadMedia(m.id.toString())).size === m.size && m.size === `+jsNumber(len(picture)),
		`(await WPP.chat.downloadMedia('`+id+`')).type === 'image/png'`,
		`v.type === 'ptt' && v.duration === 7 && v.quotedStanzaID === m.id.id && v.quotedMsg.type === 'image' && WPP.chat.getQuotedMsgKey(v).equals(m.id)`,
		`(await WPP.chat.getQuotedMsg('`+voice+`')) === m`,
		`(await WPP.chat.getMessages('`+customerChat+`', {media: 'audio'})).length === 1`,
		`await WPP.chat.sendTextMessage('`+customerChat+`', 'x').then(({id}) => WPP.chat.downloadMedia(id)).then(() => false, (e) => e.code === 'message_not_contains_media')`,
	)
	if err := s.client.Fault(t.Context(), phoneNumber, FaultMediaGone); err != nil {
		t.Fatal(err)
	}
	b.holds(`await WPP.chat.downloadMedia('`+id+`').then(() => false, (e) => e.code === 'media_not_found' && !(e instanceof Error))`,
		`(await WPP.chat.downloadMedia('`+id+`')).size > 0`)

	b.do(`(async () => {
		const key = await WPP.chat.generateMessageID('` + customerChat + `');
		window.sent = await WPP.chat.sendFileMessage('` + customerChat + `', 'data:text/plain;base64,aGVsbG8=',
			{type: 'document', filename: '../a "b".txt', caption: 'notes', markIsRead: false, messageId: key, quotedMsg: '` + id + `'});
		sent.asked = key.toString();
		const canvas = Object.assign(document.createElement('canvas'), {width: 10, height: 5});
		window.sticker = await WPP.chat.sendFileMessage('` + customerChat + `', canvas.toDataURL(), {type: 'sticker'});
		window.image = await WPP.chat.sendFileMessage('` + customerChat + `', await (await fetch(canvas.toDataURL())).blob(), {});
		window.audio = await WPP.chat.sendFileMessage('` + customerChat + `', 'data:audio/ogg;base64,T2dnUw==', {type: 'audio', isPtt: true, waitForAck: false});
	})()`)
	b.holds(`sent.id === sent.asked && sent.sendMsgResult.messageSendResult === 'OK' && sent.ack >= 1`)
	b.wait(`(await WPP.chat.getMessages('` + customerChat + `', {count: 4})).every(({ack}) => ack === 2)`)
	ms, err := s.client.Messages(t.Context(), phoneNumber, customerChat)
	if err != nil || len(ms) != 7 {
		t.Fatalf("on the phone: %+v, %v", ms, err)
	}
	if doc := ms[3]; doc.Type != "document" || doc.Text != "notes" || doc.File.Name != `../a "b".txt` || doc.QuotedID != id || doc.File.Size != 5 {
		t.Errorf("document: %+v %+v", doc, doc.File)
	}
	if data, mimeType, err := s.client.File(t.Context(), phoneNumber, ms[3].ID); err != nil || string(data) != "hello" || mimeType != "text/plain" {
		t.Errorf("file: %q %q %v", data, mimeType, err)
	}
	if ms[4].Type != "sticker" || ms[4].File.MIMEType != "image/webp" || ms[5].Type != "image" || ms[5].File.Width != 10 || ms[6].Type != "ptt" {
		t.Errorf("sticker, image, voice: %+v", ms[4:])
	}
	if err := s.client.CustomerPlays(t.Context(), phoneNumber, ms[6].ID); err != nil {
		t.Fatal(err)
	}
	b.sees("ack:4:" + ms[6].ID)
	b.holds(`await WPP.chat.sendFileMessage('`+customerChat+`', 'data:,', {type: 'document'}).then(() => false, (e) => e.code === 'invalid_file')`,
		`await WPP.chat.sendFileMessage('`+customerChat+`', 'data:,x', {type: 'poem'}).then(() => false, (e) => e.code === 'invalid_type')`)
	if err := chromedp.Do(b.ctx, chromedp.Reload()); err != nil {
		t.Fatal(err)
	}
	b.record()
	b.wait(ready)
	b.holds(`(await WPP.chat.downloadMedia('` + id + `')).size === ` + jsNumber(len(picture)))
}

func TestChangesOfMessages(t *testing.T) {
	t.Parallel()
	s := startServer(t, Config{})
	b := startBrowser(t, t.TempDir())
	s.link(b)
	b.watch()
	ctx := t.Context()
	id := s.write("one")
	b.sees("chat.new_message:chat:one")
	for _, err := range []error{
		s.client.CustomerEdits(ctx, phoneNumber, id, "two"),
		s.client.CustomerReacts(ctx, phoneNumber, customerNumber, id, "👍"),
		s.client.CustomerReacts(ctx, phoneNumber, customerNumber, id, ""),
		s.client.CustomerTypes(ctx, phoneNumber, customerNumber, customerChat, true),
		s.client.CustomerTypes(ctx, phoneNumber, customerNumber, customerChat, false),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	b.wait(`seen['chat.presence_change']?.length === 2 && seen['chat.new_reaction']?.length >= 1`)
	b.wait(`seen['chat.new_reaction'].at(-1).reactionText === ''`)
	b.holds(
		`seen['chat.msg_edited'][0].id === '`+id+`' && seen['chat.msg_edited'][0].msg.body === 'two'`,
		`(await WPP.chat.getMessageById('`+id+`')).latestEditMsgKey.id.startsWith('3A')`,
		`seen['chat.new_reaction'][0].msgId.toString() === '`+id+`' && seen['chat.new_reaction'][0].sender.toString() === '`+customerChat+`'`,
		`seen['chat.presence_change'].map(({state}) => state).join() === 'composing,available' && seen['chat.presence_change'][0].id.toString() === '`+customerChat+`'`,
		`(await WPP.chat.getReactions('`+id+`')).reactions.length === 0`,
		`(await WPP.chat.sendReactionToMessage('`+id+`', '🥖')).sendMsgResult === 'OK'`,
		`(await WPP.chat.getReactions('`+id+`')).reactionByMe.reactionText === '🥖'`,
		`await WPP.chat.editMessage('`+id+`', 'not mine').then(() => false, (e) => e.code === 'edit_message_error')`,
	)
	if err := s.client.CustomerDeletes(ctx, phoneNumber, id); err != nil {
		t.Fatal(err)
	}
	b.wait(`seen['chat.msg_revoke']?.[0].refId.toString() === '` + id + `'`)
	b.holds(`(await WPP.chat.getMessageById('` + id + `')).type === 'revoked'`)

	b.do(`(async () => { window.r = await WPP.chat.sendTextMessage('` + customerChat + `', 'draft'); })()`)
	b.do(`(async () => { window.e = await WPP.chat.editMessage(r.id, 'final'); })()`)
	mine := eval[string](b, `r.id`)
	b.holds(`e.id !== r.id && e.latestEditMsgKey.toString() === e.id && seen['chat.msg_edited'].at(-1).msg.body === 'final'`)
	info := func() MessageInfo {
		ms, err := s.client.Messages(ctx, phoneNumber, customerChat)
		if err != nil || len(ms) != 2 || ms[1].ID != mine {
			t.Fatalf("on the phone: %+v, %v", ms, err)
		}
		return ms[1]
	}
	if m := info(); m.Text != "final" || !m.Edited {
		t.Errorf("edited: %+v", m)
	}
	b.holds(`(await WPP.chat.deleteMessage('`+customerChat+`', r.id, true, true)).isRevoked`,
		`(await WPP.chat.deleteMessage('`+customerChat+`', [r.id], true, true))[0].sendMsgResult === 'ERROR_UNKNOWN'`,
		`(await WPP.chat.deleteMessage('`+customerChat+`', '`+id+`')).isDeleted`)
	if m := info(); m.Type != "revoked" || m.Text != "" {
		t.Errorf("revoked: %+v", m)
	}
	own, err := s.client.PhoneWrites(ctx, phoneNumber, customerChat, "from the phone")
	if err != nil {
		t.Fatal(err)
	}
	b.sees("chat.new_message:chat:from the phone")
	b.holds(`(await WPP.chat.getMessageById('` + own + `')).id.fromMe`)
	s.write("unread")
	b.wait(`WPP.chat.get('` + customerChat + `').unreadCount === 1`)
	if err := s.client.PhoneReads(ctx, phoneNumber, customerChat); err != nil {
		t.Fatal(err)
	}
	b.wait(`WPP.chat.get('` + customerChat + `').unreadCount === 0`)
}

func TestGroupsAndContacts(t *testing.T) {
	t.Parallel()
	s := startServer(t, Config{})
	b := startBrowser(t, t.TempDir())
	s.link(b)
	ctx := t.Context()
	group, err := s.client.CreateGroup(ctx, phoneNumber, "Suppliers", GroupMember{customerNumber, "Carl"}, GroupMember{"33612345678", "Zoé"})
	if err != nil {
		t.Fatal(err)
	}
	b.sees("chat.new_chat")
	id, err := s.client.CustomerSends(ctx, phoneNumber, CustomerMessage{From: customerNumber, FromName: "Carl", Text: "hi all", Group: group})
	if err != nil {
		t.Fatal(err)
	}
	b.sees("chat.new_message:chat:hi all")
	if !strings.HasSuffix(id, "_"+customerChat) {
		t.Errorf("id: %s", id)
	}
	b.do(`(async () => { window.m = await WPP.chat.getMessageById('` + id + `'); })()`)
	b.holds(
		`m.author.toString() === '`+customerChat+`' && m.from.toString() === '`+group+`' && m.isGroupMsg && m.notifyName === 'Carl'`,
		`WPP.chat.get('`+group+`').name === 'Suppliers' && WPP.chat.get('`+group+`').groupMetadata.participants.length === 3`,
		`(await WPP.chat.list({onlyGroups: true})).length === 1`,
		`(await WPP.contact.get('33612345678@c.us')).pushname === 'Zoé'`,
		`(await WPP.chat.sendTextMessage('`+group+`', 'hello', {quotedMsg: '`+id+`'})).id.endsWith('_' + WPP.conn.getMyUserLid())`,
		`(await WPP.chat.generateMessageID('`+group+`')).participant.equals(WPP.conn.getMyUserLid())`,
		`await WPP.chat.sendTextMessage('120363000000000001@g.us', 'x').then(() => false, (e) => e.code === 'chat_not_found')`,
	)
	ms, err := s.client.Messages(ctx, phoneNumber, group)
	if err != nil || len(ms) != 2 || ms[1].QuotedID != id || ms[0].Author != customerChat {
		t.Errorf("in the group: %+v, %v", ms, err)
	}
	_, err = s.client.CustomerSends(ctx, phoneNumber, CustomerMessage{From: "4917099999999", FromName: "Eve", Text: "x", Group: group})
	refused(t, err, 400)

	hidden, err := s.client.CustomerSends(ctx, phoneNumber, CustomerMessage{From: "4917055555555", FromName: "Lid", Text: "hidden",
		LID: true, Picture: true, Business: true, SavedAs: "Lid Ltd"})
	if err != nil {
		t.Fatal(err)
	}
	b.sees("chat.new_message:chat:hidden")
	b.do(`(async () => { window.h = (await WPP.chat.getMessageById('` + hidden + `')).from; window.c = await WPP.contact.get(h); })()`)
	b.holds(
		`h.isLid() && (await WPP.contact.getPnLidEntry(h)).phoneNumber._serialized === '4917055555555@c.us'`,
		`(await WPP.contact.getPnLidEntry('4917055555555@c.us')).lid._serialized === h.toString()`,
		`c.name === 'Lid Ltd' && c.pushname === 'Lid' && c.isBusiness && c.isMyContact && c.formattedPhone === undefined`,
		`(await fetch(await WPP.contact.getProfilePictureUrl(h))).headers.get('Content-Type') === 'image/png'`,
		`(await WPP.contact.queryWidExists('4917055555555@c.us')).lid.equals(h) && (await WPP.contact.queryWidExists(h)).biz`,
		`WPP.profile.isBusiness() === false && WPP.conn.getHistorySyncProgress().inProgress === false`,
	)
}
