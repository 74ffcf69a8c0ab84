package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// crowd is many sessions that read what they are sent and do next to nothing
// with it: what is measured is the server, which shares the processors with
// them. Frames are read into large buffers and looked through where they lie.
//
// Of the members one in sampled reads everything as a client would. At the end
// what these hold is compared with a fresh load.
type crowd struct {
	w       *world
	members []*member
	wg      sync.WaitGroup
	// arrived gets a token each time a round of deliveries has reached all whom
	// it was to reach (see expect).
	missing atomic.Int64
	arrived chan struct{}
	broken  chan error // one place: the first failure
}

// sampled is how many members there are for each that checks what it reads.
const sampled = 250

type member struct {
	crowd   *crowd
	c       *wsClient
	set     string
	count   atomic.Int64 // changes delivered
	sample  *sample      // nil for most
	timing  *atomic.Bool // when set, times are noted
	latency []time.Duration
}

// newCrowd connects n sessions, eight at a time. what gives the set, projection
// and token of each; "" is the target's own token.
func newCrowd(w *world, n int, what func(i int) (set, projection, token string)) (*crowd, error) {
	cr := &crowd{w: w, members: make([]*member, n), arrived: make(chan struct{}, 1), broken: make(chan error, 1)}
	timing := new(atomic.Bool)
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for k := range errs {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				set, projection, token := what(i)
				if token == "" {
					token = w.t.token
				}
				c, err := w.t.sessionIn(w.graph, token)
				if err == nil {
					err = c.subscribeTo(set, projection)
				}
				if err != nil {
					errs[k] = err
					return
				}
				m := &member{crowd: cr, c: c, set: set, timing: timing}
				if i%sampled == 0 {
					m.sample = &sample{values: map[string]string{}}
				}
				cr.members[i] = m
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, m := range cr.members {
		cr.wg.Go(m.follow)
	}
	return cr, nil
}

// leave ends all sessions and waits for them.
func (cr *crowd) leave() {
	for _, m := range cr.members {
		if m != nil {
			m.c.close()
		}
	}
	cr.wg.Wait()
}

// deliveries gives how many changes have been delivered to all together.
func (cr *crowd) deliveries() (n int64) {
	for _, m := range cr.members {
		n += m.count.Load()
	}
	return n
}

// expect says how many deliveries the next change means; await waits for them.
func (cr *crowd) expect(n int) { cr.missing.Store(int64(n)) }

func (cr *crowd) await(limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-cr.arrived:
		return nil
	case err := <-cr.broken:
		return err
	case <-timer.C:
		return fmt.Errorf("%d deliveries did not arrive within %s", cr.missing.Load(), limit)
	}
}

// settle waits until nothing is delivered any more.
func (cr *crowd) settle(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for last, same := int64(-1), 0; same < 4; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if n := cr.deliveries(); n == last {
			same++
		} else {
			last, same = n, 0
		}
	}
}

// patched marks a changed entity in a delta; stamp goes before its new value.
var (
	patched = []byte(`"patch":[`)
	stamp   = []byte(`"value":`)
)

// follow reads frames until the connection ends.
func (m *member) follow() {
	f := frames{r: m.c.r, conn: m.c.conn, buf: make([]byte, 16<<10)}
	for {
		text, err := f.next()
		if err != nil {
			select {
			case m.crowd.broken <- err:
			default:
			}
			return
		}
		n := int64(bytes.Count(text, patched))
		if m.timing.Load() {
			m.clock(text)
		}
		if m.sample != nil {
			m.sample.read(text)
		}
		m.count.Add(n)
		if n > 0 && m.crowd.missing.Add(-n) == 0 {
			m.crowd.arrived <- struct{}{}
		}
	}
}

// clock notes how old the changes are: their values are the time of sending.
func (m *member) clock(text []byte) {
	now := time.Now().UnixNano()
	for {
		i := bytes.Index(text, stamp)
		if i < 0 {
			return
		}
		text = text[i+len(stamp):]
		var sent int64
		for _, d := range text {
			if d < '0' || d > '9' {
				break
			}
			sent = sent*10 + int64(d-'0')
		}
		m.latency = append(m.latency, time.Duration(now-sent))
	}
}

// time notes how long deliveries take from now on, or ends that and gives them.
func (cr *crowd) time(on bool) (all []time.Duration) {
	cr.members[0].timing.Store(on)
	if on {
		return nil
	}
	for _, m := range cr.members {
		all = append(all, m.latency...)
	}
	return all
}

