package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
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
