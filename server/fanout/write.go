package fanout

import (
	"context"
	"sync"

	"github.com/coder/websocket"

	"github.com/graphtide/graphtide/server/protocol"
)

// buffers hold the messages that are put together from several texts.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxPooled bounds what a buffer may keep of memory.
const maxPooled = protocol.MaxMessage + 64<<10

// writeLoop sends what collect finds until the session ends.
func (s *session) writeLoop() {
	for range s.wake {
		if s.ctx.Err() != nil {
			return
		}
		for more := true; more; {
			c := s.collect()
			if c.lagging {
				s.relay.ask(s.ctx, s.catchingUp())
			}
			if !s.send(&c) {
				s.abandon()
				return
			}
			if len(c.parts) > 0 {
				s.mu.Lock()
				s.freed()
				s.mu.Unlock()
			}
			if c.unseen {
				s.relay.ask(s.ctx, command{run: func(x *step) { x.presence.walk(x, s) }})
			}
			if c.last != 0 {
				s.close(c.last)
				return
			}
			more = c.more
		}
	}
}

// send writes the parts: as few messages as they fit into.
func (s *session) send(c *collected) bool {
	var single []byte // the only text so far: written as it is, without a copy
	buf := buffers.Get().(*[]byte)
	joined := (*buf)[:0]
	defer func() {
		if cap(joined) <= maxPooled {
			*buf = joined[:0]
			buffers.Put(buf)
		}
	}()
	flush := func() bool {
		text := single
		if text == nil {
			text = joined
		}
		ok := len(text) == 0 || s.write(text)
		single, joined = nil, joined[:0]
		return ok
	}
	// add takes one text, that may come in two pieces.
	add := func(head, text []byte) bool {
		size := len(head) + len(text)
		if held := len(single) + len(joined); held > 0 && held+1+size > protocol.MaxMessage && !flush() {
			return false
		}
		switch {
		case single == nil && len(joined) == 0 && len(head) == 0:
			single = text
			return true
		case single != nil:
			joined = append(joined, single...)
			single = nil
		}
		if len(joined) > 0 {
			joined = append(joined, '\n')
		}
		joined = append(joined, head...)
		joined = append(joined, text...)
		return true
	}
	for _, p := range c.parts {
		texts, head := p.texts, []byte(nil)
		if p.item != nil {
			texts = p.item.body.encoded()
			if p.item.head != nil {
				head = p.item.head.Append(nil)
			}
		}
		for _, t := range texts {
			if !add(head, t) {
				return false
			}
		}
	}
	return flush()
}

// write sends one message. It has no deadline of its own, which would cost a
// timer each time: keepHouse ends the session of a peer that does not read.
func (s *session) write(text []byte) bool {
	err := s.conn.Write(context.Background(), websocket.MessageText, text)
	s.hub.metrics.sent.Inc()
	s.hub.metrics.bytes.Add(float64(len(text)))
	return err == nil
}
