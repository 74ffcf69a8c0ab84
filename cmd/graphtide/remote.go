package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/graphtide/graphtide/graph"
)

// remote is the API from a shell.
type remote struct {
	URL   string `help:"Base address of the server." default:"http://127.0.0.1:7420" placeholder:"URL"`
	Token string `help:"Token to send; none in dev." placeholder:"TOKEN"`
	Graph string `help:"Graph to work on." default:"main"`
}

// call sends one request. An answer of 400 or more is the problem as an error.
func (r *remote) call(ctx context.Context, method, path, contentType string, body io.Reader, header ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(r.URL, "/")+path, body)
	if err != nil {
		return nil, usageError{fmt.Errorf("--url %q: %w", r.URL, err)}
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if r.Token != "" {
		req.Header.Set("Authorization", "Bearer "+r.Token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i+1] != "" {
			req.Header.Set(header[i], header[i+1])
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		var refused *url.Error
		if errors.As(err, &refused) && ctx.Err() == nil {
			return nil, fmt.Errorf("no server answers at %s (%w); start one with `graphtide dev`, or name another with --url", r.URL, refused.Err)
		}
		return nil, err
	}
	if res.StatusCode < 400 {
		return res, nil
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	var p struct {
		Code   graph.Code        `json:"code"`
		Detail string            `json:"detail"`
		Path   *string           `json:"path"`
		Errors []graph.Violation `json:"errors"`
	}
	if json.Unmarshal(text, &p) != nil || p.Code == "" {
		return nil, fmt.Errorf("%s %s: %s", method, path, res.Status)
	}
	e := &graph.Error{Code: p.Code, Message: p.Detail, Errors: p.Errors}
	if p.Path != nil {
		e.At(*p.Path)
	}
	return nil, e
}

// print copies an answer to standard output, with a newline at its end.
func (r *remote) print(a *app, res *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer res.Body.Close()
	w := bufio.NewWriter(a.stdout)
	if _, err := io.Copy(w, res.Body); err != nil {
		return err
	}
	fmt.Fprintln(w)
	return w.Flush()
}

func (r *remote) graphPath(rest string) string {
	return "/v1/graphs/" + url.PathEscape(r.Graph) + rest
}

// input gives FILE's content, or standard input for "" and "-".
func input(a *app, file string) ([]byte, error) {
	if file == "" || file == "-" {
		return io.ReadAll(a.stdin)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, usageError{err}
	}
	return text, nil
}

type loadCmd struct {
	remote
	At   *int64 `help:"Load the state as of this version."`
	File string `arg:"" optional:"" help:"The projection, or {\"name\", \"args\"}; - or none is standard input."`
}

func (c *loadCmd) Run(a *app) error {
	text, err := input(a, c.File)
	if err != nil {
		return err
	}
	path := c.graphPath("/load")
	if c.At != nil {
		path += "?at=" + strconv.FormatInt(*c.At, 10)
	}
	res, err := c.call(a.ctx, http.MethodPost, path, "application/json", bytes.NewReader(text))
	return c.print(a, res, err)
}

type patchCmd struct {
	remote
	DryRun bool   `help:"Judge it and write nothing."`
	Key    string `help:"Idempotency key: sent again with the same key, it is not applied again."`
	Base   string `help:"The version that you saw."`
	Note   string `help:"A note for the log, up to 200 characters."`
	File   string `arg:"" optional:"" help:"A JSON Patch over the graph; - or none is standard input."`
}

func (c *patchCmd) Run(a *app) error {
	text, err := input(a, c.File)
	if err != nil {
		return err
	}
	path := c.graphPath("")
	if c.DryRun {
		path += "?dryRun=true"
	}
	res, err := c.call(a.ctx, http.MethodPatch, path, "application/json-patch+json", bytes.NewReader(text),
		"Idempotency-Key", c.Key, "Graphtide-Base", c.Base, "Graphtide-Note", c.Note)
	return c.print(a, res, err)
}

type logCmd struct {
	remote
	Since int64 `help:"Print the commits after this version." default:"0"`
	Limit int   `help:"At most this many; 0 is all there are." default:"0"`
}

func (c *logCmd) Run(a *app) error {
	since, left := c.Since, c.Limit
	for {
		page := 500
		if c.Limit > 0 && left < page {
			page = left
		}
		res, err := c.call(a.ctx, http.MethodGet, c.graphPath(fmt.Sprintf("/log?since=%d&limit=%d", since, page)), "", nil)
		if err != nil {
			return err
		}
		var answer struct {
			Commits []json.RawMessage `json:"commits"`
		}
		err = json.NewDecoder(res.Body).Decode(&answer)
		res.Body.Close()
		if err != nil {
			return err
		}
		for _, commit := range answer.Commits {
			fmt.Fprintln(a.stdout, string(commit))
		}
		left -= len(answer.Commits)
		if len(answer.Commits) < page || c.Limit > 0 && left <= 0 {
			return nil
		}
		var last struct {
			Version int64 `json:"version"`
		}
		if err := json.Unmarshal(answer.Commits[len(answer.Commits)-1], &last); err != nil {
			return err
		}
		since = last.Version
	}
}

type historyCmd struct {
	remote
	Edge   bool   `help:"ID is an edge's."`
	Limit  int    `help:"At most this many versions, newest first." default:"50"`
	Before int64  `help:"Only versions below this one." default:"0"`
	ID     string `arg:"" help:"The object's id."`
}

func (c *historyCmd) Run(a *app) error {
	kind := "objects"
	if c.Edge {
		kind = "edges"
	}
	path := c.graphPath(fmt.Sprintf("/%s/%s/history?limit=%d", kind, url.PathEscape(c.ID), c.Limit))
	if c.Before > 0 {
		path += fmt.Sprintf("&before=%d", c.Before)
	}
	res, err := c.call(a.ctx, http.MethodGet, path, "", nil)
	return c.print(a, res, err)
}

type traceCmd struct {
	remote
	At int64 `arg:"" name:"version" help:"The commit's version."`
}

func (c *traceCmd) Run(a *app) error {
	res, err := c.call(a.ctx, http.MethodGet, c.graphPath("/trace/"+strconv.FormatInt(c.At, 10)), "", nil)
	return c.print(a, res, err)
}
