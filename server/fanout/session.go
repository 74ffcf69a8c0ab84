package fanout

import (
	"context"
	"crypto/sha256"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/internal/sabotage"
	"github.com/graphtide/graphtide/server/protocol"
)

// A session is not read from while more than this waits for it: what waits is
// mostly answers to what it asked.
const (
	maxWaiting = 8 << 20 // bytes to be written
	maxFlying  = 8 << 20 // bytes of unanswered mutations
)

// What things weigh beside their text.
const (
	itemWeight   = 200
	answerWeight = 200
	// askWeight stands for a load that was asked for and is not there yet.
	askWeight = 1 << 20
)

// socket is what a session needs of a *websocket.Conn.
type socket interface {
	Reader(context.Context) (websocket.MessageType, io.Reader, error)
	Write(context.Context, websocket.MessageType, []byte) error
	Ping(context.Context) error
	Close(websocket.StatusCode, string) error
	CloseNow() error
}

// session is one connection that has said hello. Two goroutines serve it: one
// reads messages and asks the relay, one writes what collect finds.
type session struct {
	hub     *Hub
	relay   *relay
	conn    *connection
	id      string // the client's
	ctx     context.Context
	cancel  context.CancelFunc
	wake    chan struct{}  // one place: there may be something to write, or nothing more
	pace    pace           // of the messages; the reading goroutine owns it
	helpers sync.WaitGroup // pings and the closing of the connection

	// handling is held while a message is worked on: who replaces the session
	// waits for it, so that the mutations of both stay in order.
	handling sync.Mutex

	// principal never changes, and is replaced only by another of the same user.
	principal atomic.Pointer[graph.Principal]

	// reading is since when the client's next message is waited for, a moment;
	// 0 while one is worked on, or there is no room for it.
	reading atomic.Int64
	pinging atomic.Bool

	mu       sync.Mutex // guards the fields below; taken after relay.feedMu
	frozen   int32      // the relay is moving subscriptions: nothing is taken out meanwhile
	wantAts  int32      // so many times an `at` was asked for
	catching bool       // the relay was asked for merged deltas
	closed   bool
	expires  int64  // when the token does, in Unix milliseconds; 0 for never
	lastAt   moment // when an `at` was last asked for
	lastPing moment
	subs     []*subscription
	fixed    map[string]struct{} // names that past states were given
	items    []item
	answers  []*answer     // of the mutations sent, in order
	waiting  int           // what items and answers weigh, and loads that were asked for
	flying   int           // bytes of unanswered mutations
	room     chan struct{} // closed when there may be room again for what is asked; nil while nobody waits
	present  *onlooker     // nil until it was told of somebody's presence
}

// rights gives the principal that the session acts as now.
func (s *session) rights() *graph.Principal { return s.principal.Load() }

// user gives the name that the session's tokens bear: it never changes.
func (s *session) user() string { return s.rights().User }

// expiry gives when a session ends with its token, as session.expires.
func expiry(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixMilli()
}

// anonymousSession is the name space of what others are told of.
var anonymousSession = uuid.MustParse("6f1f4b7e-9a0d-4f7b-8a55-6b0a3f0d2c41")

// public gives the id that other sessions know the session by. Whoever has no
// name can prove that a session is his by its id alone: others must not learn it.
func (s *session) public() string {
	if s.user() != "" {
		return s.id
	}
	return uuid.NewHash(sha256.New(), anonymousSession, []byte(s.id), 8).String()
}

// wakeUp makes the writer look for something to write. It never blocks.
func (s *session) wakeUp() { signal(s.wake) }

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// queue adds an item. The caller may hold feedMu.
func (s *session) queue(it item) {
	s.mu.Lock()
	s.push(it)
	s.mu.Unlock()
	s.wakeUp()
}

// lead is queue for the welcome: all were told something, perhaps, since the session
// joined them, and that comes after it.
func (s *session) lead(it item) {
	s.mu.Lock()
	s.items = slices.Insert(s.items, 0, it)
	s.waiting += it.weight()
	s.mu.Unlock()
	s.wakeUp()
}

// push is queue for who holds mu.
func (s *session) push(it item) {
	if s.closed {
		return
	}
	s.items = append(s.items, it)
	s.waiting += it.weight()
}

