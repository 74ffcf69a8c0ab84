package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/systest/plain"
)

// things is what the writers believe to be there. It may be wrong: then they
// are refused, which the judge looks into.
type things struct {
	w       *world
	boards  []string
	sheets  []string
	twins   [][2]string
	notes   map[string][]string // by creator
	queries []query

	mu    sync.Mutex // guards the fields below
	cells []cell
	links []link
}

type cell struct{ id, edge, board string }

type link struct{ id, from, to string }

// queryKinds is how many projections there are.
const queryKinds = 12

func newThings(w *world) *things { return &things{w: w, notes: map[string][]string{}} }

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// text gives a value that names the object it is written into, and stands
// nowhere else.
func (t *things) text(id string) string {
	return fmt.Sprintf("%s%s:%d", mark, id, t.w.serial.Add(1))
}

// depth is how many elements the lists have that everybody inserts into.
const depth = 8

func (t *things) list(id string) string {
	list := make([]string, depth)
	for i := range list {
		list[i] = t.text(id)
	}
	l, _ := json.Marshal(list)
	return string(l)
}

func (t *things) body(id string, rng *rand.Rand) string {
	return fmt.Sprintf(`{"l":%s,"n":0,"pair":0,"kind":%q,"rank":%d,"c":%q}`, t.list(id), kinds[rng.IntN(len(kinds))], rng.IntN(1000), t.text(id))
}

var kinds = []string{"a", "b", "c"}

// access gives an access document for a thing whose readers are chosen by chance.
func access(rng *rand.Rand) string {
	return fmt.Sprintf(`{"read":%s,"write":{"public":true},"manage":{"users":{"root":true}}}`, readers(rng))
}

func readers(rng *rand.Rand) string {
	all := []string{`{"public":true}`, `{"orgs":{"acme":true}}`, `{"teams":{"red":true}}`, `{"teams":{"blue":true},"users":{"ann":true}}`,
		`{"users":{"bob":true,"cat":true}}`, `{"orgs":{"other":true},"users":{"dan":true}}`, `{}`}
	return all[rng.IntN(len(all))]
}

