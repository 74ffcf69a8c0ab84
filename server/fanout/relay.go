package fanout

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/schema"
	"github.com/graphtide/graphtide/server/protocol"
)

// maxCommands bounds the commands that one step takes.
const maxCommands = 256

// relay follows one graph for all sessions that have it open. One goroutine
// does all of the work on views, in steps: commits first, then what sessions
// asked for. Sessions wait for the relay; it never waits for one.
type relay struct {
	hub     *Hub
	name    string
	replica *replica.Replica
	lookups sync.WaitGroup
	ending  sync.Once
	stopped chan struct{} // closed to end the goroutine, and where it ends by itself
	life    context.Context
	endLife context.CancelFunc // with stopped
	done    chan struct{}      // closed by it

	wake     chan struct{}    // one place: a step is asked for
	commands chan command     // filled by sessions, who wait where it is full
	held     *command         // owned by the goroutine, as are the fields up to mu
	reg      *schema.Registry // that the views are computed with
	named    map[string][]*view
	index    *index
	presence *presence
	archive  archive
	kept     keptLoads
	nextView int
	asides   int // commands for which something is being loaded
	ages     []age

	mu       sync.Mutex // guards the fields below; taken after feedMu
	sessions map[*session]struct{}
	waiting  map[*session]struct{} // for the relay to reach a version
	closing  bool                  // no session joins any more
	empty    time.Time             // since when there are no sessions

	reached atomic.Int64 // head.Version, for who does not hold feedMu

	feedMu  sync.RWMutex // guards the fields below and all feeds; taken before session.mu
	head    graph.Head   // of the last step
	backlog backlog
}

// age notes when a version was reached.
type age struct {
	at      time.Time
	version graph.Version
}

// command is something that a session asks of the relay. run is called inside
// a step; a command that is alone has the step to itself, and so sees what all
// earlier ones did. Where the step is short of something that run asked for
// (step.short), run must return without having changed anything, and is called
// again later: it asks first, and acts then.
type command struct {
	alone bool
	// together: it may share its step with others of which the same is said, and is
	// alone beside that.
	together bool
	run      func(*step)
	// aside, where set, has what run is short of loaded while the relay goes on, for
	// as long as the context lasts. Its turn comes again behind what was asked
	// meanwhile.
	aside  context.Context
	loaded []*replica.Reading // in earlier turns: ended once run had what it needs
}

func newRelay(h *Hub, r *replica.Replica) *relay {
	l := makeRelay(h, r)
	h.relaying.Go(l.run)
	return l
}

// makeRelay makes a relay that does nothing by itself.
func makeRelay(h *Hub, r *replica.Replica) *relay {
	l := &relay{
		hub: h, name: r.Name(), replica: r,
		stopped: make(chan struct{}), done: make(chan struct{}),
		wake: make(chan struct{}, 1), commands: make(chan command, maxCommands),
		reg: h.cfg.Live.Current(), named: map[string][]*view{}, index: newIndex(h.cfg.Limits.Candidates, r.Hold, r.Release), presence: newPresence(r.Name(), h.peers),
		sessions: map[*session]struct{}{}, waiting: map[*session]struct{}{}, empty: time.Now(),
		head:    r.Head(),
		backlog: backlog{limit: h.cfg.FeedBytes},
		kept:    keptLoads{limit: h.cfg.FeedBytes},
	}
	l.reached.Store(int64(l.head.Version))
	l.life, l.endLife = context.WithCancel(context.Background())
	return l
}

// wakeUp asks for a step. It never blocks.
func (r *relay) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// ask hands a command to the relay; false where the relay or ctx has ended.
func (r *relay) ask(ctx context.Context, c command) bool {
	// Mostly there is room. Only who waits needs the channel of the context, which would
	// be a tenth of what an idle session costs.
	select {
	case <-r.stopped:
		return false
	default:
	}
	select {
	case r.commands <- c:
		return true
	default:
	}
	select {
	case r.commands <- c:
		return true
	case <-r.stopped:
		return false
	case <-ctx.Done():
		return false
	}
}

func (r *relay) run() {
	defer close(r.done)
	defer r.lookups.Wait()
	defer r.end()
	defer r.replica.Watch(r.wakeUp)()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	r.step(nil) // what was committed before Watch
	for {
		var first *command
		if r.held != nil {
			first, r.held = r.held, nil
		} else {
			select {
			case <-r.stopped:
				return
			case <-r.replica.Closed():
				r.mu.Lock()
				r.closing = true
				r.mu.Unlock()
				r.dissolve()
				return
			case <-r.wake:
			case c := <-r.commands:
				first = &c
			case now := <-ticker.C:
				if r.keepHouse(now) {
					return
				}
				continue
			}
		}
		r.step(r.gather(first))
	}
}

