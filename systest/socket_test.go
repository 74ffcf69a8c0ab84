package systest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// patience is how long a test waits for something that comes at once on an idle
// machine.
const patience = 3 * time.Minute

// socket is a client of the websocket as the contract describes one, and no
// cleverer: it keeps the copy of every view and complains of everything that
// does not fit.
type socket struct {
	t       testing.TB
	w       *world
	conn    *websocket.Conn
	inbox   *inbox // nil: the connection is read while somebody waits for something
	id      string // the session's
	waiting []value
	views   map[string]*viewCopy
	subs    map[string]string // sub → view
	welcome value
	last    int // the highest version of any delta, load, ack or at
	acked   map[string]int
	closed  websocket.StatusCode
	raw     func(message []byte)
}

// viewCopy is what the client holds of a view.
type viewCopy struct {
	id, key  string
	version  int
	objects  map[string]map[string]any
	edges    map[string]map[string]any
	roots    []any
	partial  bool // a load or a delta is coming in several frames
	inFrames int
	total    int
}

func (w *world) socketURL() string {
	return "ws" + strings.TrimPrefix(w.url, "http") + w.path("/sync")
}

// open connects and says nothing yet.
func (w *world) open(t testing.TB) *socket {
	t.Helper()
	s := w.openSlow(t)
	s.conn.SetReadLimit(64 << 20) // of several messages that wait
	s.inbox = empty(s.conn)
	t.Cleanup(func() { s.conn.CloseNow(); <-s.inbox.done })
	return s
}

// openSlow is open for a client that reads only while it waits for something.
func (w *world) openSlow(t testing.TB) *socket {
	t.Helper()
	s, resp, err := w.tryOpen(t)
	if err != nil {
		t.Fatalf("dial: %v %v", err, resp)
	}
	return s
}

func (w *world) tryOpen(t testing.TB, header ...string) (*socket, *http.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	h := http.Header{}
	for _, l := range header {
		name, v, _ := strings.Cut(l, ": ")
		h.Add(name, v)
	}
	conn, resp, err := websocket.Dial(ctx, w.socketURL(), &websocket.DialOptions{Subprotocols: []string{"graphtide.v1"}, HTTPHeader: h})
	if err != nil {
		return nil, resp, err
	}
	conn.SetReadLimit(8 << 20)
	t.Cleanup(func() { conn.CloseNow() })
	if conn.Subprotocol() != "graphtide.v1" {
		t.Errorf("subprotocol %q", conn.Subprotocol())
	}
	return &socket{t: t, w: w, conn: conn, views: map[string]*viewCopy{}, subs: map[string]string{}, acked: map[string]int{}}, resp, nil
}

// dial connects as a user and waits for the welcome.
func (w *world) dial(t testing.TB, user string, pending ...string) *socket {
	t.Helper()
	return w.dialSession(t, user, newID(), pending...)
}

func (w *world) dialSession(t testing.TB, user, session string, pending ...string) *socket {
	t.Helper()
	s := w.open(t)
	s.hello(w.as(user).token, session, pending...)
	return s
}

func (s *socket) hello(token, session string, pending ...string) {
	s.t.Helper()
	s.id = session
	p, _ := json.Marshal(append([]string{}, pending...))
	s.send(f(`{"t":"hello","token":%q,"session":%q,"pending":%s}`, token, session, p))
	s.welcome = s.next("welcome")
	s.last = max(s.last, s.welcome.int("version"))
}

func (s *socket) send(message string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.conn.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
		s.t.Fatalf("write: %v", err)
	}
}

