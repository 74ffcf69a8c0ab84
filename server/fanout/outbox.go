package fanout

import (
	"cmp"
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/internal/sabotage"
	"github.com/graphtide/graphtide/server/protocol"
)

// item is something for one session alone, in its place between the deltas.
type item struct {
	// at is the version that deltas have to reach before the item goes out;
	// 0 does not wait for any.
	at    graph.Version
	held  graph.Version      // the view as the client holds it until then; 0: it holds nothing
	sub   *subscription      // for whom, where it is for one
	text  []byte             // a whole message, or
	body  *body              // shared frames, whole or,
	head  *protocol.LoadHead // where set, to be written behind this head
	whole bool               // the load does not build on what the client holds
	last  protocol.CloseCode // set: nothing follows, and the connection closes so
}

// weight is about how much memory the item keeps.
func (it *item) weight() int {
	w := itemWeight + len(it.text)
	if it.body != nil {
		w += it.body.weight
	}
	return w
}

// answer is what became of one mutation: they go out in the order in which the
// mutations came.
type answer struct {
	mutation string
	size     int           // of the mutation
	text     []byte        // nil until it is known
	version  graph.Version // of the commit; 0 for a refusal
}

// part is a piece of what collect found: texts as they are, or a load.
type part struct {
	texts [][]byte
	item  *item // body is set
	size  int
}

// collected is what a session sends next.
type collected struct {
	parts   []part
	size    int
	more    bool // something is left
	lagging bool // the session is to be sent merged deltas, in place of what it has not read
	unseen  bool // presence was left out that there is room for now
	last    protocol.CloseCode
}

func (c *collected) text(t []byte) { c.texts([][]byte{t}, len(t)) }

func (c *collected) texts(t [][]byte, size int) {
	c.parts = append(c.parts, part{texts: t, size: size})
	c.size += size
}

// full reports whether there is enough for one write.
func (c *collected) full() bool { return c.size >= protocol.MaxMessage }

// loadSize stands for the size of a load, which nobody knows before it is
// encoded: large enough to go out before anything else is taken that need not go
// with it.
const loadSize = protocol.MaxMessage

// collect takes what the session can be sent now, in order: items with the
// deltas that go before them, then all other deltas, then the answers to
// mutations whose versions the deltas have reached. It ends where there is enough
// for one write and the client, were it to look then, would see all of its views at
// one version.
func (s *session) collect() (c collected) {
	r := s.relay
	r.feedMu.RLock()
	defer r.feedMu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen > 0 || s.catching {
		return c
	}
	for len(s.items) > 0 {
		it := s.items[0]
		if it.at > 0 {
			if s.anyView(func(sub *subscription) bool { return sub.lost(it.at) }) {
				return s.fallBehind(c)
			}
			if !s.takeDeltas(&c, it.at) {
				c.more = true
				return c
			}
		}
		s.waiting -= it.weight()
		s.items[0] = item{}
		if s.items = s.items[1:]; len(s.items) == 0 {
			s.items = nil
		}
		if it.body != nil {
			c.parts = append(c.parts, part{item: &it, size: loadSize})
			c.size += loadSize
		} else if it.text != nil {
			c.text(it.text)
		}
		if it.last != 0 {
			c.last = it.last
			return c
		}
		if c.full() && !s.torn(it.at) {
			c.more = true
			return c
		}
	}
	// Not before what is queued has gone out: who reads slowly gets on all the same.
	if s.anyView(s.behind) {
		return s.fallBehind(c)
	}
	if !s.takeDeltas(&c, r.head.Version+1) {
		c.more = true
		return c
	}
	s.takeAnswers(&c, r.head.Version)
	s.present.all(s, c.text)
	c.unseen = s.present.ask()
	s.takeAts(&c, r.head.Version)
	return c
}

// takeAts says where the session stands, as often as that was asked for: who sends
// two pings may wait for two answers. The caller holds feedMu and mu.
func (s *session) takeAts(c *collected, at graph.Version) {
	if s.wantAts == 0 {
		return
	}
	if sabotage.On(sabotage.EarlyBookmark) {
		at++
	}
	for text := protocol.AppendAt(nil, at, s.digests()); s.wantAts > 0; s.wantAts-- {
		if c.full() {
			c.more = true
			return
		}
		c.text(text)
	}
}

