// Package openapitest holds a program's real answers against its OpenAPI
// document.
package openapitest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"ipnoelp.io/platform/docs/openapi"
)

// Document is an OpenAPI document with a memory of what was answered.
type Document struct {
	doc    *openapi3.T
	router routers.Router

	mu       sync.Mutex // guards answered
	answered map[string]bool
}

// Slice reads the slice's document; it panics if that is not valid.
func Slice() *Document { return load(openapi.Slice()) }

// Gateway reads the gateway's document; it panics if that is not valid.
func Gateway() *Document { return load(openapi.Gateway()) }

func load(whole map[string]any, err error) *Document {
	if err != nil {
		panic(err)
	}
	text, err := json.Marshal(whole)
	if err != nil {
		panic(err)
	}
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(text)
	if err != nil {
		panic(err)
	}
	doc.Servers = nil // of any host
	if err := doc.Validate(context.Background()); err != nil {
		panic(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		panic(err)
	}
	return &Document{doc: doc, router: router, answered: make(map[string]bool)}
}

// Operations returns what the document describes, as "GET /api/chats".
func (d *Document) Operations() []string {
	var all []string
	for path, item := range d.doc.Paths.Map() {
		for method := range item.Operations() {
			all = append(all, method+" "+path)
		}
	}
	slices.Sort(all)
	return all
}

// Client returns a client that fails the test when an answer is not what the
// document says, or when a request that the document forbids succeeds. Nil is
// http.DefaultTransport.
func (d *Document) Client(t testing.TB, next http.RoundTripper) *http.Client {
	if next == nil {
		next = http.DefaultTransport
	}
	return &http.Client{Transport: transport{d, t, next}}
}

type transport struct {
	*Document
	t    testing.TB
	next http.RoundTripper
}

func (tr transport) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	res, err := tr.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(answer))
	if err := tr.check(req, body, res, answer); err != nil {
		tr.t.Errorf("%s %s: %d %s\nis not what the OpenAPI document says: %v", req.Method, req.URL, res.StatusCode, answer, err)
	}
	return res, nil
}

func (d *Document) check(req *http.Request, body []byte, res *http.Response, answer []byte) error {
	ctx := context.WithoutCancel(req.Context())
	req = req.Clone(ctx)
	route, params, err := d.router.FindRoute(req)
	if err != nil {
		if res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusMethodNotAllowed {
			return nil
		}
		return err
	}
	options := &openapi3filter.Options{
		AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc, // the identity headers have tests of their own
		IncludeResponseStatus: true,
		MultiError:            true,
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	input := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route, Options: options}
	if res.StatusCode < 300 {
		if err := openapi3filter.ValidateRequest(ctx, input); err != nil {
			return fmt.Errorf("the request: %w", err)
		}
		d.mu.Lock()
		d.answered[route.Method+" "+route.Path] = true
		d.mu.Unlock()
	}
	return openapi3filter.ValidateResponse(ctx, &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: res.StatusCode, Header: res.Header,
		Body: io.NopCloser(bytes.NewReader(answer)), Options: options,
	})
}

// Main runs a package's tests, and fails when an operation below one of the
// paths was never answered with success; a path that begins with "!" is another
// package's. It is for TestMain.
func (d *Document) Main(m *testing.M, paths ...string) {
	code := m.Run()
	if run := testing.CoverMode(); code == 0 && run == "" && !filtered() {
		for _, op := range d.Operations() {
			_, path, _ := strings.Cut(op, " ")
			ours := slices.ContainsFunc(paths, func(p string) bool { return path == p || strings.HasPrefix(path, p+"/") })
			ours = ours && !slices.Contains(paths, "!"+path)
			if ours && !d.answered[op] {
				fmt.Printf("FAIL: no test has %s succeed\n", op)
				code = 1
			}
		}
	}
	os.Exit(code)
}

// filtered says that only some tests were to run.
func filtered() bool {
	return slices.ContainsFunc(os.Args[1:], func(a string) bool {
		return strings.HasPrefix(a, "-test.run") || strings.HasPrefix(a, "-test.fuzz=") || strings.HasPrefix(a, "-test.skip")
	})
}
