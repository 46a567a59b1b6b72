package campaigns

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"ipnoelp.io/platform/slice/crm/campaigns/template"
	"ipnoelp.io/platform/slice/database"
)

// person is what variables say of somebody.
type person struct {
	name, company, phone string
	custom               map[string]any
}

// values returns the values of variables. I is the name of the account.
func (p person) values(i string) template.Values {
	return func(variable string) string {
		switch variable {
		case "name":
			return p.name
		case "first_name":
			if words := strings.Fields(p.name); len(words) > 0 {
				return words[0]
			}
			return ""
		case "company":
			return p.company
		case "phone":
			return p.phone
		case "my_name":
			return i
		}
		key, _ := strings.CutPrefix(variable, "custom.")
		switch v := p.custom[key].(type) {
		case nil:
			return ""
		case string:
			return v
		default:
			text, err := json.Marshal(v)
			if err != nil {
				return ""
			}
			return string(text)
		}
	}
}

// myName is the name of the account, "" while no phone is linked.
func (s *Service) myName() string {
	if account := s.wa.Status().Account; account != nil {
		return account.Name
	}
	return ""
}

const personColumns = `coalesce(nullif(c.name, ''), c.wa_name), c.company, coalesce(c.phone, ''), c.custom`

// personOfChat returns whom a chat is with; a group has a name only. Without a
// row the chat is not there.
func personOfChat(ctx context.Context, q database.Querier, chatID string) (p person, err error) {
	err = q.QueryRow(ctx, `
		SELECT coalesce(nullif(c.name, ''), nullif(h.name, ''), c.wa_name, ''), coalesce(c.company, ''), coalesce(c.phone, h.phone, ''), coalesce(c.custom, '{}')
		FROM chats h LEFT JOIN contacts c ON c.id = h.contact_id WHERE h.id = $1`, chatID).Scan(&p.name, &p.company, &p.phone, &p.custom)
	if err != nil {
		return p, fmt.Errorf("person of chat: %w", err)
	}
	return p, nil
}

// render fills a text.
func render(text string, values template.Values) (string, error) {
	t, err := template.Parse(text)
	if err != nil {
		return "", fmt.Errorf("stored text: %w", err)
	}
	return t.Render(values), nil
}
