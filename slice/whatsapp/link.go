package whatsapp

import (
	"context"
	"fmt"
)

// Logout ends the link to the phone. Without a link it does nothing.
func (e *Engine) Logout(ctx context.Context) error {
	b, s, err := e.active()
	if err != nil {
		return err
	}
	if !s.Ready {
		return fmt.Errorf("%w: the page is not loaded", ErrNotReady)
	}
	if !s.Authenticated {
		return nil
	}
	return b.call(ctx, evalTimeout, nil, "logout")
}

// ready returns the browser when a phone is linked and the page can send.
func (e *Engine) ready() (*browser, error) {
	b, s, err := e.active()
	if err != nil {
		return nil, err
	}
	if state, _ := s.state(); state != StateReady {
		return nil, fmt.Errorf("%w: it is %s", ErrNotReady, state)
	}
	return b, nil
}
