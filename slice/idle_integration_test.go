//go:build integration

package slice_test

import (
	"errors"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/whatsapp"
	"ipnoelp.io/platform/whatsappsim"
)

// connections lists what the slice last asked its database, over each
// connection that it holds.
func (b *bundle) connections() []string {
	b.t.Helper()
	rows, err := b.db.Query(b.t.Context(), `
		SELECT query FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`)
	if err != nil {
		b.t.Fatal(err)
	}
	queries, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		b.t.Fatal(err)
	}
	return queries
}

// A linked slice where nothing happens lets go of the database, and comes back
// when something does. What asks in between would hold a connection for a while.
func TestIdleSliceAsksTheDatabaseNothing(t *testing.T) {
	t.Parallel()
	b := setup(t) // compares with WhatsApp each second
	b.start()
	b.link()
	b.customerWrites("hello")
	b.waitMessages(1)
	<-time.After(database.MaxConnIdle + database.ConnCheckInterval)
	b.eventually("connections", func() string {
		if held := b.connections(); len(held) > 0 {
			return fmt.Sprint(held)
		}
		return ""
	})
	<-time.After(5 * time.Second)
	if held := b.connections(); len(held) > 0 {
		t.Errorf("while nothing happened it asked: %v", held)
	}
	b.customerWrites("still there?")
	b.waitMessages(2)
}

// A stop takes no more requests, ends what is being sent in good order, then the
// browser; a message that it interrupts is sent once, after the next start.
func TestStopInTheMiddleOfSending(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	b.link()
	b.customerWrites("hello")
	b.waitMessages(1)
	const sent = 8
	for i := range sent {
		if code := b.do("POST", "/api/chats/"+chatID+"/messages", map[string]string{"text": fmt.Sprintf("answer %d", i), "client_id": fmt.Sprintf("stop-test-%d", i)}, nil); code != http.StatusCreated {
			t.Fatalf("send: %d", code)
		}
	}
	base := b.base
	begun := time.Now()
	b.stop()
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the stop took %v; the job allows 15 s", took)
	}
	if _, err := http.Get(base + "/healthz"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after the stop: %v", err)
	}
	b.start()
	b.waitState(whatsapp.StateReady)
	b.eventually("everything sent", func() string {
		counts := map[string]int{}
		for _, m := range b.onPhone() {
			counts[m.Text]++
		}
		for i := range sent {
			if n := counts[fmt.Sprintf("answer %d", i)]; n != 1 {
				return fmt.Sprintf("answer %d is there %d times: %v", i, n, counts)
			}
		}
		return ""
	})
}

// onPhone lists what the phone has in the customer's chat.
func (b *bundle) onPhone() []whatsappsim.MessageInfo {
	b.t.Helper()
	list, err := b.sim.Messages(b.t.Context(), phone, chatID)
	if err != nil {
		b.t.Fatal(err)
	}
	return list
}
