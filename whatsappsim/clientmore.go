package whatsappsim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// CustomerSends sends a message from a customer with all that it can have and
// returns its id.
func (c *Client) CustomerSends(ctx context.Context, phone string, m CustomerMessage) (string, error) {
	return c.create(ctx, accountPath(phone, "messages"), m)
}

// CustomerFile is a file that a customer sends.
type CustomerFile struct {
	Type     string // "image", "video", "audio", "ptt", "document" or "sticker"
	MIMEType string
	Name     string // of a document
	Seconds  int    // of audio and video
	Data     []byte
}

// CustomerSendsFile sends a file from a customer, with m.Text as its caption,
// and returns the message's id.
func (c *Client) CustomerSendsFile(ctx context.Context, phone string, m CustomerMessage, file CustomerFile) (string, error) {
	q := url.Values{"from": {m.From}, "from_name": {m.FromName}, "type": {file.Type}}
	for name, v := range map[string]string{"text": m.Text, "group": m.Group, "quoted": m.Quoted, "saved_name": m.SavedAs, "name": file.Name} {
		if v != "" {
			q.Set(name, v)
		}
	}
	for name, v := range map[string]bool{"lid": m.LID, "business": m.Business, "picture": m.Picture} {
		if v {
			q.Set(name, "true")
		}
	}
	if file.Seconds > 0 {
		q.Set("seconds", strconv.Itoa(file.Seconds))
	}
	answer, _, err := c.roundTrip(ctx, http.MethodPost, accountPath(phone, "files")+"?"+q.Encode(), file.MIMEType, bytes.NewReader(file.Data))
	if err != nil {
		return "", err
	}
	var out struct{ ID string }
	if err := json.Unmarshal(answer, &out); err != nil {
		return "", fmt.Errorf("send a file: %w", err)
	}
	return out.ID, nil
}

// File returns the content of a message's file, and its type.
func (c *Client) File(ctx context.Context, phone, message string) (data []byte, mimeType string, err error) {
	path := accountPath(phone, "files") + "?" + url.Values{"message": {message}}.Encode()
	return c.roundTrip(ctx, http.MethodGet, path, "", nil)
}

// CustomerEdits gives a customer's message another text or caption.
func (c *Client) CustomerEdits(ctx context.Context, phone, message, text string) error {
	return c.post(ctx, accountPath(phone, "edits"), map[string]string{"message": message, "text": text})
}

// CustomerDeletes takes back a customer's message for everyone.
func (c *Client) CustomerDeletes(ctx context.Context, phone, message string) error {
	return c.post(ctx, accountPath(phone, "deletions"), map[string]string{"message": message})
}

// CustomerReacts shows a customer's reaction to a message; "" takes it back.
func (c *Client) CustomerReacts(ctx context.Context, phone, from, message, emoji string) error {
	return c.post(ctx, accountPath(phone, "reactions"), map[string]string{"message": message, "from": from, "emoji": emoji})
}

// CustomerTypes shows that a customer is typing in a chat, or has stopped.
func (c *Client) CustomerTypes(ctx context.Context, phone, from, chat string, typing bool) error {
	return c.post(ctx, accountPath(phone, "typing"), map[string]any{"chat": chat, "from": from, "typing": typing})
}

// CustomerPlays gives a voice message or video of the account the ack 4.
func (c *Client) CustomerPlays(ctx context.Context, phone, message string) error {
	return c.post(ctx, accountPath(phone, "plays"), map[string]string{"message": message})
}

// CreateGroup makes a group of the account and these customers and returns its
// id. They write in it with CustomerSends.
func (c *Client) CreateGroup(ctx context.Context, phone, name string, members ...GroupMember) (string, error) {
	return c.create(ctx, accountPath(phone, "groups"), map[string]any{"name": name, "members": members})
}

// PhoneWrites sends a message from the account's own phone, not from a device.
func (c *Client) PhoneWrites(ctx context.Context, phone, chat, text string) (string, error) {
	return c.create(ctx, accountPath(phone, "phone/messages"), map[string]string{"chat": chat, "text": text})
}

// PhoneReads marks a chat as read on the account's own phone.
func (c *Client) PhoneReads(ctx context.Context, phone, chat string) error {
	return c.post(ctx, accountPath(phone, "phone/read"), map[string]string{"chat": chat})
}

// Populate gives an account a past, such as 500 chats with 50,000 messages.
func (c *Client) Populate(ctx context.Context, phone string, p Population) (made Populated, err error) {
	err = c.do(ctx, http.MethodPost, accountPath(phone, "populate"), p, &made)
	return made, err
}

// TypeLinkCode types a pairing code on the phone, which links the device that
// shows it.
func (c *Client) TypeLinkCode(ctx context.Context, phone, code string) error {
	return c.post(ctx, accountPath(phone, "link-code"), map[string]string{"code": code})
}

// Passkey answers FaultPasskeyRequired as the account's owner does: with the
// passkey, so that the device is linked, or without.
func (c *Client) Passkey(ctx context.Context, phone string, pass bool) error {
	return c.post(ctx, accountPath(phone, "passkey"), map[string]bool{"pass": pass})
}

func (c *Client) post(ctx context.Context, path string, in any) error {
	return c.do(ctx, http.MethodPost, path, in, nil)
}

func (c *Client) create(ctx context.Context, path string, in any) (id string, err error) {
	var out struct{ ID string }
	err = c.do(ctx, http.MethodPost, path, in, &out)
	return out.ID, err
}
