package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

type logCmd struct {
	remoteOptions
	Since  int64 `help:"Print the commits after this version." default:"0" placeholder:"VERSION"`
	Limit  int   `help:"At most this many; 0 is all there are." default:"0" placeholder:"N"`
	Follow bool  `short:"f" help:"Go on with the commits to come, until interrupted."`
}

// Help teaches the command.
func (*logCmd) Help() string {
	return `Each line is one commit as JSON: version, at, by, cause, patch. Applying the patches in order to {"objects":{},"edges":{}} gives the graph.

Examples:

    graphtide log --since 100
    graphtide log --follow | jq -c '[.version, .by, .note]'`
}

// Validate refuses counts below zero.
func (c *logCmd) Validate() error {
	if c.Since < 0 || c.Limit < 0 {
		return errors.New("--since and --limit must be at least 0")
	}
	return c.serverOptions.Validate()
}

// logPage is how many commits are asked for at a time.
const logPage = 500

func (c *logCmd) Run(a *app) error {
	if c.Follow {
		return c.follow(a)
	}
	for since, left := c.Since, c.Limit; ; {
		page := logPage
		if c.Limit > 0 {
			page = min(page, left)
		}
		commits, err := c.page(a, since, page)
		if err != nil {
			return err
		}
		for _, commit := range commits {
			if _, err := fmt.Fprintf(a.stdout, "%s\n", commit); err != nil {
				return err
			}
		}
		left -= len(commits)
		if len(commits) < page || c.Limit > 0 && left == 0 {
			return nil
		}
		var last struct {
			Version int64 `json:"version"`
		}
		if err := json.Unmarshal(commits[len(commits)-1], &last); err != nil {
			return err
		}
		since = last.Version
	}
}

func (c *logCmd) page(a *app, since int64, limit int) ([]json.RawMessage, error) {
	res, err := c.do(a.ctx, request{method: http.MethodGet, path: c.graphPath(fmt.Sprintf("/log?since=%d&limit=%d", since, limit))})
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var answer struct {
		Commits []json.RawMessage `json:"commits"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	return answer.Commits, nil
}

// maxCommit bounds one line of the stream: the effect of a commit, cascades
// included.
const maxCommit = 64 << 20

// follow prints commits as they come. It ends well with a signal or at the
// limit; the server's end of the stream is a failure.
func (c *logCmd) follow(a *app) error {
	path := c.graphPath(fmt.Sprintf("/log?since=%d", c.Since))
	if c.Limit > 0 {
		path += "&limit=" + strconv.Itoa(c.Limit)
	}
	res, err := c.do(a.ctx, request{method: http.MethodGet, path: path, header: map[string]string{"Accept": "text/event-stream"}})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxCommit)
	printed := 0
	for lines.Scan() {
		if commit, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			printed++
			if _, err := fmt.Fprintln(a.stdout, commit); err != nil {
				return err
			}
		}
	}
	switch {
	case a.ctx.Err() != nil || c.Limit > 0 && printed >= c.Limit:
		return nil
	case lines.Err() != nil:
		return fmt.Errorf("follow the log: %w", lines.Err())
	}
	return errors.New("the server ended the stream; begin again after the last version printed, with --since")
}

type historyCmd struct {
	remoteOptions
	Edge   bool   `help:"ID is an edge's."`
	Limit  int    `help:"At most this many versions." default:"50"`
	Before int64  `help:"Only versions below this one; 0 is all." default:"0" placeholder:"VERSION"`
	ID     string `arg:"" help:"The object's id."`
}

// Help teaches the command.
func (*historyCmd) Help() string {
	return `Each entry says who changed what, when and why, with the full snapshot.

Example:

    graphtide history 018f2c3e-7b1a-7c44-9d55-0242ac120002 --limit 5`
}

// Validate refuses counts below zero.
func (c *historyCmd) Validate() error {
	if c.Limit < 1 || c.Before < 0 {
		return errors.New("--limit must be at least 1, --before at least 0")
	}
	return c.serverOptions.Validate()
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
	return c.print(a, request{method: http.MethodGet, path: path})
}
