//go:build integration

package slice_test

import (
	"os"
	"strings"
	"testing"

	"ipnoelp.io/platform/slice"
	"ipnoelp.io/platform/slice/whatsapp"
)

// A slice that comes to another machine has its database and nothing else.
func TestLoginSurvivesTheLossOfTheDisk(t *testing.T) {
	b := setup(t)
	b.cfg.SnapshotKey = slice.Secret(strings.Repeat("k", 44))
	b.start()
	b.link()
	b.stop()
	if n := b.count(`SELECT count(*) FROM logins WHERE complete`); n != 1 {
		t.Fatalf("%d copies of the login", n)
	}
	if err := os.RemoveAll(b.cfg.ProfileDir); err != nil {
		t.Fatal(err)
	}
	b.customerWrites("while nobody was there")
	b.start()
	b.waitState(whatsapp.StateReady)
	b.eventually("the message of meanwhile", func() string {
		if len(b.messages(chatID)) == 0 {
			return "is not here"
		}
		return ""
	})

	// A login that was ended on the phone does not come back.
	if err := b.sim.Logout(t.Context(), phone); err != nil {
		t.Fatal(err)
	}
	b.waitState(whatsapp.StateQR)
	b.eventually("copies", func() string {
		if b.count(`SELECT count(*) FROM logins`) > 0 {
			return "are still there"
		}
		return ""
	})
	b.stop()
	if err := os.RemoveAll(b.cfg.ProfileDir); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.waitState(whatsapp.StateQR)
}

func TestCopiesUnderAnotherKeyAreOfNoUse(t *testing.T) {
	b := setup(t)
	b.cfg.SnapshotKey = slice.Secret(strings.Repeat("k", 44))
	b.start()
	b.link()
	b.stop()
	if err := os.RemoveAll(b.cfg.ProfileDir); err != nil {
		t.Fatal(err)
	}
	b.cfg.SnapshotKey = slice.Secret(strings.Repeat("o", 44))
	b.start()
	b.waitState(whatsapp.StateQR)
}
