package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/graphtide/graphtide/graph"
)

// serverOptions name a running server that a command talks to.
type serverOptions struct {
	URL   string `group:"remote" help:"Base address of the server." default:"${url}"`
	Token string `group:"remote" help:"Token to send; dev needs none." placeholder:"TOKEN"`
}

// remoteOptions are a server and one graph of it.
type remoteOptions struct {
	serverOptions
	Graph string `group:"remote" help:"Graph to work on." default:"main"`
}

// Validate refuses what no request can be sent to.
func (o *serverOptions) Validate() error { return httpURL("--url", o.URL) }

// graphPath gives a path below the graph.
func (o *remoteOptions) graphPath(rest string) string {
	return "/v1/graphs/" + url.PathEscape(o.Graph) + rest
}

// request is one request to the API.
type request struct {
	method, path string
	contentType  string // of the body
	body         []byte
	header       map[string]string // empty values are left out
}

// do sends a request. An answer of 400 or more comes back as its problem, a
// *graph.Error. The caller closes the answer's body.
func (o *serverOptions) do(ctx context.Context, r request) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, strings.TrimSuffix(o.URL, "/")+r.path, bytes.NewReader(r.body))
	if err != nil {
		return nil, usageError{err}
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	if o.Token != "" {
		req.Header.Set("Authorization", "Bearer "+o.Token)
	}
	for name, value := range r.header {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) && ctx.Err() == nil {
			return nil, fmt.Errorf("no server answers at %s (%w): start one with `graphtide dev`, or name another with --url", req.URL.Redacted(), failed.Err)
		}
		return nil, err
	}
	if res.StatusCode < 400 {
		return res, nil
	}
	defer res.Body.Close()
	return nil, problemOf(res)
}

// problem is an answer of 400 or more, or one of those in a dry run, as far as a
// person wants to see it.
type problem struct {
	Code      graph.Code        `json:"code"`
	Detail    string            `json:"detail"`
	Path      *string           `json:"path"`
	Errors    []graph.Violation `json:"errors"`
	Objects   []graph.Offender  `json:"objects"`
	Conflicts []graph.Conflict  `json:"conflicts"`
}

func (p *problem) asError() *graph.Error {
	e := &graph.Error{Code: p.Code, Message: p.Detail, Errors: p.Errors, Objects: p.Objects, Conflicts: p.Conflicts}
	if p.Path != nil {
		e.At(*p.Path)
	}
	return e
}

// maxProblem bounds a problem document.
const maxProblem = 1 << 20

func problemOf(res *http.Response) error {
	var p problem
	text, err := io.ReadAll(io.LimitReader(res.Body, maxProblem))
	if err != nil || json.Unmarshal(text, &p) != nil || p.Code == "" {
		return fmt.Errorf("%s answers %s, which is no answer of Graphtide's: is --url right?", res.Request.URL.Redacted(), res.Status)
	}
	return p.asError()
}

// print sends a request and copies the answer to standard output, with a line's
// end after it.
func (o *serverOptions) print(a *app, r request) error {
	res, err := o.do(a.ctx, r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(a.stdout, res.Body); err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.stdout)
	return err
}

// input gives FILE's content, or standard input for "" and "-".
func (a *app) input(file string) ([]byte, error) {
	if file == "" || file == "-" {
		return io.ReadAll(a.stdin)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, asUsage(err)
	}
	return text, nil
}