// make fills the graph, and the list of queries.
func (t *things) make(ctx context.Context) error {
	rng := rand.New(rand.NewPCG(t.w.o.Seed, 1))
	var ops []string
	create := func(kind, access string) string {
		id := newID()
		if access != "" {
			access = `,"access":` + access
		}
		ops = append(ops, fmt.Sprintf(`{"op":"add","path":"/objects/%s","value":{"type":%q,"body":%s%s}}`, id, kind, t.body(id, rng), access))
		return id
	}
	join := func(label, from, to string, body ...string) string {
		id := newID()
		ops = append(ops, fmt.Sprintf(`{"op":"add","path":"/edges/%s","value":{"label":%q,"from":%q,"to":%q%s}}`, id, label, from, to, strings.Join(body, "")))
		return id
	}
	for range t.w.plan.Boards {
		t.boards = append(t.boards, create("Board", access(rng)))
	}
	for i, b := range t.boards[1:] {
		t.links = append(t.links, link{join("next", t.boards[i], b, fmt.Sprintf(`,"body":{"rank":%d}`, i%2)), t.boards[i], b})
	}
	for i := range t.w.plan.Cells {
		b, own := t.boards[rng.IntN(len(t.boards))], ""
		if i%5 == 0 {
			own = `{"read":{"inherit":{"on":true},"users":{"cat":true}},"write":{"public":true}}`
		}
		id := create("Cell", own)
		t.cells = append(t.cells, cell{id, join("on", id, b), b})
	}
	for range 3 {
		id := newID()
		ops = append(ops, fmt.Sprintf(`{"op":"add","path":"/objects/%s","value":{"type":"Sheet","body":{"l":%s,"t0":%q,"d0":0}}}`, id, t.list(id), t.text(id)))
		t.sheets = append(t.sheets, id)
	}
	for range t.w.plan.Twins {
		a, b := create("Twin", ""), create("Twin", "")
		join("twin", a, b)
		t.twins = append(t.twins, [2]string{a, b})
	}
	if err := t.commit(ctx, principalOf("root", nil), ops); err != nil {
		return err
	}
	for _, user := range []string{"ann", "bob", "cat", "dan"} {
		ops = nil
		for range 2 {
			t.notes[user] = append(t.notes[user], create("Note", ""))
		}
		if err := t.commit(ctx, principalOf(user, nil), ops); err != nil {
			return err
		}
	}
	b := t.boards
	for _, text := range []string{
		fmt.Sprintf(`{"root":[%q,%q],"in":{"on":{}}}`, b[0], b[1]),
		`{"root":{"type":"Cell"}}`,
		`{"root":{"type":"Cell","where":{"kind":"a"},"order":["-/body/rank"],"limit":5}}`,
		fmt.Sprintf(`{"root":%q,"in":{"on":{"order":["/body/rank"],"limit":3}},"out":{"next":{"repeat":true}}}`, b[0]),
		`{"root":{"type":"Twin"},"out":{"twin":{}}}`,
		fmt.Sprintf(`{"root":%q,"in":{"on":{"where":{"kind":"b"}}},"out":{"next":{"in":{"on":{}}}}}`, b[2]),
		`{"root":{"type":"Note"}}`,
		`{"root":{"type":"Object"},"out":{"next":{},"on":{}}}`,
		`{"root":{"type":"Sheet"}}`,
		// Windows at depth, which repeat, begin somewhere, and hang on each other.
		fmt.Sprintf(`{"root":%q,"out":{"next":{"order":["edge:/body/rank","-/body/rank"],"limit":2,"repeat":true,"in":{"on":{"order":["-/body/rank"],"limit":2}}}}}`, b[0]),
		fmt.Sprintf(`{"root":[%q,%q],"in":{"on":{"order":["/body/rank"],"limit":3,"after":{"values":[300],"id":%q}}},
			"out":{"next":{"order":["-/body/rank"],"limit":2,"repeat":2,"in":{"on":{"order":["/body/kind","-/body/rank"],"limit":2,"after":{"values":["a",500],"id":%[3]q}}}}}}`, b[1], b[3], newID()),
		`{"root":{"type":"Board","order":["-/body/rank"],"limit":3},"in":{"on":{"where":{"kind":"a"},"order":["/body/rank"],"limit":2,"out":{"on":{"out":{"next":{"order":["edge:/body/rank"],"limit":1}}}}}}}`,
	} {
		t.queries = append(t.queries, newQuery(text))
	}
	return nil
}

// commit makes what the run begins with.
func (t *things) commit(ctx context.Context, p principal, ops []string) error {
	o := newOp(ops...)
	id := newID()
	r := t.w.journal.begins(id, p.user, o, 0)
	t.w.journal.sends(r, p, 0)
	a, err := t.w.request(ctx, 0, "PATCH", t.w.path(""), token(p), o.text, "Content-Type", patchType, "Idempotency-Key", id)
	if err != nil {
		return err
	}
	if a.status != 200 {
		return fmt.Errorf("the graph could not be filled: %s", a.body)
	}
	t.w.journal.acknowledged(r, a.int("version"))
	t.w.saw(a.int("version"))
	return nil
}

const patchType = "application/json-patch+json"

// op is a transaction that somebody is about to ask for.
type op struct {
	text   string
	patch  []any
	always bool     // refused in every state
	undo   []int    // the versions to undo: then text says how, and there is no patch
	named  []string // the transactions to undo, where it is not by versions
	group  string
	done   func()
}

func newOp(ops ...string) op {
	text := "[" + strings.Join(ops, ",") + "]"
	v, err := plain.Decode([]byte(text))
	if err != nil {
		panic(fmt.Sprintf("%v: %s", err, text)) // ours
	}
	return op{text: text, patch: v.([]any)}
}

// insert changes a list by what must not be done twice.
func (t *things) insert(id string) string {
	return fmt.Sprintf(`{"op":"add","path":"/objects/%s/body/l/0","value":%q},{"op":"remove","path":"/objects/%s/body/l/%d"}`, id, t.text(id), id, depth)
}

func (t *things) set(id, member, value string) string {
	return fmt.Sprintf(`{"op":"replace","path":"/objects/%s/body/%s","value":%s}`, id, member, value)
}

// someCell gives one that is believed to be there.
func (t *things) someCell(rng *rand.Rand) cell {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.cells) == 0 {
		return cell{newID(), newID(), t.boards[0]}
	}
	return t.cells[rng.IntN(len(t.cells))]
}

