package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/graphtide/graphtide/systest/plain"
)

// reader is a client of the websocket that keeps a copy of each view and
// complains of everything that does not fit. It belongs to one goroutine.
type reader struct {
	w       *world
	name    string
	rng     *rand.Rand
	p       principal
	was     *principal // until a renewed token has taken effect, the rights before it
	fence   string     // the subscription whose load tells that it has
	session string
	writes  bool
	subs    []*sub
	names   int      // given to subscriptions
	pending []*asked // in the order sent

	// Of one connection:
	conn     *websocket.Conn
	in       chan []byte
	node     int
	law      int // the schema that it was told of
	epoch    string
	last     int // the highest version of any message
	views    map[string][]*sub
	pinged   time.Time // of a ping without an answer; zero: none
	at       int       // of the newest `at`
	partial  bool      // a load or a delta is coming in frames
	over     bool      // what follows on this connection does not count
	slowTill time.Time
	stalled  time.Time // until when nothing is read
	sent     int       // the version that was known when the last request went out

	commands chan string
	target   int                    // the version to settle at
	behind   atomic.Pointer[string] // why it has not settled
}

// sub is a subscription and what is held of it.
type sub struct {
	name    string
	query   int
	view    string
	key     string
	epoch   string
	version int // that the copy is at
	held    held
	loaded  bool // on this connection
	asked   int  // the version that it was resumed at; -1: from the start
	whole   bool // nothing but a reset is right
	frames  int  // entities of the load so far
	total   int
	pasts   []past
}

// past is what was held some time ago.
type past struct {
	version    int
	held       held
	key, epoch string
}

// asked is a mutation that was sent over the socket.
type asked struct {
	op  op
	r   *record
	who principal // when it was sent last: its rights count
	lo  int
}

func newReader(w *world, n int) *reader {
	user := w.plan.Users[n]
	r := &reader{w: w, name: fmt.Sprintf("reader %d (%s) of %s", n, user, w.graph), rng: rand.New(rand.NewPCG(w.o.Seed, uint64(500+n))),
		p: principalOf(user, nil), session: newID(), writes: n%2 == 0 && w.graph == graphName, commands: make(chan string, 4)}
	for i, q := range w.plan.Queries[n] {
		r.names = i
		r.subs = append(r.subs, &sub{name: fmt.Sprintf("s%d", i), query: q, asked: -1, held: newHeld()})
	}
	return r
}

func (r *reader) violate(f *fault) {
	r.w.violate(f.check, "%s on node %d at %d: %s", r.name, r.node, r.last, f.text)
	if strings.HasPrefix(f.check, "S2") {
		r.w.count(cSkipped, 1)
	}
	if strings.HasPrefix(f.check, "S3") {
		r.w.count(cDuplicated, 1)
	}
}

// who are the principals that the reader may stand for this moment.
func (r *reader) who() []int {
	out := []int{r.w.notes.as(r.p)}
	if r.was != nil {
		out = append(out, r.w.notes.as(*r.was))
	}
	return out
}

// run keeps the reader connected until ctx ends.
func (r *reader) run(ctx context.Context) {
	for ctx.Err() == nil && !r.settled() {
		r.node = r.rng.IntN(len(r.w.urls))
		if err := r.connect(ctx); err == nil {
			r.serve(ctx)
		}
		if r.conn != nil {
			r.conn.CloseNow()
			r.conn = nil
		}
		pause(ctx, r.rng, 60*time.Millisecond)
	}
}