// anyView reports whether something is so for one of the session's subscriptions that
// has a view.
func (s *session) anyView(is func(*subscription) bool) bool {
	return slices.ContainsFunc(s.subs, func(sub *subscription) bool { return sub.view != nil && is(sub) })
}

// torn reports whether a client that has been sent everything up to a version still
// waits for an item to bring another of its views there. The caller holds mu.
func (s *session) torn(at graph.Version) bool {
	return slices.ContainsFunc(s.items, func(it item) bool { return 0 < it.held && it.held < at })
}

// dueFrame is a delta that a subscription has not been sent.
type dueFrame struct {
	sub   *subscription
	frame *frame
}

// takeDeltas takes the deltas of all views that cover something before a
// version, oldest version first; false where there are more than go into one
// write. The deltas of one version are never parted, and a view that several
// subscriptions share sends each delta once. The caller holds feedMu and mu.
func (s *session) takeDeltas(c *collected, before graph.Version) bool {
	if len(s.subs) == 1 {
		return s.takeFrom(c, s.subs[0], before)
	}
	var few [8]dueFrame // mostly enough
	due := few[:0]
	for _, sub := range s.subs {
		if sub.view == nil {
			continue
		}
		for _, f := range sub.view.feed.after(sub.cursor) {
			if f.from >= before {
				break
			}
			due = append(due, dueFrame{sub, f})
		}
	}
	if len(due) > 1 {
		slices.SortStableFunc(due, func(a, b dueFrame) int {
			if v := cmp.Compare(a.frame.to, b.frame.to); v != 0 {
				return v
			}
			return cmp.Compare(a.sub.view.id, b.sub.view.id)
		})
	}
	for i, d := range due {
		if c.full() && (i == 0 || due[i-1].frame.to != d.frame.to) && !s.torn(d.frame.to) {
			return false
		}
		if i == 0 || due[i-1].frame != d.frame {
			c.texts(d.frame.texts, d.frame.size)
		}
		if i == 0 && len(due) > 1 && sabotage.On(sabotage.AckFastest) {
			s.takeAnswers(c, due[len(due)-1].frame.to)
		}
		d.sub.cursor = d.frame.to
	}
	return true
}

// takeFrom is takeDeltas for a session with one subscription: it takes what all
// others who are as far take, and shares the bytes with them.
func (s *session) takeFrom(c *collected, sub *subscription, before graph.Version) bool {
	if sub.view == nil {
		return true
	}
	f := &sub.view.feed
	frames := f.after(sub.cursor)
	n, size := 0, 0
	for n < len(frames) && frames[n].from < before && c.size+size < protocol.MaxMessage {
		size += frames[n].size
		n++
	}
	all := n == len(frames) || frames[n].from >= before
	switch frames = frames[:n]; {
	case n == 0:
		return all
	case n == 1 || c.size+size+n > protocol.MaxMessage:
		for _, fr := range frames {
			c.texts(fr.texts, fr.size)
		}
	default:
		c.text(f.join(frames, size))
	}
	sub.cursor = frames[n-1].to
	return all
}

// takeAnswers takes the answers that are next and whose versions are reached.
func (s *session) takeAnswers(c *collected, reached graph.Version) {
	n := 0
	for _, a := range s.answers {
		if a.text == nil {
			break
		}
		if a.version > reached && !sabotage.On(sabotage.AckEarly) {
			s.relay.wakeAt(s)
			break
		}
		c.text(a.text)
		s.waiting -= answerWeight + len(a.text)
		s.answers[n] = nil
		n++
	}
	if s.answers = s.answers[n:]; len(s.answers) == 0 {
		s.answers = nil
	}
}

// digests gives those of the session's views. The caller holds feedMu and mu.
func (s *session) digests() []protocol.Digest {
	list := make([]protocol.Digest, 0, len(s.subs))
	for _, sub := range s.subs {
		if sub.view != nil {
			list = append(list, protocol.Digest{View: sub.view.id, Sum: sub.view.feed.digest})
		}
	}
	protocol.SortDigests(list)
	return slices.Compact(list)
}
