package whatsappsim

import (
	"fmt"
	"log/slog"
	"time"
)

// Config says how a Server behaves. The zero value is a server that forgets
// everything when it ends.
type Config struct {
	StateFile     string        // JSON file that keeps accounts, devices and messages; "" keeps them in memory only
	Logger        *slog.Logger  // nil discards
	QRLifetime    time.Duration // how long one code can be scanned; 0 is 20 s, as in WhatsApp
	QRRotations   int           // codes shown before the page goes idle; 0 is 6, as in WhatsApp
	DeliveryDelay time.Duration // from "sent" to "delivered"; 0 is 300 ms
	AckDelay      time.Duration // of FaultDelayedAck; 0 is 5 s

	LinkCodeLifetime time.Duration // how long one pairing code can be typed; 0 is 195 s, as in WhatsApp
	PasskeyLifetime  time.Duration // how long a passkey is waited for; 0 is 10 min, as in WhatsApp
}

const (
	defaultQRLifetime    = 20 * time.Second
	defaultQRRotations   = 6
	defaultDeliveryDelay = 300 * time.Millisecond
	defaultAckDelay      = 5 * time.Second

	defaultLinkCodeLifetime = 195 * time.Second
	defaultPasskeyLifetime  = 10 * time.Minute
)

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.QRLifetime == 0 {
		c.QRLifetime = defaultQRLifetime
	}
	if c.QRRotations == 0 {
		c.QRRotations = defaultQRRotations
	}
	if c.DeliveryDelay == 0 {
		c.DeliveryDelay = defaultDeliveryDelay
	}
	if c.AckDelay == 0 {
		c.AckDelay = defaultAckDelay
	}
	if c.LinkCodeLifetime == 0 {
		c.LinkCodeLifetime = defaultLinkCodeLifetime
	}
	if c.PasskeyLifetime == 0 {
		c.PasskeyLifetime = defaultPasskeyLifetime
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.QRLifetime < 0:
		return fmt.Errorf("QRLifetime is negative: %v", c.QRLifetime)
	case c.QRRotations < 0:
		return fmt.Errorf("QRRotations is negative: %d", c.QRRotations)
	case c.DeliveryDelay < 0:
		return fmt.Errorf("DeliveryDelay is negative: %v", c.DeliveryDelay)
	case c.AckDelay < 0:
		return fmt.Errorf("AckDelay is negative: %v", c.AckDelay)
	case c.LinkCodeLifetime < 0:
		return fmt.Errorf("LinkCodeLifetime is negative: %v", c.LinkCodeLifetime)
	case c.PasskeyLifetime < 0:
		return fmt.Errorf("PasskeyLifetime is negative: %v", c.PasskeyLifetime)
	}
	return nil
}

// Limits that keep one server small whatever it is sent.
const (
	maxAccounts           = 10_000           // twice the largest pool of slices it is meant for
	maxChatsPerAccount    = 2_000            // customers and groups of one account
	maxMessagesPerAccount = 100_000          // kept of an account that was populated with many
	maxDevicesPerAccount  = 4                // as in WhatsApp
	maxSessions           = 12_000           // sockets and event streams at once
	maxGroupMembers       = 50               // of one group
	maxFileBytes          = 64 << 20         // of one file; WhatsApp allows documents of 2 GB
	maxFilesBytes         = 2 << 30          // of all files
	maxFileName           = 255              // bytes
	maxTextBytes          = 64 << 10         // of one message, as in WhatsApp
	maxNameRunes          = 100              // of an account's or a customer's name
	maxQRBytes            = 512              // of a code's text; a real one has about 240
	maxControlBody        = 8 * maxTextBytes // JSON may escape a byte as \u00XX
	maxDeviceFrame        = 8 * maxTextBytes
	maxUpdateItems        = 1_000   // messages and chats in one update; more go into the next one
	maxUpdateBytes        = 1 << 20 // of text in one update
)

// defaultMessagesPerAccount is what is kept; older ones are forgotten.
const defaultMessagesPerAccount = 5_000

const (
	heldFor      = 2 * time.Second        // FaultOutOfOrder, when nothing overtakes the message
	helloTimeout = 10 * time.Second       // for a device's first frame
	writeTimeout = 10 * time.Second       // for one frame; a page that hangs is cut off
	aliveEvery   = 20 * time.Second       // so that a page notices a dead connection
	saveDelay    = 500 * time.Millisecond // changes close together are written once
	saveShare    = 20                     // a save that takes long is followed by a pause so many times as long
	composingFor = 10 * time.Second       // "is typing" ends by itself
)
