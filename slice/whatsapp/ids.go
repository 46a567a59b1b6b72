package whatsapp

import (
	"regexp"
	"strings"
)

// maxIDLength bounds every id that is accepted, in bytes. Message ids of groups
// are the longest, at about 110.
const maxIDLength = 200

var (
	chatID    = regexp.MustCompile(`^[0-9]{1,32}(-[0-9]{1,32})?@(c\.us|lid|g\.us)$`)
	messageID = regexp.MustCompile(`^[A-Za-z0-9_.@:-]+$`)
	deviceID  = regexp.MustCompile(`:[0-9]+@`)
)

// ValidChatID reports whether s is the id of a person's or a group's chat.
// Status broadcasts and newsletters are not chats here.
func ValidChatID(s string) bool { return len(s) <= maxIDLength && chatID.MatchString(s) }

func isGroup(id string) bool { return strings.HasSuffix(id, "@g.us") }

func validMessageID(s string) bool {
	return s != "" && len(s) <= maxIDLength && messageID.MatchString(s)
}

// userID removes the device from an id: "4915112345678:12@c.us" and
// "4915112345678@s.whatsapp.net" become "4915112345678@c.us".
func userID(s string) string {
	s = deviceID.ReplaceAllString(s, "@")
	if user, ok := strings.CutSuffix(s, "@s.whatsapp.net"); ok {
		return user + "@c.us"
	}
	return s
}

// phoneOf returns the phone number of a c.us id in international form, and ""
// for every other id.
func phoneOf(id string) string {
	user, ok := strings.CutSuffix(id, "@c.us")
	if !ok || user == "" || strings.Trim(user, "0123456789") != "" {
		return ""
	}
	return "+" + user
}
