package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/graphtide/graphtide/server/auth"
	"github.com/graphtide/graphtide/systest/plain"
)

// world is the deployment under torture and what all clients of it share.
type world struct {
	o     Options
	plan  plan
	dir   string
	graph string
	*ledger

	pg       *database
	redis    *process
	redisURL string
	nodes    []*process // which leave rules to the worker
	worker   *process
	urls     []string // http://…, of the nodes, over the wires in front of them
	front    []*wire
	back     []*wire // from the nodes to the database
	web      *http.Client

	journal *journal
	things  *things
	log     *collector
	notes   *notes

	head   atomic.Int64 // the highest version that any client was told
	acked  atomic.Int64 // the highest version that was acknowledged
	serial atomic.Int64 // numbers values, so that none stands twice
	calm   atomic.Bool  // no new transactions are begun
	epochs epochs
	laws   *laws
	anew   anew // of a graph that is replaced now and then
}

// The graphs under torture: the one, and a smaller one beside it on the same nodes.
const (
	graphName  = "main"
	secondName = "second"
)

// schema is what the tortured graph is made of.
const schema = `
graphtide: 1
types:
  Board:
    open: true
    access: {read: [public], write: [public], manage: [user]}
    history: {keep: 60 versions, snapshot: 7}
    edges:
      out: {next: {to: Board, body: {properties: {rank: {type: number}}}}}
      in: {on: {from: Cell, as: cells}, next: {from: Board, as: previous}}
  Cell:
    open: true
    access: {inherit: on}
    history: {keep: 60 versions}
    edges:
      out: {on: {to: Board, max: 1, onDelete: cascade}}
  Twin:
    open: true
    access: {read: [public], write: [public], manage: [user]}
    edges:
      out: {twin: {to: Twin, max: 1}}
      in: {twin: {from: Twin, as: twins}}
  Note:
    open: true
  Strict:
    properties: {n: {type: integer, minimum: 0}}
    access: {read: [public], write: [public]}
rules:
  seen:
    on: {object: Cell, events: [create]}
    handler: {script: seen.js}
    timeout: 15s
    retries: 50
scripts:
  seen.js: |
    export default async () => { await sleep(30) }
`

// newWorld starts everything and fills the graph.
func newWorld(ctx context.Context, o Options) (_ *world, err error) {
	dir, err := os.MkdirTemp("", "gt-torture-")
	if err != nil {
		return nil, err
	}
	w := &world{epochs: epochs{gone: map[string]time.Time{}}, o: o, plan: planOf(o), dir: dir, graph: graphName, laws: newLaws(), ledger: newLedger(), pg: &database{dir: filepath.Join(dir, "db")},
		web: &http.Client{Timeout: 12 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 20 * time.Second}}}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if err := os.Chmod(dir, 0o755); err != nil { // started by root, Postgres runs as another user
		return nil, err
	}
	rng := rand.New(rand.NewPCG(rand.Uint64(), 0)) // addresses are no matter of the seed
	if err := w.pg.start(ctx); err != nil {
		return nil, err
	}
	if w.redis, w.redisURL, err = newRedis(dir); err != nil {
		return nil, err
	}
	if err := w.redis.start(ctx); err != nil {
		return nil, err
	}
	if _, err := w.run(ctx, "migrate", "--database-url", w.pg.url()); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "app.yaml")
	if err := os.WriteFile(file, []byte(schemaOf(0, 0)), 0o600); err != nil {
		return nil, err
	}
	for i := range 2 {
		addr, err := freeAddress(rng.IntN)
		if err != nil {
			return nil, err
		}
		back, database, err := newDatabaseWire(w.pg.url())
		if err != nil {
			return nil, err
		}
		w.back = append(w.back, back)
		front, err := newWire("tcp", addr)
		if err != nil {
			return nil, err
		}
		w.front = append(w.front, front)
		n := newNode(o.Binary, addr, dir, database, w.redisURL, o, w.plan)
		w.nodes, w.urls = append(w.nodes, n), append(w.urls, "http://"+front.listener.Addr().String())
		usual := n.args
		if i == 0 {
			n.args = append(slices.Clone(usual), "--schema", file)
		}
		err = n.start(ctx)
		n.args = usual
		if err != nil {
			return nil, err
		}
	}
	addr, err := freeAddress(rng.IntN)
	if err != nil {
		return nil, err
	}
	w.worker = newWorker(o.Binary, addr, dir, w.pg.url(), w.redisURL, o, w.plan)
	if err := w.worker.start(ctx); err != nil {
		return nil, err
	}
	if w.journal, err = newJournal(filepath.Join(dir, "journal")); err != nil {
		return nil, err
	}
	w.notes, w.log = newNotes(), &collector{w: w}
	w.things = newThings(w)
	return w, w.things.make(ctx)
}