func (r *reader) connect(ctx context.Context) error {
	dial, cancel := context.WithTimeout(ctx, clientPatience)
	defer cancel()
	url := "ws" + strings.TrimPrefix(r.w.urls[r.node], "http") + r.w.path("/sync")
	conn, _, err := websocket.Dial(dial, url, &websocket.DialOptions{Subprotocols: []string{"graphtide.v1"}})
	if err != nil {
		return err
	}
	conn.SetReadLimit(16 << 20)
	r.conn, r.views, r.last, r.at, r.partial, r.over, r.pinged = conn, map[string][]*sub{}, 0, 0, false, false, time.Time{}
	r.was, r.fence = nil, ""
	for _, s := range r.subs {
		s.loaded, s.view = false, ""
	}
	ids := []string{}
	for _, a := range r.pending {
		ids = append(ids, a.r.id)
	}
	r.say(map[string]any{"t": "hello", "token": token(r.p), "session": r.session, "pending": ids})
	in := make(chan []byte) // without a buffer: who does not take stops the connection
	r.in = in
	go func() {
		defer close(in)
		for {
			_, text, err := conn.Read(ctx)
			if err != nil {
				r.w.closedWith(websocket.CloseStatus(err), err)
				return
			}
			select {
			case in <- text:
			case <-ctx.Done():
				return
			}
		}
	}()
	return nil
}

// closedWith judges why a connection ended.
func (w *world) closedWith(code websocket.StatusCode, err error) {
	if code == 4404 && w.mayBeAbsent() {
		return
	}
	switch code {
	case 4400, 4401, 4403, 4404, 4408, 4413, 4426, 4429:
		w.violate("S5 resumable", "a connection was closed with %d: %v", code, err)
	}
}

// say sends a message. Of its failing the reading hears as well.
func (r *reader) say(m map[string]any) {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // ours
	}
	r.sent = int(r.w.acked.Load())
	ctx, cancel := context.WithTimeout(context.Background(), clientPatience)
	defer cancel()
	_ = r.conn.Write(ctx, websocket.MessageText, text)
}

// tickTime is how often a reader thinks of doing something by itself.
const tickTime = 40 * time.Millisecond

// serve works until the connection ends.
func (r *reader) serve(ctx context.Context) {
	tick := time.NewTicker(tickTime)
	defer tick.Stop()
	defer func() { // the goroutine that reads must not wait for us
		r.conn.CloseNow()
		for range r.in {
			continue
		}
	}()
	began := time.Now()
	welcome := false
	for {
		in := r.in
		if now := time.Now(); now.Before(r.stalled) || now.Before(r.slowTill) && r.rng.IntN(3) > 0 {
			in = nil
		}
		select {
		case <-ctx.Done():
			return
		case text, ok := <-in:
			if !ok {
				return
			}
			if !r.message(text, &welcome) {
				return
			}
			if r.settled() {
				return
			}
		case c := <-r.commands:
			if r.command(c) {
				return
			}
		case <-tick.C:
			if !welcome && time.Since(began) > clientPatience && time.Now().After(r.stalled) {
				return
			}
			if welcome && !r.act() {
				return
			}
		}
	}
}

// act does what a client does by itself; false gives the connection up.
func (r *reader) act() bool {
	if time.Now().Before(r.stalled) {
		return true
	}
	if !r.pinged.IsZero() && time.Since(r.pinged) > clientPatience {
		return false // the node does not answer: another may
	}
	if r.pinged.IsZero() && (r.target > 0 || r.rng.IntN(10) == 0) {
		r.pinged = time.Now()
		r.say(map[string]any{"t": "ping"})
	}
	if r.writes && !r.w.calm.Load() && len(r.pending) < 6 && r.rng.Float64() < r.eagerness() {
		r.write()
	}
	return true
}

// eagerness is the chance that a reader writes at a tick: all who do write as much
// as all writers over HTTP.
func (r *reader) eagerness() float64 {
	all := float64(r.w.o.Writers) * float64(tickTime) / float64(r.w.o.Pace) / 2
	return all / float64((r.w.o.Readers+1)/2)
}

// write asks for a transaction.
func (r *reader) write() {
	o := r.w.things.next(r.rng, r.p)
	if r.rng.IntN(2) == 0 {
		if wide, ok := r.wide(); ok {
			o = wide
		}
	}
	a := &asked{op: o, r: r.w.journal.begins(newID(), r.p.user, o, int(r.w.acked.Load()))}
	r.pending = append(r.pending, a)
	r.ask(a)
}

