package socketio

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Engine.IO packet types; a packet is its type followed by its data.
const (
	engineOpen    = "0"
	engineClose   = "1"
	enginePing    = "2"
	enginePong    = "3"
	engineMessage = "4"
	engineUpgrade = "5"
	engineNoop    = "6"

	probe = "probe" // the data of the ping and pong that test a new transport
)

// separator stands between the packets of one poll.
const separator = "\x1e"

// Socket.IO packet types, inside Engine.IO messages.
const (
	socketConnect      = '0'
	socketDisconnect   = '1'
	socketEvent        = '2'
	socketConnectError = '4'
)

// openData is what a client is told when its session begins. Times are in ms.
type openData struct {
	SID          string   `json:"sid"`
	Upgrades     []string `json:"upgrades"`
	PingInterval int64    `json:"pingInterval"`
	PingTimeout  int64    `json:"pingTimeout"`
	MaxPayload   int64    `json:"maxPayload"`
}

// eventPacket encodes an event for the namespace "/".
func eventPacket(event string, payload any) (string, error) {
	b, err := json.Marshal([]any{event, payload})
	if err != nil {
		return "", fmt.Errorf("encode event %s: %w", event, err)
	}
	return engineMessage + string(socketEvent) + string(b), nil
}

// namespace returns the namespace of a Socket.IO packet without its type: "/"
// unless one is named, as in "/admin,{}".
func namespace(data string) string {
	if !strings.HasPrefix(data, "/") {
		return "/"
	}
	name, _, _ := strings.Cut(data, ",")
	name, _, _ = strings.Cut(name, "?")
	return name
}

// connectError refuses a namespace. The name came from the client and goes back
// as it came, apart from what would end it.
func connectError(namespace, message string) string {
	b, _ := json.Marshal(map[string]string{"message": message}) // a map of strings cannot fail
	return engineMessage + string(socketConnectError) + namespace + "," + string(b)
}
