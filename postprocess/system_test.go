package postprocess

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/memstore"
	"github.com/graphtide/graphtide/graph/pgstore"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/internal/testdb"
	"github.com/graphtide/graphtide/patch/pipeline"
	"github.com/graphtide/graphtide/schema"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// system is a whole server without its routes: store, pipeline, replicas and
// one or more nodes of post-processing. Each test has its own.
type system struct {
	t     testing.TB
	store graph.Store
	runs  *observedRuns
	first *node
}

// node is one process of a system.
type node struct {
	sys      *system
	name     string
	live     *schema.Live
	replicas *replica.Set
	pipeline *pipeline.Pipeline
	runs     *nodeRuns
	svc      *Service
	handlers map[string]GoHandler
}

type option func(*Config)

// setup gives a running system in memory with one node.
func setup(t testing.TB, schemaText string, handlers map[string]GoHandler, opts ...option) *system {
	t.Helper()
	s := memstore.New()
	return begin(t, s, memstore.NewRuns(s), schemaText, handlers, opts...)
}

// setupPostgres is setup on a database of the test's own.
func setupPostgres(t testing.TB, schemaText string, handlers map[string]GoHandler, opts ...option) *system {
	t.Helper()
	url := testdb.OwnURL(t)
	s := testdb.Open(t, url)
	return begin(t, s, pgstore.NewRuns(s.Pool()), schemaText, handlers, opts...)
}

func begin(t testing.TB, store graph.Store, runs graph.RunStore, schemaText string, handlers map[string]GoHandler, opts ...option) *system {
	t.Helper()
	s := &system{t: t, store: store, runs: &observedRuns{RunStore: runs, changed: make(chan struct{})}}
	s.first = s.node("n1", handlers, opts...)
	if schemaText != "" {
		s.put(schemaText)
	}
	s.first.start()
	return s
}

// put makes a schema the active one on every node's behalf.
func (s *system) put(text string) {
	s.t.Helper()
	p := &graph.Principal{User: "setup", Admin: true, Graphs: []string{"*"}}
	if _, err := s.first.pipeline.PutSchema(s.t.Context(), p, "test.yaml", []byte(text), false); err != nil {
		b, _ := json.MarshalIndent(graph.AsError(err), "", "  ")
		s.t.Fatalf("put the schema: %s", b)
	}
}

// node makes another process on the same store; start sets it going.
func (s *system) node(name string, handlers map[string]GoHandler, opts ...option) *node {
	s.t.Helper()
	return s.nodeThatLooks(20*time.Millisecond, name, handlers, opts...)
}

// nodeThatLooks makes a node that looks for commits of others at a pace, and else
// when it has to know.
func (s *system) nodeThatLooks(poll time.Duration, name string, handlers map[string]GoHandler, opts ...option) *node {
	s.t.Helper()
	n := &node{sys: s, name: name, runs: &nodeRuns{observedRuns: s.runs}, handlers: handlers}
	log := slog.New(slog.NewTextHandler(s.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})).With("node", name)
	n.live = schema.NewLive(s.store)
	n.replicas = replica.New(replica.Config{Store: s.store, Poll: poll, Log: log,
		OnSchema: func(ctx context.Context, _ int64) { _ = n.live.Refresh(ctx) }})
	if err := n.replicas.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	n.pipeline = pipeline.New(pipeline.Config{Store: s.store, Replicas: n.replicas, Live: n.live, Log: log})
	cfg := Config{Node: name, Go: handlers, Log: log, RetryDelay: 10 * time.Millisecond, Sweep: 50 * time.Millisecond,
		Lease: time.Second, TaskCheckInterval: 10 * time.Millisecond, AllowPrivateWebhooks: true, PublicURL: "https://graphtide.test"}
	for _, o := range opts {
		o(&cfg)
	}
	svc, err := New(cfg, Deps{Store: s.store, Runs: n.runs, Replicas: n.replicas, Schema: n.live, Submitter: n.pipeline})
	if err != nil {
		s.t.Fatal(err)
	}
	n.svc = svc
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		n.runs.restore()
		if err := svc.Stop(ctx); err != nil {
			s.t.Error(err)
		}
		n.pipeline.Stop()
		if err := n.replicas.Stop(context.Background()); err != nil {
			s.t.Error(err)
		}
	})
	return n
}

func (n *node) start() {
	n.sys.t.Helper()
	if err := n.live.Refresh(n.sys.t.Context()); err != nil {
		n.sys.t.Fatal(err)
	}
	if err := n.svc.Start(n.sys.t.Context()); err != nil {
		n.sys.t.Fatal(err)
	}
}

// observedRuns tells whenever runs change, so that tests need not guess.
type observedRuns struct {
	graph.RunStore
	dispatches atomic.Int64

	mu      sync.Mutex
	changed chan struct{}
}

