// Package inboxtest fills a slice's database with a large account, for
// benchmarks and for tests of what must be fast.
package inboxtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Size is how large an account is.
type Size struct {
	Contacts int // each with a chat
	Messages int
}

// Large is a business that has written for years.
var Large = Size{Contacts: 10_000, Messages: 200_000}

// Words of a shop's conversations; the first are as common as "the" is.
var words = strings.Fields(`the you your is for and we please thanks hello order can would today tomorrow when
	delivery price invoice address phone open closed size colour blue black red green table chair lamp shelf bread cake birthday
	appointment morning afternoon evening monday tuesday wednesday thursday friday weekend broken repair refund exchange discount
	hallo bitte danke bestellung lieferung rechnung termin heute morgen straße größe schön können möchte gracias pedido mañana
	precio factura envío dirección bonjour merci commande livraison demain facture adresse possible obrigado encomenda entrega`)

var firstNames = strings.Fields(`Ana Ben Carl Dora Emil Fatima Gül Hans Ines João Karl Lena Mehmet Nora Otto Paula Quentin Rosa Sven Tuğba Uwe Vera Wim Xenia Yusuf Zoë`)
var lastNames = strings.Fields(`Müller Schmidt García Silva Yılmaz Dubois Rossi Novak Jansen Kowalski Ivanova Petersen Okafor Nguyen Kim Haddad O'Brien Fernández Weiß Larsen`)

// Fill writes the same account each time. Messages end now, and are spread over
// two years; some people write much more than others.
func Fill(ctx context.Context, conn *pgx.Conn, size Size) error {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time, on purpose
	phone := func(i int) string { return fmt.Sprintf("49170%07d", i+1) }
	name := func() string { return firstNames[r.IntN(len(firstNames))] + " " + lastNames[r.IntN(len(lastNames))] }
	names := make([]string, size.Contacts)
	for i := range names {
		names[i] = name()
	}
	now := time.Now().UTC().Truncate(time.Second)
	steps := []struct {
		table   string
		columns []string
		rows    int
		row     func(i int) []any
	}{
		{"contacts", []string{"phone", "wa_name", "company"}, size.Contacts, func(i int) []any {
			company := ""
			if i%7 == 0 {
				company = lastNames[i%len(lastNames)] + " GmbH"
			}
			return []any{"+" + phone(i), names[i], company}
		}},
		{"chats", []string{"id", "name", "phone", "unread"}, size.Contacts, func(i int) []any {
			unread := 0
			if i%20 == 0 {
				unread = 1 + i%3
			}
			return []any{phone(i) + "@c.us", names[i], "+" + phone(i), unread}
		}},
		{"messages", []string{"wa_id", "chat_id", "direction", "sender_id", "sender_name", "type", "text", "ack", "sent_at"}, size.Messages, func(i int) []any {
			// The square of an even chance: a tenth of the people write a third.
			x := r.Float64()
			who := int(x * x * float64(size.Contacts))
			chat, direction, sender, senderName := phone(who)+"@c.us", "in", phone(who)+"@c.us", names[who]
			if r.IntN(2) == 0 {
				direction, sender, senderName = "out", "4915112345678@c.us", "Ana's Bakery"
			}
			text := make([]string, 3+r.IntN(20))
			for w := range text {
				y := r.Float64()
				text[w] = words[int(y*y*y*float64(len(words)))]
			}
			if r.IntN(100) == 0 {
				text = append(text, fmt.Sprintf("A%06d", i)) // an order's number
			}
			at := now.Add(-time.Duration(float64(2*365*24*time.Hour) * (1 - float64(i)/float64(size.Messages))))
			return []any{fmt.Sprintf("%t_%s_%X", direction == "out", chat, i), chat, direction, sender, senderName, "text", strings.Join(text, " "), 3, at.Truncate(time.Second)}
		}},
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// A slice's own connections end what takes longer than it ever should.
		if _, err := tx.Exec(ctx, `SET LOCAL statement_timeout = 0`); err != nil {
			return fmt.Errorf("fill: %w", err)
		}
		for _, s := range steps {
			next := 0
			rows := pgx.CopyFromFunc(func() ([]any, error) {
				if next == s.rows {
					return nil, nil
				}
				next++
				return s.row(next - 1), nil
			})
			if _, err := tx.CopyFrom(ctx, pgx.Identifier{s.table}, s.columns, rows); err != nil {
				return fmt.Errorf("fill %s: %w", s.table, err)
			}
		}
		for _, sql := range []string{
			`INSERT INTO contact_ids (wa_id, contact_id) SELECT substr(phone, 2) || '@c.us', id FROM contacts ON CONFLICT DO NOTHING`,
			`UPDATE chats SET contact_id = i.contact_id FROM contact_ids i WHERE i.wa_id = chats.id`,
			`UPDATE chats SET last_message_at = m.last, last_in_at = m.last_in, last_out_at = m.last_out FROM (
				SELECT chat_id, max(sent_at) AS last, max(sent_at) FILTER (WHERE direction = 'in') AS last_in, max(sent_at) FILTER (WHERE direction = 'out') AS last_out
				FROM messages GROUP BY chat_id) m WHERE m.chat_id = chats.id`,
			`UPDATE chats SET status = CASE hashtext(id) % 4 WHEN 0 THEN 'open' WHEN 1 THEN 'pending' ELSE 'closed' END`,
		} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return fmt.Errorf("fill: %w", err)
			}
		}
		return nil
	})
}
