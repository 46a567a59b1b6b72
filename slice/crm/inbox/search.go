package inbox

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/sync/errgroup"

	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/request"
)

const (
	maxQueryChars = 200
	maxQueryWords = 8
	maxFoundChats = 20
	minDigits     = 3 // of a phone number, to be looked for as one

	// How many messages are looked through, latest first, before the index of words
	// is asked: a word in every tenth message is found there at once, while the
	// index would give them all to be sorted. The first look says how common it is.
	firstWindow  = 1000
	secondWindow = 6000 // at most

	recentChatWindow = 500
)

// Found is what a search gives: chats by name and number, and messages by their
// words, latest first.
type Found struct {
	Chats      []Chat    `json:"chats"` // on the first page only
	Messages   []Message `json:"messages"`
	NextCursor *string   `json:"next_cursor"` // of the messages
}

// Search looks for a text in names and numbers of chats and their contacts, and
// for its words, the last of which may be begun only, in messages.
func (s *Store) Search(ctx context.Context, q string, limit int, after *request.Cursor) (Found, error) {
	found := Found{Chats: []Chat{}, Messages: []Message{}}
	var messages []Message
	both, ctx := errgroup.WithContext(ctx) // a person waits for the slower one only
	if after == nil {
		both.Go(func() (err error) {
			if found.Chats, err = s.searchChats(ctx, q); err != nil {
				return fmt.Errorf("search chats: %w", err)
			}
			return nil
		})
	}
	if words := wordsOf(q); words != "" {
		both.Go(func() (err error) {
			if messages, err = s.searchMessages(ctx, words, limit+1, after); err != nil {
				return fmt.Errorf("search messages: %w", err)
			}
			return nil
		})
	}
	if err := both.Wait(); err != nil {
		return Found{}, err
	}
	if len(messages) > limit {
		messages = messages[:limit]
		found.NextCursor = cursorOf(messages[limit-1])
	}
	if messages != nil {
		found.Messages = messages
	}
	return found, nil
}

// What is searched of a chat and of the contact behind it; the expressions of the
// indexes.
const (
	chatText    = `c.name || ' ' || coalesce(c.phone, '')`
	contactText = `k.name || ' ' || k.wa_name || ' ' || k.company || ' ' || k.email || ' ' || coalesce(k.phone, '')`

	chatMatches    = `(` + chatText + ` ILIKE $1 OR $2 <> '' AND ` + chatText + ` LIKE $2)`
	contactMatches = `(` + contactText + ` ILIKE $1 OR $2 <> '' AND ` + contactText + ` LIKE $2)`

	latestChats = ` ORDER BY ` + activity + ` DESC, c.id DESC LIMIT `
	foundChats  = `SELECT ` + chatColumns + `, ` + messageColumns + ` FROM best c` + chatTables + ` ORDER BY ` + activity + ` DESC, c.id DESC`
)

// searchChats returns the chats with the latest activity.
func (s *Store) searchChats(ctx context.Context, q string) ([]Chat, error) {
	like := "%" + escapeLike(strings.TrimSpace(q)) + "%"
	digits := digitsOf(q)
	if digits != "" {
		digits = "%" + digits + "%"
	}
	// What many have in common is found among the latest.
	found, err := database.Collect(ctx, s.pool, scanChat, `
		WITH latest AS MATERIALIZED (SELECT * FROM chats c`+latestChats+`$4),
		best AS (SELECT c.* FROM latest c LEFT JOIN contacts k ON k.id = c.contact_id WHERE `+chatMatches+` OR `+contactMatches+latestChats+`$3)
		`+foundChats, like, digits, maxFoundChats, recentChatWindow)
	if err != nil || len(found) == maxFoundChats {
		return found, err
	}
	// Both indexes are asked, so that neither table is joined first.
	return database.Collect(ctx, s.pool, scanChat, `
		WITH hits AS MATERIALIZED (
			SELECT c.id FROM chats c WHERE `+chatMatches+`
			UNION
			SELECT c.id FROM contacts k JOIN chats c ON c.contact_id = k.id WHERE `+contactMatches+`
		), best AS (SELECT c.* FROM chats c JOIN hits USING (id)`+latestChats+`$3)
		`+foundChats, like, digits, maxFoundChats)
}

func (s *Store) searchMessages(ctx context.Context, words string, limit int, after *request.Cursor) ([]Message, error) {
	args := []any{words, limit}
	before := ""
	if after != nil {
		id, err := strconv.ParseInt(after.ID, 10, 64)
		if err != nil {
			return nil, errBadCursor
		}
		before = ` AND (sent_at, id) < ($3, $4)`
		args = append(args, after.Time(), id)
	}
	const latest = ` ORDER BY sent_at DESC, id DESC LIMIT `
	for window := firstWindow; window <= secondWindow; {
		recent := `SELECT * FROM (SELECT * FROM messages WHERE true` + before + latest + strconv.Itoa(window) + `) r WHERE search @@ to_tsquery('simple', $1)` + latest + `$2`
		found, err := database.Collect(ctx, s.pool, scanMessage, `SELECT `+messageColumns+` FROM (`+recent+`) m`+orderLatest, args...)
		if err != nil || len(found) >= limit {
			return found, err
		}
		if window > firstWindow || len(found) == 0 {
			break
		}
		window = max(window+1, window*limit*3/(2*len(found))) // half as many again as it should take
		window = (window + 499) / 500 * 500                   // few different statements
	}
	// Rare among the recent ones: the index gives few, or they are old.
	hits := `WITH hits AS MATERIALIZED (SELECT id, sent_at FROM messages WHERE search @@ to_tsquery('simple', $1)),
		best AS (SELECT id FROM hits WHERE true` + before + latest + `$2)
		SELECT ` + messageColumns + ` FROM messages m JOIN best USING (id)` + orderLatest
	return database.Collect(ctx, s.pool, scanMessage, hits, args...)
}

const orderLatest = ` ORDER BY m.sent_at DESC, m.id DESC`

// wordsOf turns what a person typed into a query for all of its words, each of
// which may go on. Only letters and digits get into it.
func wordsOf(q string) string {
	words := strings.FieldsFunc(q, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
	if len(words) > maxQueryWords {
		words = words[:maxQueryWords]
	}
	for i, w := range words {
		words[i] = "'" + w + "':*"
	}
	return strings.Join(words, " & ")
}

// digitsOf returns the digits of a text that can be a part of a phone number, in
// the form in which numbers are stored: without 00, and without the zero that is
// dialled inside a country. It is "" for any other text.
func digitsOf(q string) string {
	var digits strings.Builder
	for _, r := range q {
		switch {
		case r >= '0' && r <= '9':
			digits.WriteRune(r)
		case !strings.ContainsRune(" +-/().\u00a0", r):
			return ""
		}
	}
	d := strings.TrimLeft(digits.String(), "0")
	if len(d) < minDigits {
		return ""
	}
	return d
}

func escapeLike(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}