// gather takes what else is waiting. A command that must be alone comes alone, those
// that may be together come together.
func (r *relay) gather(first *command) []command {
	var list []command
	if first != nil {
		if list = append(list, *first); first.alone {
			return list
		}
	}
	for len(list) < maxCommands {
		select {
		case c := <-r.commands:
			if c.alone || len(list) > 0 && c.together != list[0].together {
				r.held = &c
				return list
			}
			list = append(list, c)
		default:
			return list
		}
	}
	return list
}

// step brings all views to the replica's version, runs the commands, and
// publishes what came of both at once. What the replica does not hold is loaded
// in between; a command that needs it, or that comes too early, is run again,
// after what the others did has been published.
func (r *relay) step(commands []command) {
	reading := r.replica.Begin()
	defer reading.End()
	for {
		s := &step{relay: r, lens: r.hub.lens(r)}
		renewed, advanced := false, false
		complete := reading.Try(func(st *replica.State) {
			s.st, s.head, s.missed = st, st.Head(), st.Missed()
			if s.head.Epoch != r.head.Epoch {
				renewed = true
				return
			}
			if advanced = s.advance(); !advanced {
				return
			}
			s.missed = st.Missed()
			if reg := r.hub.cfg.Live.Current(); reg != r.reg {
				s.newSchema(reg)
			}
			commands = s.runAll(commands)
			r.index.tell()
		})
		s.st = nil
		if renewed {
			// What was asked is done all the same: some of it is farewells.
			r.renew(s.head)
			continue
		}
		if advanced {
			s.publish()
		}
		if complete && len(commands) == 0 || !complete && !r.load(r.life, reading) {
			return
		}
	}
}

// load brings what a step was short of. It waits for as long as the store is
// away; false where the relay ends, or ctx.
func (r *relay) load(ctx context.Context, reading *replica.Reading) bool {
	for {
		err := reading.Load(ctx)
		if err == nil {
			return true
		}
		select {
		case <-r.stopped:
			return false
		case <-ctx.Done():
			return false
		default:
		}
		r.hub.cfg.Log.Error("load what views need", "graph", r.name, "err", err)
		select {
		case <-time.After(loadAgain):
		case <-r.stopped:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// loadAgain is the pause after a load that failed.
const loadAgain = 500 * time.Millisecond

// views gives all views, for loops in which some come and go.
func (r *relay) views() []*view {
	var out []*view
	for _, views := range r.named {
		out = append(out, views...)
	}
	return out
}

// renew starts anew with another epoch. What sessions hold counts for nothing
// now; they come back and are told so.
func (r *relay) renew(head graph.Head) {
	for _, v := range r.views() {
		r.index.abandon(v)
		r.hub.metrics.views.Dec()
	}
	r.index.tell()
	r.named, r.ages = map[string][]*view{}, nil
	r.archive = archive{}
	letGo(r.list(), protocol.CloseDraining)
	r.feedMu.Lock()
	r.head = head
	r.reached.Store(int64(head.Version))
	r.backlog = backlog{limit: r.backlog.limit}
	r.feedMu.Unlock()
}

func (r *relay) list() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*session, 0, len(r.sessions))
	for s := range r.sessions {
		out = append(out, s)
	}
	return out
}

// drop forgets a view.
func (r *relay) drop(v *view) {
	r.index.abandon(v)
	list := r.named[v.text]
	for i, w := range list {
		if w == v {
			list[i] = list[len(list)-1]
			list[len(list)-1] = nil
			list = list[:len(list)-1]
			break
		}
	}
	if len(list) == 0 {
		delete(r.named, v.text)
	} else {
		r.named[v.text] = list
	}
	r.hub.metrics.views.Dec()
}

// join makes a session one of the relay's; false where the relay is ending.
func (r *relay) join(s *session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return false
	}
	r.sessions[s] = struct{}{}
	return true
}

// leave takes a session out, with its subscriptions and its presence.
func (r *relay) leave(s *session) {
	r.mu.Lock()
	_, here := r.sessions[s]
	delete(r.sessions, s)
	delete(r.waiting, s)
	if len(r.sessions) == 0 {
		r.empty = time.Now()
		if r.closing {
			r.wakeUp()
		}
	}
	r.mu.Unlock()
	if here {
		r.ask(context.Background(), command{run: func(x *step) { x.leave(s) }})
	}
}

// wakeAt wakes the session once the relay has passed another step. The caller
// may hold feedMu and session.mu.
func (r *relay) wakeAt(s *session) {
	r.mu.Lock()
	r.waiting[s] = struct{}{}
	r.mu.Unlock()
}

// hasReached reports whether what came of a version has been published.
func (r *relay) hasReached(v graph.Version) bool { return int64(v) <= r.reached.Load() }

// at gives the version that the relay's sessions are served at.
func (r *relay) at() graph.Head {
	r.feedMu.RLock()
	defer r.feedMu.RUnlock()
	return r.head
}

// stop ends the relay and waits for it.
func (r *relay) stop() {
	r.mu.Lock()
	r.closing = true
	r.mu.Unlock()
	r.end()
	<-r.done
}

func (r *relay) end() {
	r.ending.Do(func() {
		close(r.stopped)
		r.endLife()
	})
}