func (r *reader) ask(a *asked) {
	a.lo, a.who = int(r.w.acked.Load()), r.p
	r.w.journal.sends(a.r, a.who, r.node)
	r.say(map[string]any{"t": "mutate", "mutation": a.r.id, "patch": a.op.patch})
}

// command does what the tormentor asks for; true ends the connection.
func (r *reader) command(c string) bool {
	if _, err := fmt.Sscanf(c, "settle %d", &r.target); err == nil {
		r.settled()
		return false
	}
	switch c {
	case "cut":
		return true
	case "stall":
		r.stalled = time.Now().Add(time.Duration(1+r.rng.IntN(5)) * time.Second)
	case "slow":
		r.slowTill = time.Now().Add(3 * time.Second)
	case "heal":
		r.stalled, r.slowTill = time.Time{}, time.Time{}
	case "token":
		if r.p.admin || r.was != nil {
			return false
		}
		old := r.p
		r.p, r.was = principalOf(r.p.user, r.rng), &old
		r.say(map[string]any{"t": "token", "token": token(r.p)})
		r.fence = newID()[:13]
		r.say(map[string]any{"t": "sub", "sub": r.fence, "projection": map[string]any{"root": newID()}})
	case "token-between": // what is unanswered will be asked for again with other rights
		if r.p.admin || !r.writes || r.w.calm.Load() {
			return false
		}
		for range 3 {
			r.write()
		}
		r.p = principalOf(r.p.user, r.rng)
		return true
	case "resume-past", "resume-zero", "resume-head", "resume-beyond", "resume-other-epoch", "resume-other-key":
		again := r.resubscribe(r.subs[r.rng.IntN(len(r.subs))], c)
		if again && r.writes && !r.w.calm.Load() && len(r.pending) < 6 {
			r.write() // its answer has to wait for that, too
		}
	}
	return false
}

// resubscribe asks for a view again, from some version that the reader claims
// to hold, and does; false where this is not the time to.
func (r *reader) resubscribe(s *sub, how string) bool {
	if !s.loaded || r.partial || r.was != nil {
		return false
	}
	delete(r.views, s.view)
	for _, other := range r.subs { // it may share the view
		if other != s && other.view == s.view {
			r.views[s.view] = append(r.views[s.view], other)
		}
	}
	s.loaded, s.view, s.whole = false, "", false
	version, epoch, key := max(s.version, 0), s.epoch, s.key
	switch how {
	case "resume-past":
		if len(s.pasts) > 0 {
			p := s.pasts[r.rng.IntN(len(s.pasts))]
			s.held, version, epoch, key = p.held.clone(), p.version, p.epoch, p.key
		}
	case "resume-zero":
		s.held, version = newHeld(), 0
	case "resume-beyond":
		version, s.whole = r.last+1_000_000, true
	case "resume-other-epoch":
		epoch, s.whole = newID(), true
	case "resume-other-key":
		key, s.whole = "another", true
	}
	s.version = version
	// Under its old name something may be on its way that is no answer to this.
	r.say(map[string]any{"t": "unsub", "sub": s.name})
	r.names++
	s.name = fmt.Sprintf("s%d", r.names)
	r.subscribe(s, version, epoch, key)
	return true
}

func (r *reader) subscribe(s *sub, since int, epoch, key string) {
	m := map[string]any{"t": "sub", "sub": s.name, "projection": r.w.things.queries[s.query].doc}
	if s.asked = since; since >= 0 {
		m["since"], m["epoch"], m["key"] = since, epoch, key
	}
	s.epoch, s.key, s.frames = epoch, key, 0
	r.say(m)
}