func (o *observedRuns) tell() {
	o.mu.Lock()
	close(o.changed)
	o.changed = make(chan struct{})
	o.mu.Unlock()
}

func (o *observedRuns) next() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.changed
}

func (o *observedRuns) Dispatch(ctx context.Context, d *graph.Dispatch) (graph.Dispatched, error) {
	defer o.tell()
	o.dispatches.Add(1)
	return o.RunStore.Dispatch(ctx, d)
}

func (o *observedRuns) Claim(ctx context.Context, c graph.RunClaims) ([]*graph.Run, error) {
	defer o.tell()
	return o.RunStore.Claim(ctx, c)
}

func (o *observedRuns) Note(ctx context.Context, g graph.GraphKey, runs []string, hop graph.Hop) error {
	defer o.tell()
	return o.RunStore.Note(ctx, g, runs, hop)
}

func (o *observedRuns) Park(ctx context.Context, g graph.GraphKey, run string, attempt int, hops []graph.Hop) (bool, error) {
	defer o.tell()
	return o.RunStore.Park(ctx, g, run, attempt, hops)
}

func (o *observedRuns) Finish(ctx context.Context, g graph.GraphKey, ends []graph.RunEnd) ([]bool, []graph.RunRef, error) {
	defer o.tell()
	return o.RunStore.Finish(ctx, g, ends)
}

func (o *observedRuns) Cancel(ctx context.Context, g graph.GraphKey, run string) (bool, []graph.RunRef, error) {
	defer o.tell()
	return o.RunStore.Cancel(ctx, g, run)
}

// nodeRuns is one node's way to the runs, which a test can cut.
type nodeRuns struct {
	*observedRuns
	cut  atomic.Bool
	idle atomic.Bool // it begins no runs
	mute atomic.Bool // the answer to its next dispatch that begins something is lost
}

var errCut = errors.New("the node is cut off")

func (n *nodeRuns) restore() { n.cut.Store(false) }

func (n *nodeRuns) Dispatch(ctx context.Context, d *graph.Dispatch) (graph.Dispatched, error) {
	if n.cut.Load() {
		return graph.Dispatched{}, errCut
	}
	if n.idle.Load() {
		unclaimed := *d
		unclaimed.Claims = nil
		d = &unclaimed
	}
	out, err := n.observedRuns.Dispatch(ctx, d)
	if len(out.Begun) > 0 && n.mute.Swap(false) {
		return graph.Dispatched{}, errCut
	}
	return out, err
}

func (n *nodeRuns) Claim(ctx context.Context, c graph.RunClaims) ([]*graph.Run, error) {
	if n.cut.Load() {
		return nil, errCut
	}
	if n.idle.Load() {
		return nil, nil
	}
	return n.observedRuns.Claim(ctx, c)
}

func (n *nodeRuns) Extend(ctx context.Context, lease time.Duration, held []graph.RunRef) ([]graph.RunRef, error) {
	if n.cut.Load() {
		return nil, errCut
	}
	return n.observedRuns.Extend(ctx, lease, held)
}

func (n *nodeRuns) Finish(ctx context.Context, g graph.GraphKey, ends []graph.RunEnd) ([]bool, []graph.RunRef, error) {
	if n.cut.Load() {
		return nil, nil, errCut
	}
	return n.observedRuns.Finish(ctx, g, ends)
}

func (n *nodeRuns) Overdue(ctx context.Context, grace time.Duration, limit, perRule int) ([]graph.RunRef, error) {
	if n.cut.Load() {
		return nil, errCut
	}
	return n.observedRuns.Overdue(ctx, grace, limit, perRule)
}

var (
	ann   = graph.Principal{User: "ann", Teams: []string{"blue"}, Org: "acme", Graphs: []string{"*"}}
	admin = graph.Principal{User: "root", Admin: true, Graphs: []string{"*"}}
)

// patch commits a transaction and gives its version.
func (s *system) patch(by graph.Principal, text string) graph.Version {
	s.t.Helper()
	return s.patchIn(graph.MainGraph, by, text)
}

func (s *system) patchIn(name string, by graph.Principal, text string) graph.Version {
	s.t.Helper()
	rec, err := s.first.pipeline.Submit(s.t.Context(), name, &graph.Mutation{Patch: json.RawMessage(text), Author: by})
	if err != nil {
		b, _ := json.MarshalIndent(graph.AsError(err), "", "  ")
		s.t.Fatalf("patch %s: %s", text, b)
	}
	return rec.Version
}

// create makes an object of a type and gives its id.
func (s *system) create(typ, body string) (string, graph.Version) {
	s.t.Helper()
	id := uuid.NewString()
	return id, s.patch(ann, fmt.Sprintf(`[{"op":"add","path":"/objects/%s","value":{"type":%q,"body":%s}}]`, id, typ, body))
}