// output runs the program with arguments, for what it writes.
func (w *world) output(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, w.o.Binary, args...)
	cmd.Dir = w.dir
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("graphtide %s: %w\n%s", args[0], err, &said)
	}
	return out, nil
}

// run runs the program with arguments.
func (w *world) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, w.o.Binary, args...)
	cmd.Dir = w.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("graphtide %s: %w\n%s", args[0], err, out)
	}
	return string(out), nil
}

// close ends all that was started.
func (w *world) close() {
	w.web.CloseIdleConnections()
	for _, n := range w.nodes {
		n.end(syscall.SIGKILL, time.Second)
	}
	if w.worker != nil {
		w.worker.end(syscall.SIGKILL, time.Second)
	}
	for _, x := range append(w.front, w.back...) {
		x.close()
	}
	if w.redis != nil {
		w.redis.end(syscall.SIGKILL, time.Second)
	}
	w.leave()
	if err := w.pg.stop(); err != nil {
		fmt.Fprintf(w.o.Out, "Postgres did not stop in order: %v\n", err)
	}
	os.RemoveAll(w.dir)
}

// token makes one for a principal.
func token(p principal) string {
	c := auth.Claims{User: p.user, Teams: p.teams, Org: p.org, Graphs: []string{graphName, secondName}, Admin: p.admin}
	t, err := auth.Mint([]byte(secret), c, 6*time.Hour)
	if err != nil {
		panic(err) // ours
	}
	return t
}

// governor makes a token for who may replace the schema, and make and delete graphs.
func governor() string {
	t, err := auth.Mint([]byte(secret), auth.Claims{User: "root", Graphs: []string{"*"}, Admin: true}, 6*time.Hour)
	if err != nil {
		panic(err) // ours
	}
	return t
}

// users, teams and orgs are those of the tortured graph. An administrator is in
// none, and not everybody in some.
var (
	users = []string{"ann", "bob", "cat", "dan", "root"}
	teams = []string{"red", "blue"}
	orgs  = []string{"acme", "other", ""}
)

// everybody is whom principalOf can give.
var everybody = func() (all []principal) {
	for _, u := range users {
		if u == "root" {
			all = append(all, principalOf(u, nil))
			continue
		}
		for _, of := range [][]string{nil, {"red"}, {"blue"}, teams} {
			for _, o := range orgs {
				all = append(all, principal{user: u, teams: of, org: o})
			}
		}
	}
	return all
}()

// principalOf gives a user with teams and org by chance; without a source, as
// the user usually is.
func principalOf(user string, rng *rand.Rand) principal {
	p := principal{user: user}
	if user == "root" {
		p.admin = true
		return p
	}
	if rng == nil {
		return principal{user: user, teams: teams[:1], org: orgs[0]}
	}
	for _, t := range teams {
		if rng.IntN(2) == 0 {
			p.teams = append(p.teams, t)
		}
	}
	p.org = orgs[rng.IntN(len(orgs))]
	return p
}

// answer is what an HTTP request came to.
type answer struct {
	status int
	body   []byte
	doc    map[string]any // of an object
}

func (a *answer) str(at string) string { s, _ := a.doc[at].(string); return s }

func (a *answer) int(at string) int { return toInt(a.doc[at]) }

func toInt(v any) int {
	n, _ := v.(json.Number)
	i, _ := n.Int64()
	return int(i)
}

// request asks a node. An error leaves the outcome unknown.
func (w *world) request(ctx context.Context, node int, method, path, token, body string, header ...string) (*answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, w.urls[node]+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := w.web.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	a := &answer{status: resp.StatusCode, body: text}
	if v, err := plain.Decode(text); err == nil {
		a.doc, _ = v.(map[string]any)
	}
	if a.doc == nil {
		a.doc = map[string]any{}
	}
	return a, nil
}

// saw notes a version that a client was told of.
func (w *world) saw(v int) { raise(&w.head, v) }

func raise(n *atomic.Int64, v int) {
	for {
		old := n.Load()
		if int64(v) <= old || n.CompareAndSwap(old, int64(v)) {
			return
		}
	}
}

func (w *world) path(rest string) string { return "/v1/graphs/" + w.graph + rest }