// message takes a message in; false ends the connection.
func (r *reader) message(text []byte, welcome *bool) bool {
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		v, err := plain.Decode(line)
		m, ok := v.(map[string]any)
		if err != nil || !ok {
			r.violate(&fault{"S2 gap-free", fmt.Sprintf("not JSON: %v: %.200s", err, line)})
			return false
		}
		// A node that drains lets those go that it has not welcomed yet.
		if !*welcome && m["t"] != "welcome" && m["t"] != "bye" {
			r.violate(&fault{"S5 resumable", fmt.Sprintf("before the welcome: %.200s", line)})
			return false
		}
		*welcome = true
		if f := r.line(m, line); f != nil {
			r.violate(f)
			return false
		}
		if m["t"] == "bye" || r.over {
			return false
		}
	}
	if !r.partial && len(text) < 256<<10 { // what is larger may go on in the next message
		if f := r.boundary(); f != nil {
			r.violate(f)
			return false
		}
	}
	return true
}

// line takes one object in.
func (r *reader) line(m map[string]any, raw []byte) *fault {
	w := r.w
	version := toInt(m["version"])
	seen := sighting{lo: version, who: r.who(), objects: marked(raw), source: fmt.Sprintf("%v at %d to %s", m["t"], version, r.name)}
	defer func() { w.notes.seen(seen) }()
	switch m["t"] {
	case "welcome":
		return r.welcome(m)
	case "load", "delta":
		w.saw(version)
		w.count(cDeliveries, 1)
		for _, part := range []string{"objects", "edges"} {
			all, _ := m[part].(map[string]any)
			for id, e := range all {
				entry, _ := e.(map[string]any)
				if entry["leave"] != nil {
					continue
				}
				if part == "objects" {
					seen.objects = append(seen.objects, id)
				} else {
					seen.edges = append(seen.edges, id)
				}
			}
		}
		if version < r.last {
			return &fault{"S1 ordered", fmt.Sprintf("%v of %d after %d", m["t"], version, r.last)}
		}
		if m["t"] == "load" {
			return r.load(m, version)
		}
		return r.delta(m, version)
	case "ack":
		w.saw(version)
		return r.answered(m, func(a *asked) {
			w.acknowledge(a.r, version)
			if a.op.done != nil {
				a.op.done()
			}
			w.count(cOverSocket, 1)
			r.reached(version)
			r.last = max(r.last, version)
		})
	case "reject":
		problem, _ := m["problem"].(map[string]any)
		seen.lo, seen.by = r.sent, time.Now()
		if len(r.pending) > 0 {
			seen.lo = r.pending[0].lo
		}
		code, _ := problem["code"].(string)
		if code == "unavailable" || code == "rate-limited" {
			return r.again(m)
		}
		return r.answered(m, func(a *asked) { w.refuse(a.r, a.who, code, problem, a.lo) })
	case "at":
		w.saw(version)
		if version < r.last {
			return &fault{"S6 bookmarkable", fmt.Sprintf("at %d after %d", version, r.last)}
		}
		r.last, r.at, r.pinged = version, version, time.Time{}
		digests, _ := m["digests"].(map[string]any)
		for view, sum := range digests {
			for _, s := range r.views[view] {
				if got := fmt.Sprint(s.held.digest); got != fmt.Sprint(sum) {
					return &fault{"S7 convergent", fmt.Sprintf("at %d the digest of query %d is %v, the copy has %s: %v", version, s.query, sum, got, s.held.versions())}
				}
			}
		}
	case "schema":
		if version < r.law {
			return &fault{"F20 schema under load", fmt.Sprintf("the schema %d is told after %d", version, r.law)}
		}
		r.law = version
	case "error":
		problem, _ := m["problem"].(map[string]any)
		seen.lo, seen.by = r.sent, time.Now()
		if c := problem["code"]; c != "unavailable" && c != "rate-limited" {
			return &fault{"S5 resumable", fmt.Sprintf("%.500s", raw)}
		}
		r.over = true // and from the start
	default:
		seen.lo, seen.by = r.sent, time.Now()
	}
	return nil
}