// set replaces a member of an object's body.
func (s *system) set(id, name, value string) graph.Version {
	s.t.Helper()
	return s.patch(ann, fmt.Sprintf(`[{"op":"add","path":"/objects/%s/body/%s","value":%s}]`, id, name, value))
}

// operation asks for an operation and gives its object.
func (s *system) operation(name, params string) string {
	s.t.Helper()
	id, _ := s.create(operationType, fmt.Sprintf(`{"operation":%q,"params":%s}`, name, params))
	return id
}

// body gives an object's body; nil where there is none.
func (s *system) body(id string) map[string]any {
	s.t.Helper()
	var out map[string]any
	r := s.main()
	oid, _ := graph.ParseObjectID(id)
	r.Read(context.Background(), func(st *replica.State) {
		if o := st.Object(oid); o != nil {
			if err := json.Unmarshal(o.Body, &out); err != nil {
				s.t.Error(err)
			}
		}
	})
	return out
}

func (s *system) main() *replica.Replica {
	s.t.Helper()
	r, err := s.first.replicas.Open(s.t.Context(), graph.MainGraph)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// waitBody waits until an object's body is as ok wants it.
func (s *system) waitBody(id string, ok func(map[string]any) bool) map[string]any {
	s.t.Helper()
	changed := make(chan struct{}, 1)
	defer s.main().Watch(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})()
	end := time.After(patience)
	for {
		b := s.body(id)
		if ok(b) {
			return b
		}
		select {
		case <-changed:
		case <-end:
			s.t.Fatalf("object %s stays %v", id, b)
		}
	}
}

// waitDone waits until an operation's object is final.
func (s *system) waitDone(id string) map[string]any {
	s.t.Helper()
	return s.waitBody(id, func(b map[string]any) bool { return b["done"] == true })
}

// list gives the runs of the main graph, the oldest first.
func (s *system) list(f graph.RunFilter) []*graph.Run {
	s.t.Helper()
	runs, err := s.runs.ListRuns(s.t.Context(), s.main().Key(), f)
	if err != nil {
		s.t.Fatal(err)
	}
	for i, j := 0, len(runs)-1; i < j; i, j = i+1, j-1 {
		runs[i], runs[j] = runs[j], runs[i]
	}
	return runs
}

// waitRuns waits until the runs of a rule are as ok wants them.
func (s *system) waitRuns(rule string, ok func([]*graph.Run) bool) []*graph.Run {
	s.t.Helper()
	end := time.After(patience)
	for {
		changed := s.runs.next()
		runs := s.list(graph.RunFilter{Rule: rule})
		if ok(runs) {
			return runs
		}
		select {
		case <-changed:
		case <-end:
			s.t.Fatalf("the runs of %s stay %s", rule, states(runs))
		}
	}
}

// waitState waits until a rule has exactly these runs, the oldest first.
func (s *system) waitState(rule string, want ...graph.RunState) []*graph.Run {
	s.t.Helper()
	text := fmt.Sprint(want)
	return s.waitRuns(rule, func(runs []*graph.Run) bool { return states(runs) == text })
}

func states(runs []*graph.Run) string {
	out := make([]graph.RunState, len(runs))
	for i, r := range runs {
		out[i] = r.State
	}
	return fmt.Sprint(out)
}

// log gives all commits.
func (s *system) log() []*graph.Commit {
	s.t.Helper()
	commits, err := s.store.Log(s.t.Context(), s.main().Key(), 0, 1<<20)
	if err != nil {
		s.t.Fatal(err)
	}
	return commits
}

// madeBy gives the commits that a run made.
func (s *system) madeBy(run string) []*graph.Commit {
	var out []*graph.Commit
	for _, c := range s.log() {
		if c.Cause.Run == run {
			out = append(out, c)
		}
	}
	return out
}

func newID() string { return uuid.NewString() }

// take receives from a channel, or fails.
func take[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// eventOf reads what a handler got.
type event struct {
	Run     string          `json:"run"`
	Attempt int             `json:"attempt"`
	Graph   string          `json:"graph"`
	Version graph.Version   `json:"version"`
	Rule    string          `json:"rule"`
	Event   string          `json:"event"`
	Entity  string          `json:"entity"`
	Before  *entityState    `json:"before"`
	After   *entityState    `json:"after"`
	Patch   json.RawMessage `json:"patch"`
	By      string          `json:"by"`
	Cause   map[string]any  `json:"cause"`
	URL     string          `json:"url"`
	Token   string          `json:"token"`
}

type entityState struct {
	ID   string         `json:"id"`
	Type string         `json:"type"`
	Body map[string]any `json:"body"`
	From string         `json:"from"`
	To   string         `json:"to"`
}

func eventOf(t testing.TB, raw json.RawMessage) event {
	t.Helper()
	var e event
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Error(err)
	}
	return e
}

// indent shifts a text for use inside YAML.
func indent(n int, text string) string {
	pad := strings.Repeat(" ", n)
	return pad + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+pad)
}
