package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/graphtide/graphtide/internal/testdb"
)

// secret signs the tokens of the tests.
const secret = "a secret of the tests, long enough"

// running is a server that runs, with a client's view of it.
type running struct {
	*process
	url   string
	graph string // of the test's own, "" where it has none
}

// serve starts `graphtide serve` on a free port and waits until it is ready.
func (s shell) serve(args ...string) *running {
	s.t.Helper()
	return s.serving(s.start(plus([]string{"serve", "--listen=127.0.0.1:0"}, args...)...))
}

// serving waits until a server is ready.
func (s shell) serving(p *process) *running {
	s.t.Helper()
	sv := &running{process: p, url: p.waitFor(`msg=serving url=(\S+)`)[1]}
	sv.ready(s.t)
	return sv
}

// dev starts `graphtide dev` on a free port and waits until it is ready.
func (s shell) dev(args ...string) *running {
	s.t.Helper()
	return s.served(s.start(plus([]string{"dev", "--listen=127.0.0.1:0"}, args...)...))
}

// devWithin starts it in this process: see within.
func (s shell) devWithin(args ...string) *running {
	s.t.Helper()
	return s.served(s.within(plus([]string{"dev", "--listen=127.0.0.1:0"}, args...)...))
}

// served waits until a dev is ready.
func (s shell) served(p *process) *running {
	s.t.Helper()
	sv := &running{process: p, url: p.waitFor(`Try: graphtide log --url (\S+)`)[1]}
	sv.ready(s.t)
	return sv
}

func (sv *running) ready(t testing.TB) {
	t.Helper()
	eventually(t, sv.url+"/readyz", func() bool {
		status, _ := sv.ask(t, http.MethodGet, "/readyz", "", "")
		return status == http.StatusOK
	})
}

// ask sends a request and gives the answer; headers are `Name: value` lines.
func (sv *running) ask(t testing.TB, method, path, body string, headers ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, sv.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		if name, value, ok := strings.Cut(h, ": "); ok && name == "Host" {
			req.Host = value
		} else if ok {
			req.Header.Set(name, value)
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(text)
}

// shell gives a shell that talks to the server, on a graph.
func (sv *running) shell(t testing.TB, graphName, token string) shell {
	return newShell(t, "GRAPHTIDE_URL="+sv.url, "GRAPHTIDE_GRAPH="+graphName, "GRAPHTIDE_TOKEN="+token)
}

// shared is one dev for all tests that only talk to one, on the tests' database.
var shared struct {
	sync.Once
	url string
}

// sharedDev gives a shell on a graph of the test's own, in the shared dev.
func sharedDev(t *testing.T) (shell, *running) {
	t.Helper()
	shared.Do(func() {
		// It outlives the test that starts it.
		dir, err := os.MkdirTemp("", "gt-cmd-")
		if err != nil {
			t.Fatal(err)
		}
		testdb.AtEnd(func() error { return os.RemoveAll(dir) })
		sh := shell{t: t, dir: dir}
		p := sh.inside("dev", "--listen=127.0.0.1:0", "--schema="+sh.write("app.yaml", noteSchema), "--database-url="+testdb.URL(t))
		testdb.AtEnd(func() error {
			p.signal(syscall.SIGTERM)
			<-p.done
			if p.status != exitOK {
				return fmt.Errorf("the shared dev ended with %d\n%s", p.status, p.said())
			}
			return nil
		})
		shared.url = p.waitFor(`Try: graphtide log --url (\S+)`)[1]
	})
	if shared.url == "" {
		t.Fatal("the shared dev did not start; see the first test that failed")
	}
	sv := &running{url: shared.url, graph: testdb.GraphName(t)}
	if status, text := sv.ask(t, http.MethodPut, "/v1/graphs/"+sv.graph, ""); status >= 300 {
		t.Fatalf("make a graph: %d %s", status, text)
	}
	return sv.shell(t, sv.graph, ""), sv
}

// written is the answer to a transaction.
type written struct {
	Graph    string `json:"graph"`
	Version  int64  `json:"version"`
	Replayed bool   `json:"replayed"`
}

// commit is one line of the log.
type commit struct {
	Version int64           `json:"version"`
	By      string          `json:"by"`
	Note    string          `json:"note"`
	Patch   json.RawMessage `json:"patch"`
}

func commits(r result) (all []commit) {
	r.t.Helper()
	dec := json.NewDecoder(strings.NewReader(r.stdout))
	for {
		var c commit
		if err := dec.Decode(&c); err == io.EOF {
			return all
		} else if err != nil {
			r.t.Fatalf("the log is not one commit a line: %v\n%s", err, r.stdout)
		}
		all = append(all, c)
	}
}
