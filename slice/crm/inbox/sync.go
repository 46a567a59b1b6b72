package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"hash/fnv"
	"runtime/debug"

	"ipnoelp.io/platform/slice/whatsapp"
)

// scope says how much is compared with WhatsApp.
type scope int

const (
	nothing     scope = iota
	recentChats       // on a timer: what changed lately
	allChats          // when the session became ready, and when events were lost
)

const (
	recentChatCount = 20
	allChatCount    = 500
	pageSize        = 50 // messages in one look at a chat
	maxPages        = 10 // looks at one chat, back to what is known
)

// syncPlan is what is still to be compared.
type syncPlan struct {
	scope scope             // listed next; nothing when the list is being worked on
	chats []whatsapp.Chat   // still to be compared
	whole bool              // they are all chats
	seen  map[string]uint64 // by chat, a hash of what WhatsApp said last; spares the database
}

func (p *syncPlan) plan(s scope) { p.scope = max(p.scope, s) }

// syncNext does one step of comparing what is stored with WhatsApp. It reports
// whether there was something to do.
func (s *Service) syncNext(ctx context.Context) bool {
	if s.wa.Status().State != whatsapp.StateReady {
		s.compare.chats = nil
		return false
	}
	if len(s.compare.chats) > 0 {
		chat := s.compare.chats[0]
		s.compare.chats = s.compare.chats[1:]
		if err := s.syncChat(ctx, chat); err != nil {
			s.syncFailed(err)
		}
		if len(s.compare.chats) == 0 && s.compare.whole {
			s.compare.whole = false
			debug.FreeOSMemory() // a large account took several times of what is needed from now on
		}
		return true
	}
	if s.compare.scope == nothing {
		return false
	}
	count := recentChatCount
	if s.compare.scope == allChats || s.compare.seen == nil {
		count = allChatCount
		s.compare.whole, s.compare.seen = true, make(map[string]uint64)
	}
	s.compare.scope = nothing
	chats, err := s.wa.Chats(ctx, count)
	if err != nil {
		s.syncFailed(err)
		return false
	}
	s.compare.chats = chats
	return true
}

// syncFailed gives up until the timer comes round; then all is compared.
func (s *Service) syncFailed(err error) {
	s.compare.chats, s.compare.seen = nil, nil
	if !errors.Is(err, whatsapp.ErrNotReady) && !errors.Is(err, context.Canceled) {
		s.log.Error("comparison with whatsapp failed; it is tried again", "error", err)
	}
}

// syncChat stores what WhatsApp has of one chat and the slice has not. It goes
// back until it meets a message that is known; in a chat that is new it stops
// after the first page.
func (s *Service) syncChat(ctx context.Context, chat whatsapp.Chat) error {
	before := ""
	var hash uint64
	for page := range maxPages {
		messages, err := s.wa.Messages(ctx, chat.ID, pageSize, before)
		if err != nil {
			return err
		}
		if page == 0 {
			hash = fingerprint(chat, messages)
			if s.compare.seen[chat.ID] == hash {
				return nil
			}
		}
		known, err := s.store.known(ctx, chat.ID, messages)
		if err != nil {
			return err
		}
		if err := s.saveMessages(ctx, chat, messages, history); err != nil {
			return err
		}
		if known.chatIsNew || known.messages > 0 || len(messages) < pageSize {
			break
		}
		before = messages[0].ID
	}
	s.compare.seen[chat.ID] = hash
	return nil
}

func fingerprint(chat whatsapp.Chat, messages []whatsapp.Message) uint64 {
	h := fnv.New64a()
	json.NewEncoder(h).Encode([]any{chat, messages}) // plain structs to a hash: cannot fail
	return h.Sum64()
}
