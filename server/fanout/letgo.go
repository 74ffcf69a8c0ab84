package fanout

import (
	"context"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/server/protocol"
)

// Those who are let go together come back one after another: the first soon, each
// next one a little later, and the last not later than spreadMax, however many.
const (
	spreadFirst = 200 * time.Millisecond
	spreadEach  = 5 * time.Millisecond
	spreadMax   = 15 * time.Second
)

// spread gives each of those who are let go together a time to come back after.
type spread struct {
	each time.Duration
	gone int
}

func spreadOver(n int) *spread {
	return &spread{each: min(spreadEach, (spreadMax-spreadFirst)/time.Duration(max(n, 1)))}
}

func (s *spread) next() time.Duration {
	after := spreadFirst + time.Duration(s.gone)*s.each
	s.gone++
	return after
}

// letGo ends sessions. Where the code is not final they are told when to come back.
func letGo(list []*session, code protocol.CloseCode) {
	back := spreadOver(len(list))
	for _, s := range list {
		if code.Final() {
			s.close(code)
		} else {
			s.bye(back.next(), code)
		}
	}
}

// dissolve ends a relay whose graph is no more, with its sessions. It is still there
// while they are told; whoever cannot be told any more, because he does not read or
// waits for what the relay would have done, is closed after partingTime.
func (r *relay) dissolve() {
	code := r.successor()
	r.hub.metrics.views.Sub(float64(len(r.views())))
	r.hub.retire(r)
	r.end() // from here on nobody waits to ask it for anything
	letGo(r.list(), code)
	limit := time.NewTimer(partingTime)
	defer limit.Stop()
	for list := r.list(); len(list) > 0; list = r.list() {
		select {
		case <-r.wake: // by the last one, perhaps
		case <-limit.C:
			for _, s := range list {
				s.close(code)
			}
			return
		case <-r.hub.ctx.Done():
			return
		}
	}
}

// partingTime is how long those whose graph is no more may take to be told.
const partingTime = 5 * time.Second

// successorWait bounds the look at what has the name of a graph that is no more.
const successorWait = 5 * time.Second

// successor gives the code for sessions whose graph is no more: come back, where
// another one has its name by now, as after an import.
func (r *relay) successor() protocol.CloseCode {
	ctx, cancel := context.WithTimeout(r.life, successorWait)
	defer cancel()
	if _, err := r.hub.cfg.Replicas.Open(ctx, r.name); graph.CodeOf(err) == graph.CodeNotFound {
		return protocol.CloseNoGraph
	}
	return protocol.CloseDraining
}