// welcome begins a connection: what was committed is settled, the rest is sent
// again, and views are resumed where they were left.
func (r *reader) welcome(m map[string]any) *fault {
	r.epoch, r.law = text(m["epoch"]), toInt(m["schema"])
	applied, _ := m["applied"].(map[string]any)
	r.pending = slices.DeleteFunc(r.pending, func(a *asked) bool {
		v, ok := applied[a.r.id]
		if ok {
			r.w.acknowledge(a.r, toInt(v))
			if a.op.done != nil {
				a.op.done()
			}
		}
		return ok
	})
	if f := r.w.judgeEpoch(r.epoch); f != nil {
		return f
	}
	for _, a := range r.pending {
		r.w.journal.unanswered(a.r)
		r.ask(a)
	}
	for _, s := range r.subs {
		s.whole = false
		if s.key == "" {
			r.subscribe(s, -1, "", "")
			continue
		}
		s.whole = s.epoch != r.epoch
		r.subscribe(s, s.version, s.epoch, s.key)
	}
	return nil
}

// answered settles the mutation that is next: answers come in order.
func (r *reader) answered(m map[string]any, settle func(*asked)) *fault {
	if len(r.pending) == 0 || r.pending[0].r.id != m["mutation"] {
		return &fault{"W8 known outcome", fmt.Sprintf("an answer out of order: %v", m)}
	}
	a := r.pending[0]
	r.pending = r.pending[1:]
	settle(a)
	return nil
}

// again takes note of a mutation whose outcome is open, and that will be sent
// once more, with those after it, on the next connection.
func (r *reader) again(m map[string]any) *fault {
	if len(r.pending) == 0 || r.pending[0].r.id != m["mutation"] {
		return &fault{"W8 known outcome", fmt.Sprintf("an answer out of order: %v", m)}
	}
	r.over = true
	return nil
}

func (r *reader) load(m map[string]any, version int) *fault {
	name, _ := m["sub"].(string)
	if name != "" && name == r.fence {
		r.was, r.fence = nil, ""
		r.say(map[string]any{"t": "unsub", "sub": name})
		r.last = max(r.last, version)
		return nil
	}
	i := slices.IndexFunc(r.subs, func(s *sub) bool { return s.name == name })
	if i < 0 {
		return nil // a fence of before
	}
	s := r.subs[i]
	view, _ := m["view"].(string)
	reset := m["reset"] == true
	if s.frames == 0 {
		switch {
		case s.loaded && !reset: // other rights: the difference from what was held
		case s.asked < 0 || reset:
			if s.asked >= 0 {
				r.w.count(cResets, 1)
			}
			s.held = newHeld()
		case s.whole:
			return &fault{"S5 resumable", fmt.Sprintf("query %d, resumed with what cannot be built on (since %d, epoch %s of %s), was not reset", s.query, s.asked, s.epoch, r.epoch)}
		default:
			r.w.count(cResumes, 1)
		}
		if version < s.version && !reset {
			return &fault{"S9 monotone", fmt.Sprintf("query %d goes back from %d to %d", s.query, s.version, version)}
		}
		s.total = toInt(m["total"])
		if view != s.view {
			r.views[s.view] = slices.DeleteFunc(r.views[s.view], func(o *sub) bool { return o == s })
			if len(r.views[s.view]) == 0 {
				delete(r.views, s.view)
			}
			r.views[view] = append(r.views[view], s)
		}
		s.view, s.asked, s.whole = view, -1, false
	}
	s.key, _ = m["key"].(string)
	s.epoch = r.epoch
	n, f := r.entries(s, m, version)
	if f != nil {
		return f
	}
	s.frames += n
	s.version, s.loaded, r.last = version, true, version
	if r.partial = m["done"] != true; r.partial {
		return nil
	}
	if s.frames != s.total {
		return &fault{"S2 gap-free", fmt.Sprintf("a load of %d entities says %d", s.frames, s.total)}
	}
	s.frames = 0
	if got := fmt.Sprint(s.held.digest); got != fmt.Sprint(m["digest"]) {
		return &fault{"S7 convergent", fmt.Sprintf("after a load of query %d at %d the digest is %v, the copy has %s: %v", s.query, version, m["digest"], got, s.held.versions())}
	}
	return nil
}

