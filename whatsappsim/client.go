package whatsappsim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"ipnoelp.io/platform/problem"
)

// Client speaks the control API. Its methods return a *ClientError where the
// server refuses.
type Client struct {
	BaseURL string       // such as http://127.0.0.1:9080
	HTTP    *http.Client // nil is http.DefaultClient
}

// ClientError is an answer with problem details.
type ClientError struct {
	Operation string
	Details   problem.Details
}

func (e *ClientError) Error() string {
	msg := fmt.Sprintf("%s: %d %s", e.Operation, e.Details.Status, e.Details.Detail)
	for _, f := range e.Details.Errors {
		msg += fmt.Sprintf(" (%s %s)", f.Field, f.Detail)
	}
	return msg
}

// CreateAccount makes a phone account; it is no error if it exists.
func (c *Client) CreateAccount(ctx context.Context, phone, name string) (AccountInfo, error) {
	var info AccountInfo
	err := c.do(ctx, http.MethodPost, "/control/accounts", map[string]string{"phone": phone, "name": name}, &info)
	return info, err
}

// Accounts lists all accounts.
func (c *Client) Accounts(ctx context.Context) ([]AccountInfo, error) {
	var out struct{ Accounts []AccountInfo }
	err := c.do(ctx, http.MethodGet, "/control/accounts", nil, &out)
	return out.Accounts, err
}

// Scan links the device that shows the code to the account.
func (c *Client) Scan(ctx context.Context, phone, qr string) error {
	return c.do(ctx, http.MethodPost, accountPath(phone, "scan"), map[string]string{"qr": qr}, nil)
}

// CustomerWrites sends a message from a customer to the account and returns
// its id.
func (c *Client) CustomerWrites(ctx context.Context, phone, from, fromName, text string) (string, error) {
	var out struct{ ID string }
	err := c.do(ctx, http.MethodPost, accountPath(phone, "messages"),
		map[string]string{"from": from, "from_name": fromName, "text": text}, &out)
	return out.ID, err
}

// Messages lists the messages of one chat, such as 4917012345@c.us, or of all
// chats when chat is "".
func (c *Client) Messages(ctx context.Context, phone, chat string) ([]MessageInfo, error) {
	path := accountPath(phone, "messages")
	if chat != "" {
		path += "?" + url.Values{"chat": {chat}}.Encode()
	}
	var out struct{ Messages []MessageInfo }
	err := c.do(ctx, http.MethodGet, path, nil, &out)
	return out.Messages, err
}

// CustomerReads makes the customer read the chat: what the account wrote there
// gets the ack 3.
func (c *Client) CustomerReads(ctx context.Context, phone, chat string) error {
	return c.do(ctx, http.MethodPost, accountPath(phone, "read"), map[string]string{"chat": chat}, nil)
}

// Logout unlinks all devices of the account.
func (c *Client) Logout(ctx context.Context, phone string) error {
	return c.do(ctx, http.MethodPost, accountPath(phone, "logout"), nil, nil)
}

// Fault plays a fault, such as FaultConflict, once.
func (c *Client) Fault(ctx context.Context, phone, fault string) error {
	return c.FaultTimes(ctx, phone, fault, 1)
}

// FaultTimes plays a fault that waits for something, such as FaultSendFailure,
// on the next count occasions.
func (c *Client) FaultTimes(ctx context.Context, phone, fault string, count int) error {
	return c.do(ctx, http.MethodPost, accountPath(phone, "faults"), map[string]any{"fault": fault, "count": count}, nil)
}

// PageFault plays a fault, such as FaultNeverReady, in the next count pages
// that are loaded.
func (c *Client) PageFault(ctx context.Context, fault string, count int) error {
	return c.do(ctx, http.MethodPost, "/control/faults", map[string]any{"fault": fault, "count": count}, nil)
}

func accountPath(phone, what string) string {
	return "/control/accounts/" + url.PathEscape(phone) + "/" + what
}

// maxAnswer bounds what is read of an answer: all messages of an account.
const maxAnswer = 64 << 20

func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
		body = bytes.NewReader(data)
	}
	data, _, err := c.roundTrip(ctx, method, path, "application/json", body)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// roundTrip returns the answer's body and its content type.
func (c *Client) roundTrip(ctx context.Context, method, path, contentType string, body io.Reader) ([]byte, string, error) {
	operation := method + " " + path
	req, err := http.NewRequestWithContext(ctx, method, c.BaseURL+path, body)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", operation, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", operation, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", operation, err)
	}
	if resp.StatusCode >= 300 {
		refused := &ClientError{Operation: operation}
		if json.Unmarshal(data, &refused.Details) != nil || refused.Details.Status == 0 {
			refused.Details = problem.Details{Status: resp.StatusCode, Detail: resp.Status}
		}
		return nil, "", refused
	}
	return data, resp.Header.Get("Content-Type"), nil
}
