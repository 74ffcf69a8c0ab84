package torture

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// clientPatience bounds one request.
const clientPatience = 8 * time.Second

// writer asks for transactions over HTTP, until it is calm.
func (w *world) writer(ctx context.Context, n, round int) {
	rng := rand.New(rand.NewPCG(w.o.Seed, uint64(1000+100*round+n)))
	users := []string{"root", "ann", "root", "bob", "cat", "root", "dan"}
	p := principalOf(users[n%len(users)], nil)
	tok := token(p)
	for ctx.Err() == nil && !w.calm.Load() {
		if p.user != "root" && rng.IntN(20) == 0 { // other teams, another org
			p = principalOf(p.user, rng)
			tok = token(p)
		}
		w.anew.writing.RLock()
		if rng.IntN(10) == 0 {
			w.undoes(ctx, rng, p, tok)
		} else {
			w.submit(ctx, rng, p, tok, w.things.next(rng, p))
		}
		w.anew.writing.RUnlock()
		pause(ctx, rng, 2*w.o.Pace) // as much again is written over websockets
	}
}

// pause waits for twice the mean at most.
func pause(ctx context.Context, rng *rand.Rand, mean time.Duration) {
	select {
	case <-time.After(time.Duration(rng.Int64N(int64(2*mean) + 1))):
	case <-ctx.Done():
	}
}

// submit sends a transaction under a key of its own until its fate is known:
// sometimes twice or three times at once, to both nodes.
func (w *world) submit(ctx context.Context, rng *rand.Rand, p principal, tok string, o op) *record {
	id := newID()
	r := w.journal.begins(id, p.user, o, int(w.acked.Load()))
	copies := 1
	if rng.Float64() < w.plan.Duplicates {
		copies += 1 + rng.IntN(2)
	}
	var wg sync.WaitGroup
	for range copies {
		own := rand.New(rand.NewPCG(rng.Uint64(), 0))
		wg.Go(func() { w.insist(ctx, own, p, tok, o, r) })
	}
	wg.Wait()
	if len(r.acks) == 0 {
		return r
	}
	if o.done != nil {
		o.done()
	}
	if rng.IntN(25) == 0 {
		w.reuse(ctx, rng, p, tok, r)
	}
	if rng.IntN(3) == 0 {
		w.readOwn(ctx, rng, p, tok, r.acks[0])
	}
	return r
}

// insist sends a transaction until it is answered.
func (w *world) insist(ctx context.Context, rng *rand.Rand, p principal, tok string, o op, r *record) {
	for ctx.Err() == nil {
		lo, node := int(w.acked.Load()), rng.IntN(2)
		w.journal.sends(r, p, node)
		a, err := w.send(ctx, node, tok, o, r.id)
		switch {
		case err != nil || a.status >= 500 || a.status == 429:
			if err == nil && a.status != 503 && a.status != 429 {
				w.violate("W8 known outcome", "%s was answered %d %s", r.id, a.status, a.body)
			}
			w.journal.unanswered(r)
			pause(ctx, rng, 60*time.Millisecond)
			continue
		case a.status == 200:
			w.acknowledge(r, a.int("version"))
		default:
			w.refuse(r, p, a.str("code"), a.doc, lo)
			w.notes.seen(sighting{lo: lo, by: time.Now(), who: []int{w.notes.as(p)}, objects: marked(a.body), source: "the refusal of " + r.id})
		}
		return
	}
}

// send asks a node for a transaction, or for an undo.
func (w *world) send(ctx context.Context, node int, tok string, o op, key string) (*answer, error) {
	if o.undo != nil {
		return w.request(ctx, node, "POST", w.path("/revert"), tok, o.text, "Content-Type", "application/json", "Idempotency-Key", key)
	}
	header := []string{"Content-Type", patchType, "Idempotency-Key", key}
	if o.group != "" {
		header = append(header, "Graphtide-Group", o.group)
	}
	return w.request(ctx, node, "PATCH", w.path(""), tok, o.text, header...)
}

// acknowledge notes an answer. Only then it counts.
func (w *world) acknowledge(r *record, v int) {
	w.journal.acknowledged(r, v)
	w.saw(v)
	raise(&w.acked, v)
	w.count(cAcked, 1)
}

func (w *world) refuse(r *record, who principal, code string, problem map[string]any, lo int) {
	op := -1
	if problem["op"] != nil {
		op = toInt(problem["op"])
	}
	w.journal.refusedWith(r, refused{who, code, op, lo, time.Now(), conflictsOf(problem)})
}

// reuse sends another transaction under a key that was used.
func (w *world) reuse(ctx context.Context, rng *rand.Rand, p principal, tok string, r *record) {
	other := newOp(w.things.insert(w.things.twins[0][0]))
	for ctx.Err() == nil {
		a, err := w.request(ctx, rng.IntN(2), "PATCH", w.path(""), tok, other.text, "Content-Type", patchType, "Idempotency-Key", r.id)
		if err != nil || a.status >= 500 || a.status == 429 {
			pause(ctx, rng, 60*time.Millisecond)
			continue
		}
		if a.status != 409 || a.str("code") != "mutation-conflict" {
			w.violate("W3 exactly once", "the key %s, used again for another patch, was answered %d %s", r.id, a.status, a.body)
		}
		return
	}
}

// readOwn loads on some node what was acknowledged.
func (w *world) readOwn(ctx context.Context, rng *rand.Rand, p principal, tok string, v int) {
	if w.load(ctx, rng.IntN(2), rng.IntN(queryKinds), p, tok, v) > 0 {
		w.count(cOwn, 1)
	}
}

// load loads a query at version atLeast or a later one, and notes what came.
func (w *world) load(ctx context.Context, node, q int, p principal, tok string, atLeast int) (version int) {
	lo := int(w.acked.Load())
	a, err := w.request(ctx, node, "POST", w.path("/load"), tok, w.things.queries[q].text,
		"Content-Type", "application/json", "Graphtide-Min-Version", number(atLeast).String())
	if err != nil || a.status >= 500 || a.status == 429 {
		return 0
	}
	who := w.notes.as(p)
	if a.status != 200 {
		if a.str("code") != "not-found" {
			w.violate("W9 read your writes", "a load of query %d as %s was answered %s", q, p, a.body)
		}
		w.notes.seen(sighting{lo: lo, by: time.Now(), who: []int{who}, objects: marked(a.body), source: "a refused load"})
		return 0
	}
	v := a.int("version")
	w.saw(v)
	if v < atLeast {
		w.violate("W9 read your writes", "node %d answered with version %d where %d was asked for", node, v, atLeast)
	}
	h := newHeld()
	h.whole(a.doc)
	w.note(&h, q, v, []int{who}, "a load by HTTP from node "+number(node).String())
	w.notes.seen(sighting{lo: v, who: []int{who}, objects: marked(a.body), source: "a load by HTTP"})
	return v
}

// note keeps what a client held, to be judged.
func (w *world) note(h *held, query, at int, who []int, source string) {
	c := copied{at: at, query: query, who: who, sum: h.total(), digest: h.digest, source: source}
	if w.o.Detail {
		c.detail = h.versions()
	}
	w.notes.copied(c)
	w.count(cCopies, 1)
}
