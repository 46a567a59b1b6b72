package whatsappsim

import (
	"path/filepath"
	"reflect"
	"testing"
)

func TestPopulate(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.json")
	s, other := setup(t, Config{StateFile: file}), setup(t, Config{})
	ctx := t.Context()
	p := Population{Chats: 60, Messages: 3000, Seed: 7}
	d := s.link(t)
	s.write(t, "from before")
	made, err := s.client.Populate(ctx, testPhone, p)
	if err != nil || made.Chats != 60 || made.Messages != 3000 || made.Groups != 3 || made.LIDChats == 0 || made.Files == 0 {
		t.Fatalf("%+v, %v", made, err)
	}
	again, err := other.client.Populate(ctx, testPhone, p)
	if err != nil || again != made {
		t.Errorf("the same seed made %+v, %v", again, err)
	}
	content := func(s *testServer) (ms []MessageInfo) {
		all, err := s.client.Messages(ctx, testPhone, "")
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range all {
			if i > 0 && m.Timestamp < all[i-1].Timestamp {
				t.Fatalf("message %d is out of order", i)
			}
			m.Timestamp = 0
			if m.Text != "from before" {
				ms = append(ms, m)
			}
		}
		return ms
	}
	if a, b := content(s), content(other); len(a) != 3000 || len(b) != 3000 || !sameIDs(a, b) {
		t.Errorf("%d and %d messages, not the same", len(a), len(b))
	}
	seen, history := 0, 0
	for seen < 3001 {
		for _, m := range d.next("update").Update.Messages {
			seen++
			if m.History {
				history++
			}
		}
	}
	if seen != 3001 || history != 3000 {
		t.Errorf("the device got %d messages, %d of them history", seen, history)
	}
	_, err = s.client.Populate(ctx, testPhone, p)
	refused(t, err, 409)
	for _, p := range []Population{{}, {Chats: 10, Messages: 9}, {Chats: maxChatsPerAccount + 1, Messages: 5000}, {Chats: 1, Messages: maxMessagesPerAccount + 1}} {
		_, err = s.client.Populate(ctx, testPhone, p)
		refused(t, err, 400)
	}
	_, err = s.client.Populate(ctx, "491110000000", p)
	refused(t, err, 404)

	// Nothing is forgotten when more comes, nor by a restart.
	id := s.write(t, "new")
	before := content(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = setup(t, Config{StateFile: file})
	if after := content(s); !reflect.DeepEqual(before, after) || after[len(after)-1].ID != id {
		t.Error("a restart changed something")
	}
	for _, m := range before {
		if m.File != nil {
			if data, _, err := s.client.File(ctx, testPhone, m.ID); err != nil || int64(len(data)) != m.File.Size {
				t.Errorf("file of %s: %d bytes, %v", m.ID, len(data), err)
			}
			break
		}
	}
}

func sameIDs(a, b []MessageInfo) bool {
	for i := range a {
		if a[i].ID != b[i].ID || a[i].Text != b[i].Text {
			return false
		}
	}
	return true
}
