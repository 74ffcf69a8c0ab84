package fanout

import (
	"context"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/server/protocol"
)

// tick is the grain of everything that happens with time: pings, `at` messages,
// stalls, expired tokens, views that nobody wants any more.
const tick = time.Second

// feedAge is how long a delta is kept for sessions that have not read it, and
// for those who come back.
const feedAge = 5 * time.Minute

// fewPings are no burden to a relay in one tick.
const fewPings = 100

// keepHouse does what is due; true ends the relay.
func (r *relay) keepHouse(now time.Time) bool {
	r.forget(now)
	r.archive.expire(now)
	for _, v := range r.views() {
		if len(v.subs) == 0 && now.Sub(v.idle) >= r.hub.cfg.Linger {
			r.drop(v)
		}
		if now.Sub(v.loaded) >= loadAge {
			v.load, v.diffs = nil, nil
		}
	}
	r.index.tell()
	// Of thousands who came at once, because a node went, not all are asked for a sign
	// of life at once ever after.
	list := r.list()
	pings := max(fewPings, len(list)/max(1, int(r.hub.cfg.Ping/tick)))
	for _, s := range list {
		if s.keepHouse(now, pings > 0) {
			pings--
		}
	}
	if r.presence.due(now) {
		r.step([]command{{run: func(s *step) { s.presence.refresh(s, now) }}})
	}
	r.mu.Lock()
	idle := len(r.sessions) == 0 && len(r.named) == 0 && now.Sub(r.empty) >= r.hub.cfg.Linger
	r.closing = r.closing || idle
	r.mu.Unlock()
	if idle {
		r.hub.retire(r)
	}
	return idle
}

// forget drops deltas that are too old.
func (r *relay) forget(now time.Time) {
	if n := len(r.ages); n == 0 || r.ages[n-1].version != r.head.Version {
		r.ages = append(r.ages, age{now, r.head.Version})
	}
	var upTo graph.Version
	for len(r.ages) > 0 && now.Sub(r.ages[0].at) >= feedAge {
		upTo = r.ages[0].version
		r.ages = r.ages[1:]
	}
	if upTo > 0 {
		r.feedMu.Lock()
		r.backlog.expire(upTo)
		r.feedMu.Unlock()
	}
}

// keepHouse does what is due, a ping only where it may, and tells whether it did that.
func (s *session) keepHouse(now time.Time, mayPing bool) (pinged bool) {
	if s.conn.wire.stuck(now) >= s.hub.cfg.Stall {
		// A close frame cannot overtake what is stuck.
		if s.abandon() {
			s.hub.metrics.close(protocol.CloseStalled)
		}
		return false
	}
	s.mu.Lock()
	expired := s.expires != 0 && now.UnixMilli() >= s.expires
	this := momentOf(now)
	wantAt := this.since(s.lastAt) >= s.hub.cfg.Idle
	if wantAt {
		s.wantAts, s.lastAt = max(s.wantAts, 1), this
	}
	ping := mayPing && this.since(s.lastPing) >= s.hub.cfg.Ping && s.reading.Load() != 0 && s.conn.wire.stuck(now) == 0
	if ping && !s.closed && s.pinging.CompareAndSwap(false, true) {
		s.lastPing, pinged = this, true
		s.helpers.Go(s.ping) // not once closed: run may have waited for all
	}
	s.mu.Unlock()
	if expired {
		s.close(protocol.CloseUnauthenticated)
		return pinged
	}
	if wantAt {
		s.wakeUp()
	}
	return pinged
}

// ping asks for a sign of life. A peer that does not read does not answer,
// however much of what it was sent still fits into the network's buffers. Its
// answer is only found while its messages are read.
func (s *session) ping() {
	defer s.pinging.Store(false)
	began := time.Now()
	// Not within s.ctx: a ping that is cancelled while it is written cuts the
	// connection before the close code is out. Closing ends it as well.
	ctx, cancel := context.WithTimeout(context.Background(), s.hub.cfg.Stall)
	defer cancel()
	err := s.conn.Ping(ctx)
	if err == nil || ctx.Err() == nil || s.ctx.Err() != nil || s.conn.wire.stuck(time.Now()) > 0 {
		return // where the ping itself is stuck, keepHouse sees to it
	}
	if reading := s.reading.Load(); reading != 0 && reading <= int64(momentOf(began)) {
		s.close(protocol.CloseStalled)
	}
}
