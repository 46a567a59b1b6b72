//go:build integration

package campaigns

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/crm/inbox"
)

// fakeOutbox does what the inbox's outbox does, without sending.
type fakeOutbox struct {
	mu     sync.Mutex // guards the following fields
	refuse error      // of Enqueue
	chat   string     // of everybody, unless ""
}

func (f *fakeOutbox) alias(chatID string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.chat = chatID
}

func (f *fakeOutbox) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = err
}

func (f *fakeOutbox) Enqueue(ctx context.Context, tx *event.Tx, d inbox.Draft) (m inbox.Message, err error) {
	f.mu.Lock()
	refuse := f.refuse
	f.mu.Unlock()
	if refuse != nil {
		return m, refuse
	}
	priority := map[string]int{inbox.SourceScheduled: 1, inbox.SourceBroadcast: 2}[d.Source]
	err = tx.QueryRow(ctx, `
		INSERT INTO messages (chat_id, direction, sender_id, sender_name, type, text, ack, client_id, sent_at, file_id, source, outbox, priority)
		SELECT id, 'out', 'me', '', $2, $3, 0, $4, $5, $6, $7, 'waiting', $8 FROM chats WHERE id = $1 RETURNING id::text`,
		d.ChatID, d.Type, d.Text, d.ClientID, time.Now(), d.FileID, d.Source, priority).Scan(&m.ID)
	if errors.Is(err, pgx.ErrNoRows) {
		return m, platform.Errorf(platform.ErrNotFound, "There is no such chat.")
	}
	return m, err
}

func (f *fakeOutbox) OpenChat(ctx context.Context, tx *event.Tx, contactID int64) (chatID string, err error) {
	f.mu.Lock()
	chatID = f.chat
	f.mu.Unlock()
	if chatID != "" {
		return chatID, nil
	}
	err = tx.QueryRow(ctx, `SELECT id FROM chats WHERE contact_id = $1 LIMIT 1`, contactID).Scan(&chatID)
	if !errors.Is(err, pgx.ErrNoRows) {
		return chatID, err
	}
	err = tx.QueryRow(ctx, `
		INSERT INTO chats (id, name, phone, is_group, contact_id) SELECT substr(phone, 2) || '@c.us', name, phone, false, id FROM contacts WHERE id = $1 RETURNING id`, contactID).Scan(&chatID)
	return chatID, err
}

// deliver plays WhatsApp: what is in the outbox gets an ack, those whose chat is
// named an ack of their own.
func (b *testBundle) deliver(ack int, of map[string]int) {
	b.Helper()
	rows, err := b.pool.Query(b.Context(), `SELECT id, chat_id FROM messages WHERE outbox IS NOT NULL`)
	if err != nil {
		b.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct {
		ID   int64
		Chat string
	}])
	if err != nil {
		b.Fatal(err)
	}
	for _, m := range all {
		a := ack
		if own, ok := of[m.Chat]; ok {
			a = own
		}
		b.exec(`UPDATE messages SET outbox = NULL, ack = $2::int, failure = CASE WHEN $2::int < 0 THEN 'No such number.' ELSE '' END, wa_id = $3 WHERE id = $1`, m.ID, a, fmt.Sprint("wa", m.ID))
	}
	b.service.broadcastAlarm.Wake()
}

// sent are the texts of all messages, in the order of the outbox.
func (b *testBundle) sent() []string {
	b.Helper()
	rows, err := b.pool.Query(b.Context(), `SELECT chat_id || ' ' || text FROM messages ORDER BY id`)
	if err != nil {
		b.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		b.Fatal(err)
	}
	return all
}