func (t *things) drop(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, c := range t.cells {
		if c.id == id {
			t.cells = append(t.cells[:i:i], t.cells[i+1:]...)
			return
		}
	}
}

func (t *things) keep(c cell) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, old := range t.cells {
		if old.id == c.id {
			t.cells[i] = c
			return
		}
	}
	t.cells = append(t.cells, c)
}

// any gives an object of some kind.
func (t *things) any(rng *rand.Rand, user string) string {
	switch n := rng.IntN(10); {
	case n < 5:
		return t.someCell(rng).id
	case n < 7:
		return t.boards[rng.IntN(len(t.boards))]
	case n < 8 && len(t.notes[user]) > 0:
		return t.notes[user][rng.IntN(len(t.notes[user]))]
	}
	return t.twins[rng.IntN(len(t.twins))][rng.IntN(2)]
}

// next thinks of a transaction for a user.
func (t *things) next(rng *rand.Rand, p principal) op {
	switch n := rng.IntN(100); {
	case n < 18:
		return newOp(t.insert(t.any(rng, p.user)))
	case n < 26: // under a name that the next schema changes
		id := t.sheets[rng.IntN(len(t.sheets))]
		return newOp(fmt.Sprintf(`{"op":"add","path":"/objects/%s/body/t%d","value":%q}`, id, t.w.laws.generation(), t.text(id)), t.insert(id))
	case n < 42: // what belongs together changes together
		pair := t.twins[rng.IntN(len(t.twins))]
		v := fmt.Sprint(t.w.serial.Add(1))
		return newOp(t.set(pair[0], "pair", v), t.insert(pair[0]), t.set(pair[1], "pair", v))
	case n < 52: // a counter, read and written back
		return t.count(rng, p)
	case n < 60:
		return t.create(rng)
	case n < 66 && t.many():
		c := t.someCell(rng)
		o := newOp(fmt.Sprintf(`{"op":"remove","path":"/objects/%s"}`, c.id))
		o.done = func() { t.drop(c.id) }
		return o
	case n < 72:
		return t.moveCell(rng)
	case n < 76:
		return t.rerank(rng)
	case n < 83:
		c := t.someCell(rng)
		return newOp(t.set(c.id, "rank", fmt.Sprint(t.w.serial.Add(1)%997)), t.set(c.id, "kind", fmt.Sprintf("%q", kinds[rng.IntN(len(kinds))])), t.insert(c.id))
	case n < 89:
		return t.grant(rng)
	case n < 92:
		return t.relink(rng)
	case n < 94: // large, so that who does not read falls behind
		id := t.boards[len(t.boards)-1]
		v, _ := json.Marshal(t.text(id) + strings.Repeat("x", 20_000+rng.IntN(20_000)))
		return newOp(fmt.Sprintf(`{"op":"add","path":"/objects/%s/body/fat","value":%s}`, id, v))
	case n < 96: // two changes far apart, which must not be parted
		a, b := t.any(rng, p.user), t.any(rng, p.user)
		return newOp(t.insert(a), t.insert(b))
	}
	return t.hopeless(rng)
}

func (t *things) many() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.cells) > t.w.plan.Cells/2
}

// count adds one to a counter that a read found at some value: without the test
// of that value, updates would be lost.
func (t *things) count(rng *rand.Rand, p principal) op {
	id := t.twins[0][rng.IntN(2)]
	n := 0
	ctx, cancel := context.WithTimeout(context.Background(), clientPatience)
	defer cancel()
	if a, err := t.w.request(ctx, rng.IntN(2), "GET", t.w.path("/objects/"+id), token(p), ""); err == nil && a.status == 200 {
		body, _ := a.doc["body"].(map[string]any)
		n = toInt(body["n"])
	}
	return newOp(fmt.Sprintf(`{"op":"test","path":"/objects/%s/body/n","value":%d}`, id, n), t.set(id, "n", fmt.Sprint(n+1)), t.insert(id))
}

func (t *things) create(rng *rand.Rand) op {
	c := cell{newID(), newID(), t.boards[rng.IntN(len(t.boards))]}
	o := newOp(fmt.Sprintf(`{"op":"add","path":"/objects/%s","value":{"type":"Cell","body":%s}}`, c.id, t.body(c.id, rng)),
		fmt.Sprintf(`{"op":"add","path":"/edges/%s","value":{"label":"on","from":%q,"to":%q}}`, c.edge, c.id, c.board))
	o.done = func() { t.keep(c) }
	return o
}