func (r *reader) delta(m map[string]any, version int) *fault {
	view, _ := m["view"].(string)
	subs := r.views[view]
	if len(subs) == 0 {
		return nil // of a subscription that was ended
	}
	for _, s := range subs {
		if version < s.version || version == s.version && !r.partial {
			return &fault{"S3 unique", fmt.Sprintf("a delta of %d for query %d, which is at %d", version, s.query, s.version)}
		}
		if _, f := r.entries(s, m, version); f != nil {
			return f
		}
	}
	for _, s := range subs {
		s.version = version
	}
	r.last, r.partial = version, m["done"] != true
	return nil
}

// entries takes in what leads a copy to a version.
func (r *reader) entries(s *sub, m map[string]any, version int) (n int, f *fault) {
	h := &s.held
	for _, part := range []string{"objects", "edges"} {
		all, _ := m[part].(map[string]any)
		for id, e := range all {
			entry, _ := e.(map[string]any)
			if f := h.take(part, id, entry, version); f != nil {
				return n, f
			}
			if why, leaves := entry["leave"]; leaves {
				// Of several commits that became one message any may be the reason.
				r.w.notes.left(leaving{min(s.version+1, version), version, r.who(), part, id, text(why), fmt.Sprintf("%v to %s", m["t"], r.name)})
			}
			n++
		}
	}
	if m["roots"] != nil {
		h.roots = texts(m["roots"])
	}
	return n, nil
}

// boundary is a moment at which an application would look: all views of the
// session are at one version, whole.
func (r *reader) boundary() *fault {
	for _, s := range r.subs {
		if !s.loaded {
			continue
		}
		if f := s.held.closed(); f != nil {
			return f
		}
		for _, pair := range r.w.things.twins {
			a, b := s.held.objects[pair[0]], s.held.objects[pair[1]]
			if a == nil || b == nil {
				continue
			}
			x, _ := plain.At(a, "/body/pair")
			y, _ := plain.At(b, "/body/pair")
			if !plain.Equal(x, y) {
				return &fault{"S4 atomic", fmt.Sprintf("query %d shows one half of a version: %v and %v", s.query, x, y)}
			}
		}
		s.version = max(s.version, r.last)
		if settled := r.target > 0 && r.at >= r.target; settled || r.rng.IntN(4) == 0 {
			r.w.note(&s.held, s.query, s.version, r.who(), r.name)
		}
		if r.rng.IntN(40) == 0 && r.was == nil {
			if len(s.pasts) == 4 {
				s.pasts = slices.Delete(s.pasts, 0, 1)
			}
			s.pasts = append(s.pasts, past{s.version, s.held.clone(), s.key, s.epoch})
		}
	}
	return nil
}

// settle has the reader go on until it holds everything up to a version and
// knows the fate of all that it asked for.
func (r *reader) settled() bool {
	if r.target == 0 {
		return false
	}
	why := ""
	switch {
	case r.at < r.target:
		why = fmt.Sprintf("it has heard of %d", r.at)
	case len(r.pending) > 0:
		why = fmt.Sprintf("%d mutations are unanswered", len(r.pending))
	case r.partial:
		why = "a message is not whole"
	case r.law < int(r.w.laws.told.Load()):
		why = fmt.Sprintf("it was told of the schema %d, not of %d", r.law, r.w.laws.told.Load())
	case r.was != nil:
		why = "a token has not taken effect"
	}
	for _, s := range r.subs {
		if !s.loaded {
			why += fmt.Sprintf(" query %d is not loaded", s.query)
		}
	}
	if why != "" {
		r.behind.Store(&why)
		return false
	}
	r.behind.Store(nil)
	return true
}