// frames takes websocket messages out of a stream without copying them. Text
// that came in several frames is not expected of these servers, and refused.
type frames struct {
	r    io.Reader // what was read ahead before
	conn io.Writer // for pongs
	buf  []byte
	at   int // of the next frame
	end  int // of what was read
}

// next gives the next text message, valid until the call after.
func (f *frames) next() ([]byte, error) {
	for {
		head, size, ok := f.header()
		if ok && f.end-f.at >= head+size {
			kind := f.buf[f.at]
			text := f.buf[f.at+head : f.at+head+size]
			f.at += head + size
			switch kind {
			case 0x81:
				return text, nil
			case 0x89:
				pong := append([]byte{0x8a, 0x80 | byte(size), 0, 0, 0, 0}, text...)
				if _, err := f.conn.Write(pong); err != nil {
					return nil, err
				}
			case 0x8a:
			case 0x88:
				return nil, fmt.Errorf("closed by the server: %q", text)
			default:
				return nil, fmt.Errorf("unexpected frame %#x", kind)
			}
			continue
		}
		if f.at > 0 {
			copy(f.buf, f.buf[f.at:f.end])
			f.at, f.end = 0, f.end-f.at
		}
		if need := head + size; ok && need > len(f.buf) {
			f.buf = append(f.buf, make([]byte, need-len(f.buf))...)
		}
		n, err := f.r.Read(f.buf[f.end:])
		if err != nil {
			return nil, err
		}
		f.end += n
	}
}

// header gives the length of the next frame's header and of what follows; false
// where too little has been read.
func (f *frames) header() (head, size int, ok bool) {
	b := f.buf[f.at:f.end]
	if len(b) < 2 {
		return 0, 0, false
	}
	switch n := b[1] & 0x7f; {
	case n < 126:
		return 2, int(n), true
	case n == 126 && len(b) >= 4:
		return 4, int(binary.BigEndian.Uint16(b[2:])), true
	case n == 127 && len(b) >= 10:
		return 10, int(binary.BigEndian.Uint64(b[2:])), true
	}
	return 0, 0, false
}

// sample holds what a client would: of each entity that changed, the value.
type sample struct {
	mu      sync.Mutex // guards the fields below
	values  map[string]string
	version int64
	fault   error
}

// read applies the deltas of a message.
func (s *sample) read(text []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range bytes.SplitSeq(text, []byte{'\n'}) {
		var m struct {
			T       string
			Version int64
			Objects map[string]struct {
				Patch []struct{ Value json.RawMessage }
			}
		}
		if err := json.Unmarshal(line, &m); err != nil {
			s.fault = errors.Join(s.fault, err)
			return
		}
		if m.T != "delta" {
			continue
		}
		if m.Version <= s.version {
			s.fault = errors.Join(s.fault, fmt.Errorf("version %d came after %d", m.Version, s.version))
		}
		s.version = m.Version
		for id, e := range m.Objects {
			for _, op := range e.Patch {
				s.values[id] = string(op.Value)
			}
		}
	}
}

// verify compares what the samples hold with what a new session loads.
func (cr *crowd) verify(projection func(set string) string) error {
	for _, m := range cr.members {
		if m.sample == nil {
			continue
		}
		c, err := cr.w.t.sessionIn(cr.w.graph, cr.w.t.token)
		if err != nil {
			return err
		}
		objects, err := c.loaded(m.set, projection(m.set))
		c.close()
		if err != nil {
			return err
		}
		m.sample.mu.Lock()
		err = m.sample.fault
		for id, value := range m.sample.values {
			if have := string(objects[id].Body.N); have != value && err == nil {
				err = fmt.Errorf("a session holds n = %s of %s where the server has %s", value, id, have)
			}
		}
		m.sample.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

type loadedObject struct {
	Body struct{ N json.Number }
}

// loaded subscribes and gives the objects of the load.
func (c *wsClient) loaded(set, projection string) (map[string]loadedObject, error) {
	all := map[string]loadedObject{}
	if err := c.send(fmt.Appendf(nil, `{"t":"sub","sub":"s1","set":"%s","projection":%s}`, set, projection)); err != nil {
		return nil, err
	}
	for {
		msg, err := c.read()
		if err != nil {
			return nil, err
		}
		for line := range bytes.SplitSeq(msg, []byte{'\n'}) {
			var m struct {
				T       string
				Objects map[string]loadedObject
				Done    bool
			}
			if err := json.Unmarshal(line, &m); err != nil {
				return nil, err
			}
			if m.T == "error" {
				return nil, errors.New(string(line))
			}
			if m.T != "load" {
				continue
			}
			for id, o := range m.Objects {
				all[id] = o
			}
			if m.Done {
				return all, nil
			}
		}
	}
}
