package whatsapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
)

// evaluate runs an expression in the page, waits for its promise, and decodes
// the result into out unless that is nil. When the page crashes meanwhile it is
// errCrashed at once; Chromium itself would not say anything.
func (b *browser) evaluate(ctx context.Context, timeout time.Duration, expression string, out any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	go func() { // ends with the evaluation
		select {
		case <-ctx.Done():
		case <-b.queue.gone:
			cancel()
		}
	}()
	yes := true
	r, err := cdp.Call(ctx, b.target, runtime.Evaluate, runtime.EvaluateParams{
		Expression:    expression,
		AwaitPromise:  &yes,
		ReturnByValue: &yes,
	})
	if err != nil {
		select {
		case <-b.queue.gone:
			err = errCrashed
		default:
		}
		return fmt.Errorf("evaluate: %w", err)
	}
	if d := r.ExceptionDetails; d != nil {
		text := d.Text
		if d.Exception != nil && d.Exception.Description != "" {
			text = d.Exception.Description
		}
		return &scriptError{text[:min(len(text), maxScriptError)]}
	}
	if out == nil || r.Result == nil || len(r.Result.Value) == 0 {
		return nil
	}
	if err := json.Unmarshal(r.Result.Value, out); err != nil {
		return fmt.Errorf("evaluate: unexpected result: %w", err)
	}
	return nil
}

// call runs a function of the agent and decodes what it returns into out unless
// that is nil.
func (b *browser) call(ctx context.Context, timeout time.Duration, out any, function string, args ...any) error {
	expression, err := agentCall(function, args...)
	if err != nil {
		return fmt.Errorf("call %s: %w", function, err)
	}
	if function != "snapshot" { // which nobody asked for
		b.calls.Add(1)
		defer func() { b.touch(); b.calls.Add(-1) }()
	}
	var answer *struct {
		Value   json.RawMessage `json:"value"`
		Code    string          `json:"code"`
		Message string          `json:"message"`
	}
	if err := b.evaluate(ctx, timeout, expression, &answer); err != nil {
		return fmt.Errorf("call %s: %w", function, err)
	}
	switch {
	case answer == nil:
		return errNoAgent
	case answer.Code != "":
		return fmt.Errorf("call %s: %w", function, &refusal{answer.Code, answer.Message})
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(answer.Value, out); err != nil {
		return fmt.Errorf("call %s: unexpected result: %w", function, err)
	}
	return nil
}

// navigate opens the URL. It returns when the page is on its way.
func (b *browser) navigate(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	r, err := cdp.Call(ctx, b.target, page.Navigate, page.NavigateParams{URL: url})
	if err != nil {
		return fmt.Errorf("open page: %w", err)
	}
	if r.ErrorText != "" {
		return fmt.Errorf("open page: %s", r.ErrorText)
	}
	return nil
}

func (b *browser) reload(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	if _, err := cdp.Call(ctx, b.target, page.Reload, page.ReloadParams{}); err != nil {
		return fmt.Errorf("reload page: %w", err)
	}
	return nil
}

// install makes a loaded document usable: wa-js where the page has no WPP of
// its own, and the agent. Doing it again changes nothing.
func (b *browser) install(ctx context.Context, bundlePath string) error {
	var has bool
	if err := b.evaluate(ctx, evalTimeout, "typeof window.WPP === 'object' && window.WPP !== null", &has); err != nil {
		return fmt.Errorf("look for WPP: %w", err)
	}
	if !has {
		if bundlePath == "" {
			return errors.New("the page has no WPP, and no wa-js bundle is configured")
		}
		bundle, err := os.ReadFile(bundlePath)
		if err != nil {
			return fmt.Errorf("read wa-js bundle: %w", err)
		}
		// The result of the bundle is of no use and may not be JSON.
		if err := b.evaluate(ctx, evalTimeout, configScript+"\n"+string(bundle)+"\n;true", nil); err != nil {
			return fmt.Errorf("inject wa-js: %w", err)
		}
	}
	if err := b.evaluate(ctx, evalTimeout, agentScript, nil); err != nil {
		return fmt.Errorf("install agent: %w", err)
	}
	return nil
}