// drop takes items out that nobody waits for any more. The caller holds mu.
func (s *session) drop(gone func(*item) bool) {
	s.items = slices.DeleteFunc(s.items, func(it item) bool {
		if !gone(&it) {
			return false
		}
		s.waiting -= it.weight()
		return true
	})
}

// subscriptions gives the present ones.
func (s *session) subscriptions() []*subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.subs)
}

// add makes sub one of the session's in the place of the one of its name, which
// it returns; false where there are too many.
func (s *session) add(sub *subscription) (old *subscription, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub.replaces = s.unfix(sub.name)
	for i, other := range s.subs {
		if other.name == sub.name {
			s.subs[i] = sub
			s.forget(other)
			s.waiting += askWeight
			sub.replaces = true
			return other, true
		}
	}
	if len(s.subs) >= s.hub.cfg.Limits.Subscriptions {
		return nil, false
	}
	s.subs = append(s.subs, sub)
	s.waiting += askWeight
	return nil, true
}

// remove forgets the subscription of a name and returns it.
func (s *session) remove(name string) *subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, sub := range s.subs {
		if sub.name == name {
			s.subs = slices.Delete(s.subs, i, i+1)
			s.forget(sub)
			return sub
		}
	}
	return nil
}

// fix gives a name to a past state, and tells whether it was in use.
func (s *session) fix(name string) (again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	again = s.unfix(name)
	if s.fixed == nil {
		s.fixed = map[string]struct{}{}
	}
	s.fixed[name] = struct{}{}
	return again
}

// unfix takes a name back. Of more past states than a session may have subscriptions
// the names are not remembered: any may have been in use. The caller holds mu.
func (s *session) unfix(name string) (was bool) {
	if len(s.fixed) > s.hub.cfg.Limits.Subscriptions {
		s.fixed = map[string]struct{}{anyName: {}}
	}
	_, was = s.fixed[name]
	_, any := s.fixed[anyName]
	delete(s.fixed, name)
	return was || any
}

// anyName, which no subscription has, stands for names that are not remembered.
const anyName = ""

// forget drops what waits for a subscription that has ended: the client, who may
// have given its name to another, must not take it for that one's. The caller
// holds mu.
func (s *session) forget(sub *subscription) {
	s.arrived(sub)
	s.drop(func(it *item) bool { return it.sub == sub })
}

// arrived notes that what a subscription asked for is there, or will not come.
// The caller holds mu.
func (s *session) arrived(sub *subscription) {
	if !sub.served {
		sub.served = true
		s.waiting -= askWeight
		s.freed()
	}
}

// freed wakes who waits for room. The caller holds mu.
func (s *session) freed() {
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
}

// answered files the outcome of a mutation. It never blocks.
func (s *session) answered(a *answer, receipt graph.Receipt, err error) {
	var text []byte
	if err != nil {
		text = protocol.AppendReject(nil, a.mutation, s.hub.problem(err))
	} else {
		text = protocol.AppendAck(nil, a.mutation, receipt.Version)
	}
	s.mu.Lock()
	a.text, a.version = text, receipt.Version
	s.waiting += len(text)
	s.flying -= a.size
	s.freed()
	s.mu.Unlock()
	// The commit's deltas go out first. To wake the writer before they are there
	// would only be in their way.
	if !s.relay.hasReached(receipt.Version) && !sabotage.On(sabotage.AckEarly) {
		s.relay.wakeAt(s)
		if !s.relay.hasReached(receipt.Version) {
			return
		}
	}
	s.wakeUp()
}

// close ends the session with a close code. It does not wait.
func (s *session) close(code protocol.CloseCode) {
	first := s.shut(func() { s.conn.Close(websocket.StatusCode(code), code.Reason()) })
	if first {
		s.hub.metrics.close(code)
	}
}

// abandon ends the session without a word; false where it is being closed already.
func (s *session) abandon() (first bool) {
	return s.shut(func() { s.conn.CloseNow() })
}

// shut ends what is done for the session, and its writer, and has its connection ended;
// false where that has been seen to already. Who has shut it once may wait for the
// helpers: none begins any more.
func (s *session) shut(hangUp func()) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.closed = true
	s.cancel()
	s.wakeUp()
	s.helpers.Go(hangUp)
	return true
}

// bye tells the client when to come back, after what waits for it has gone out.
func (s *session) bye(after time.Duration, code protocol.CloseCode) {
	s.queue(item{text: protocol.AppendBye(nil, after), last: code})
}