// moveCell puts a cell on another board, and so under other rights.
func (t *things) moveCell(rng *rand.Rand) op {
	c := t.someCell(rng)
	next := cell{c.id, newID(), t.boards[rng.IntN(len(t.boards))]}
	o := newOp(fmt.Sprintf(`{"op":"remove","path":"/edges/%s"}`, c.edge),
		fmt.Sprintf(`{"op":"add","path":"/edges/%s","value":{"label":"on","from":%q,"to":%q}}`, next.edge, next.id, next.board), t.insert(c.id))
	o.done = func() { t.keep(next) }
	return o
}

// grant gives and takes the right to read.
func (t *things) grant(rng *rand.Rand) op {
	if rng.IntN(3) == 0 {
		c := t.someCell(rng)
		r := []string{`{"inherit":{"on":true}}`, `{"users":{"ann":true}}`, `{"inherit":{"on":true},"users":{"bob":true}}`}[rng.IntN(3)]
		return newOp(fmt.Sprintf(`{"op":"add","path":"/objects/%s/access/read","value":%s}`, c.id, r), t.insert(c.id))
	}
	b := t.boards[rng.IntN(len(t.boards))]
	return newOp(fmt.Sprintf(`{"op":"add","path":"/objects/%s/access/read","value":%s}`, b, readers(rng)), t.insert(b))
}

// rerank moves a board, or an edge between two, to another place in the windows.
func (t *things) rerank(rng *rand.Rand) op {
	b := t.boards[rng.IntN(len(t.boards))]
	board := t.set(b, "rank", fmt.Sprint(rng.IntN(1000)))
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.links) == 0 || rng.IntN(3) == 0 {
		return newOp(board, t.insert(b))
	}
	edge := fmt.Sprintf(`{"op":"add","path":"/edges/%s/body/rank","value":%d}`, t.links[rng.IntN(len(t.links))].id, rng.IntN(4))
	if rng.IntN(2) == 0 {
		return newOp(edge, board, t.insert(b))
	}
	return newOp(t.insert(b), edge)
}

// relink joins two boards, or parts them.
func (t *things) relink(rng *rand.Rand) op {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.links) > 2 && rng.IntN(2) == 0 {
		l := t.links[rng.IntN(len(t.links))]
		o := newOp(fmt.Sprintf(`{"op":"remove","path":"/edges/%s"}`, l.id))
		o.done = func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			for i, other := range t.links {
				if other == l {
					t.links = append(t.links[:i:i], t.links[i+1:]...)
					return
				}
			}
		}
		return o
	}
	l := link{newID(), t.boards[rng.IntN(len(t.boards))], t.boards[rng.IntN(len(t.boards))]}
	o := newOp(fmt.Sprintf(`{"op":"add","path":"/edges/%s","value":{"label":"next","from":%q,"to":%q,"body":{"rank":%d}}}`, l.id, l.from, l.to, rng.IntN(4)))
	o.done = func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.links = append(t.links, l)
	}
	return o
}

// hopeless is refused whatever the state: beside good ones, in one batch.
func (t *things) hopeless(rng *rand.Rand) op {
	id := t.twins[rng.IntN(len(t.twins))][0]
	o := []op{
		newOp(t.insert(id), t.set(id, "missing", "1")),
		newOp(t.insert(id), fmt.Sprintf(`{"op":"add","path":"/objects/%s","value":{"type":"Strict","body":{"n":-1}}}`, newID())),
		newOp(t.insert(id), fmt.Sprintf(`{"op":"add","path":"/objects/%s","value":{"type":"Nothing","body":{}}}`, newID())),
		newOp(t.insert(id), fmt.Sprintf(`{"op":"replace","path":"/objects/%s/body/c","value":%q}`, newID(), "x")),
		newOp(t.insert(id), fmt.Sprintf(`{"op":"add","path":"/edges/%s","value":{"label":"on","from":%q,"to":%q}}`, newID(), id, t.boards[0])),
	}[rng.IntN(5)]
	o.always = true
	return o
}
