package inbox

import "testing"

func TestAckName(t *testing.T) {
	t.Parallel()
	for ack, want := range map[int]string{-1: "failed", 0: "pending", 1: "sent", 2: "delivered", 3: "read", 4: "played", -7: "failed", 9: "played"} {
		if got := ackName(ack); got != want {
			t.Errorf("ackName(%d) = %s, want %s", ack, got, want)
		}
	}
}
