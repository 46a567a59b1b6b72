package whatsappsim

import (
	"context"
	"time"
)

// delivery plays the way from WhatsApp to the customer's phone: what was sent
// is delivered a moment later. The delay is the same for all, so the queue is
// in order.
type delivery struct {
	world *world
	delay time.Duration
	queue chan sentMessage
}

type sentMessage struct {
	phone, id string
	due       time.Time
}

// deliveryQueue bounds what is on the way; above it, a message stays "sent"
// until the customer reads it.
const deliveryQueue = 10_000

func newDelivery(w *world, delay time.Duration) *delivery {
	return &delivery{world: w, delay: delay, queue: make(chan sentMessage, deliveryQueue)}
}

// add does not block: it is called while World.mu is held.
func (d *delivery) add(phone, id string) {
	select {
	case d.queue <- sentMessage{phone, id, time.Now().Add(d.delay)}:
	default:
	}
}

// addStored queues what was on the way when the server ended.
func (d *delivery) addStored() {
	d.world.mu.Lock()
	defer d.world.mu.Unlock()
	for _, a := range d.world.accounts {
		for _, m := range a.Messages {
			if m.FromMe && m.Ack == ackPending { // its ack was delayed
				a.ack(m, ackSent, d.world.now())
			}
			if m.FromMe && m.Ack == ackSent {
				d.add(a.Phone, m.ID)
			}
		}
	}
}

func (d *delivery) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var m sentMessage
		select {
		case <-ctx.Done():
			return
		case m = <-d.queue:
		}
		timer.Reset(time.Until(m.due))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		d.world.delivered(m.phone, m.id)
	}
}

func (w *world) delivered(phone, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a, ok := w.accounts[phone]
	if !ok {
		return
	}
	if m, ok := a.byID[id]; ok && a.ack(m, ackDelivered, w.now()) {
		w.acked(a, m)
	}
}

// acked makes a raised ack known. World.mu must be held.
func (w *world) acked(a *account, m *message) {
	if m.Fault == FaultDuplicateAck {
		a.tell(serverFrame{Type: "ack", Message: &message{ID: m.ID, Ack: m.Ack}})
	}
	a.wake()
	w.save(a)
}