// read gives the next message.
func (s *socket) read() (message, error) {
	if s.inbox != nil {
		return s.inbox.next()
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	kind, text, err := s.conn.Read(ctx)
	return message{kind, text}, err
}

// errClosed is the end of the connection.
var errClosed = errors.New("closed")

// receive gives the next object that the server sent, and takes it in.
func (s *socket) receive() (value, error) {
	s.t.Helper()
	for len(s.waiting) == 0 {
		if s.closed != 0 {
			return value{}, errClosed
		}
		m, err := s.read()
		if err != nil {
			if s.closed = websocket.CloseStatus(err); s.closed == -1 {
				s.t.Fatalf("read: %v", err)
			}
			return value{}, errClosed
		}
		if m.kind != websocket.MessageText {
			s.t.Fatalf("a binary message")
		}
		if s.raw != nil {
			s.raw(m.text)
		}
		for line := range bytes.SplitSeq(m.text, []byte("\n")) {
			if len(bytes.TrimSpace(line)) == 0 {
				continue
			}
			v, err := decode(line)
			if err != nil {
				s.t.Fatalf("not JSON: %v: %s", err, line)
			}
			s.waiting = append(s.waiting, value{s.t, v})
		}
	}
	m := s.waiting[0]
	s.waiting = s.waiting[1:]
	s.take(m)
	return m, nil
}

// next takes in messages up to one of the kind, and gives it.
func (s *socket) next(kind string) value {
	s.t.Helper()
	for {
		m, err := s.receive()
		if err != nil {
			s.t.Fatalf("waiting for %s: closed with %d", kind, s.closed)
		}
		if m.str("t") == kind {
			return m
		}
	}
}

// closeCode waits for the server to close the connection.
func (s *socket) closeCode() int {
	s.t.Helper()
	for {
		if _, err := s.receive(); err != nil {
			return int(s.closed)
		}
	}
}

// settle has everything taken in that was sent before now.
func (s *socket) settle() value {
	s.t.Helper()
	s.send(`{"t":"ping"}`)
	return s.next("at")
}

// reach takes in messages until all deltas up to a version have come.
func (s *socket) reach(version int) {
	s.t.Helper()
	// Asking without a pause would be more messages than a session may send.
	eventually(s.t, f("version %d at the session", version), func() bool { return s.settle().int("version") >= version })
}

// sub subscribes and waits until the view is loaded.
func (s *socket) sub(name, rest string) *viewCopy {
	s.t.Helper()
	s.send(f(`{"t":"sub","sub":%q,%s}`, name, rest))
	return s.loaded(name)
}

// loaded waits for the last frame of a load of the subscription.
func (s *socket) loaded(name string) *viewCopy {
	s.t.Helper()
	for {
		m := s.next("load")
		if m.str("sub") == name && m.bool("done") {
			return s.view(name)
		}
	}
}

func (s *socket) view(sub string) *viewCopy {
	s.t.Helper()
	v := s.views[s.subs[sub]]
	if v == nil {
		s.t.Fatalf("no view for %s", sub)
	}
	return v
}

// refused waits for the error of a subscription.
func (s *socket) refused(sub, code string) value {
	s.t.Helper()
	for {
		m := s.next("error")
		if m.has("sub") && m.str("sub") == sub {
			p := m.at("problem")
			checkProblem(s.t, p, code)
			return p
		}
	}
}

// mutate sends a transaction and waits for its ack.
func (s *socket) mutate(ops string) int {
	s.t.Helper()
	id := newID()
	s.send(f(`{"t":"mutate","mutation":%q,"patch":%s}`, id, ops))
	for {
		m, err := s.receive()
		if err != nil {
			s.t.Fatalf("closed with %d", s.closed)
		}
		switch {
		case m.str("t") == "ack" && m.str("mutation") == id:
			return m.int("version")
		case m.str("t") == "reject":
			s.t.Fatalf("rejected: %s", m)
		}
	}
}

// rejects sends a transaction and waits for its reject.
func (s *socket) rejects(ops, code string) value {
	s.t.Helper()
	id := newID()
	s.send(f(`{"t":"mutate","mutation":%q,"patch":%s}`, id, ops))
	for {
		m := s.next("reject")
		if m.str("mutation") == id {
			checkProblem(s.t, m.at("problem"), code)
			return m.at("problem")
		}
	}
}

// take keeps the copies up to date, as the contract says.
func (s *socket) take(m value) {
	s.t.Helper()
	switch m.str("t") {
	case "load":
		s.takeLoad(m)
	case "delta":
		v := s.views[m.str("view")]
		if v == nil {
			s.t.Fatalf("a delta of a view that was not loaded: %s", m)
		}
		n := m.int("version")
		if n < v.version || n == v.version && !v.partial {
			s.t.Fatalf("delta %d after version %d of the view: %s", n, v.version, m)
		}
		if n < s.last {
			s.t.Fatalf("delta %d after version %d was reached: %s", n, s.last, m)
		}
		m.str("at")
		s.takeEntries(v, m, n)
		if m.has("roots") {
			v.roots = m.at("roots").v.([]any)
		}
		v.version, v.partial, s.last = n, !m.bool("done"), n
		if !v.partial {
			s.checkWhole(v, m)
		}
	case "ack":
		n := m.int("version")
		s.acked[m.str("mutation")] = n
	case "at":
		n := m.int("version")
		if n < s.last {
			s.t.Fatalf("at %d after %d: %s", n, s.last, m)
		}
		s.last = n
		for id, sum := range m.members("digests") {
			v := s.views[id]
			if v == nil {
				s.t.Fatalf("a digest of an unknown view %s: %s", id, m)
			}
			if got := fmt.Sprint(v.digest()); got != fmt.Sprint(sum) {
				s.t.Fatalf("the view %s has the digest %s, the copy %s at version %d: %v", id, sum, got, v.version, v.ids())
			}
		}
	}
}

func (s *socket) takeLoad(m value) {
	s.t.Helper()
	sub, id, n := m.str("sub"), m.str("view"), m.int("version")
	v := s.views[id]
	old := s.views[s.subs[sub]]
	if v == nil || !v.partial {
		next := &viewCopy{id: id, objects: map[string]map[string]any{}, edges: map[string]map[string]any{}}
		if m.has("reset") {
			m.is("reset", "true")
		}
		// Without reset a load of a subscription that has been loaded holds the
		// difference from what it had.
		if old != nil && !m.has("reset") {
			next.objects, next.edges, next.roots = maps.Clone(old.objects), maps.Clone(old.edges), old.roots
		}
		if !m.has("total") {
			s.t.Fatalf("the first frame of a load has total: %s", m)
		}
		next.total = m.int("total")
		v = next
		s.views[id] = v
	}
	s.subs[sub], v.key, v.version = id, m.str("key"), n
	v.inFrames += len(m.members("objects")) + len(m.members("edges"))
	s.takeEntries(v, m, n)
	v.partial = !m.bool("done")
	if m.has("roots") {
		v.roots = m.at("roots").v.([]any)
	}
	if !v.partial {
		if v.inFrames != v.total {
			s.t.Fatalf("a load of %d entities says %d", v.inFrames, v.total)
		}
		if !m.has("digest") || !m.has("roots") {
			s.t.Fatalf("the last frame of a load has digest and roots: %s", m)
		}
		if got := fmt.Sprint(v.digest()); got != fmt.Sprint(m.at("digest").v) {
			s.t.Fatalf("digest %s, the copy has %s: %s\n%v", m.at("digest"), got, m, v.ids())
		}
		s.checkWhole(v, m)
	}
}

// checkWhole holds a view to what is true of every view between two messages.
func (s *socket) checkWhole(v *viewCopy, m value) {
	s.t.Helper()
	for id, e := range v.edges {
		for _, end := range []string{"from", "to"} {
			if v.objects[e[end].(string)] == nil {
				s.t.Fatalf("edge %s leads to %v, which is not in the view, after %s", id, e[end], m)
			}
		}
	}
	for _, r := range v.roots {
		if v.objects[r.(string)] == nil {
			s.t.Fatalf("root %v is not in the view after %s", r, m)
		}
	}
}

func (s *socket) takeEntries(v *viewCopy, m value, n int) {
	s.t.Helper()
	for part, copies := range map[string]map[string]map[string]any{"objects": v.objects, "edges": v.edges} {
		for id, raw := range m.members(part) {
			entry := raw.(map[string]any)
			switch {
			case entry["type"] != nil || entry["label"] != nil:
				copies[id] = entry
			case entry["enter"] != nil:
				copies[id] = entry["enter"].(map[string]any)
			case entry["leave"] != nil:
				if l := entry["leave"]; l != "deleted" && l != "unlinked" && l != "forbidden" {
					s.t.Fatalf("leave %v: %s", l, m)
				}
				if copies[id] == nil {
					s.t.Fatalf("%s leaves and was not there: %s", id, m)
				}
				delete(copies, id)
			case entry["patch"] != nil:
				old := copies[id]
				if old == nil {
					s.t.Fatalf("a patch for %s, which is not in the view: %s", id, m)
				}
				have := value{s.t, old}.int("meta.version")
				if have >= (value{s.t, entry}).int("version") {
					continue
				}
				if was := (value{s.t, entry}).int("was"); was != have {
					s.t.Fatalf("%s is at %d, the delta was made for %d: %s", id, have, was, m)
				}
				next, err := applyPatch(copied(old), copied(entry["patch"]).([]any))
				if err != nil {
					s.t.Fatalf("%v: %s", err, m)
				}
				c := next.(map[string]any)
				c["meta"] = entry["meta"]
				if got := (value{s.t, c}).int("meta.version"); got != (value{s.t, entry}).int("version") || got > n {
					s.t.Fatalf("meta of another version: %s", m)
				}
				copies[id] = c
			default:
				s.t.Fatalf("%s is none of whole, patch, enter and leave: %s", id, m)
			}
		}
	}
}

func (v *viewCopy) digest() uint32 {
	var sum uint32
	for _, copies := range []map[string]map[string]any{v.objects, v.edges} {
		for id, e := range copies {
			h := fnv.New32a()
			fmt.Fprintf(h, "%s:%s", id, e["meta"].(map[string]any)["version"])
			sum += h.Sum32()
		}
	}
	return sum
}

func (v *viewCopy) ids() []string {
	var out []string
	for _, copies := range []map[string]map[string]any{v.objects, v.edges} {
		for id, e := range copies {
			out = append(out, fmt.Sprintf("%s:%s", id, e["meta"].(map[string]any)["version"]))
		}
	}
	return out
}

func (v *viewCopy) body(t testing.TB, id string) value {
	t.Helper()
	o := v.objects[id]
	if o == nil {
		t.Fatalf("%s is not in the view", id)
	}
	return value{t, o["body"]}
}

// same holds the copy against what a load answers now.
func (s *socket) same(user, sub, projection string) {
	s.t.Helper()
	a := s.w.as(user).load(projection)
	s.sameAs(a, sub)
}

func (s *socket) sameAs(a *answer, sub string) {
	s.t.Helper()
	j := a.want(200).json()
	v := s.view(sub)
	if v.version < j.int("version") {
		s.reach(j.int("version"))
		v = s.view(sub)
	}
	objects, edges := map[string]any{}, map[string]any{}
	for id, o := range v.objects {
		objects[id] = o
	}
	for id, e := range v.edges {
		edges[id] = e
	}
	if want := j.at("objects").v; !equal(objects, want) {
		s.t.Fatalf("the copy's objects are\n%s\nthe load's\n%s", value{s.t, objects}, value{s.t, want})
	}
	if want := j.at("edges").v; !equal(edges, want) {
		s.t.Fatalf("the copy's edges are\n%s\nthe load's\n%s", value{s.t, edges}, value{s.t, want})
	}
	if want := j.at("roots").v; !equal(any(v.roots), want) {
		s.t.Fatalf("the copy's roots are\n%s\nthe load's\n%s", v.roots, value{s.t, want})
	}
}
