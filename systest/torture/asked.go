package torture

import "fmt"

// asked is a mutation that was sent over the socket.
type asked struct {
	op  op
	r   *record
	who principal // when it was sent last: its rights count
	lo  int
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
