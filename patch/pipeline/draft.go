package pipeline

import (
	"encoding/json"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/patch"
	"github.com/graphtide/graphtide/schema"
)

// Draft is one mutation on its way through the stages: what is asked, what was
// read, and what it would do. A draft is made anew for every preparation; only
// what decode found is carried over.
type Draft struct {
	in  *request
	reg *schema.Registry
	lim graph.Limits
	at  graph.Head // the state it is prepared on is this or a little newer; the facets decide
	// ahead: its author has seen a version beyond at, perhaps on another node
	ahead bool
	past  pastReader // for base: how things were
	// everything of a dry run's problems is collected instead of ending at the first
	collect  bool
	problems []*graph.Error

	read   *recorder      // the state before the transaction
	state  *overlay       // … with the transaction's own effects
	before *access.Walker // rights on the state before

	forgiven map[graph.Ref]bool // edges that count as made, by base: they are not there
	compared int                // bytes of lists, for base: see mostCompared

	touched []*touch
	byRef   map[graph.Ref]*touch
	later   []pendingRight // rights to judge on the final state

	changes []graph.Change
	done    json.RawMessage
}

// touch is what a transaction does to one entity.
type touch struct {
	ref      graph.Ref
	op       int // the first operation that touched it, -1 for a cascade
	created  bool
	revived  bool // created, with an id that a revert takes again
	removed  bool
	adopted  bool          // an edge that adopt made
	obj      *graph.Object // before; nil when created
	edge     *graph.Edge
	objNow   *graph.Object // after the operations so far; nil when removed
	edgeNow  *graph.Edge
	out, in  *schema.EdgeDecl // of an edge, where legal
	explicit json.RawMessage  // access named at creation, nil for the default
	access   bool             // the access was patched
	broken   bool             // in a dry run: an operation on it could not be done
	away     map[area]*op     // parts that are removed and not added again, and by which operation
	done     []doneOp         // what was done to it, in order
	changed  []patch.Pointer  // relative to the body
	since    *since           // what others did to it since base; nil until it is asked
}

// doneOp is an operation that took effect, with its place among those asked.
type doneOp struct {
	at   int
	area string // "/body", "/access"
	op   patch.Op
}

// pendingRight is a right that can be judged only on the final state.
type pendingRight struct {
	op    int
	id    graph.ObjectID
	right string
	path  string
}

func newDraft(in *request, reg *schema.Registry, lim graph.Limits, base graph.Reader, at graph.Head, past pastReader) *Draft {
	d := &Draft{in: in, reg: reg, lim: lim, at: at, past: past}
	d.read = newRecorder(base)
	d.state = newOverlay(d.read)
	d.before = access.NewWalker(d.read, &in.m.Author, nil)
	return d
}

// fail ends the draft, or, in a dry run, notes the problem so that the next can
// be looked for: it returns nil then.
func (d *Draft) fail(e *graph.Error) *graph.Error {
	if d.collect {
		d.tell(e)
		return nil
	}
	return e
}

// tell notes a problem of a dry run, once: two stages may meet the same one.
func (d *Draft) tell(e *graph.Error) {
	for _, known := range d.problems {
		if known.Code == e.Code && known.Path == e.Path && sameOp(known.Op, e.Op) {
			return
		}
	}
	d.problems = append(d.problems, e)
}

func sameOp(a, b *int) bool { return a == b || a != nil && b != nil && *a == *b }

// refused reports whether the operation that did something lacked a right for it.
func (d *Draft) refused(t *touch) bool { return t.op >= 0 && d.in.ops[t.op].refused }

// inVain reports, in a dry run, whether an edge of this label from the object is
// asked for and not made: what lacks it then has been told of already.
func (d *Draft) inVain(from graph.ObjectID, label string) bool {
	if !d.collect {
		return false
	}
	for i := range d.in.ops {
		o := &d.in.ops[i]
		if o.lost != nil && o.mayLink(from, label) ||
			o.edge != nil && o.edge.from == from && o.edge.label == label && !d.makes(o.ref) {
			return true
		}
	}
	return false
}

// hollow reports, in a dry run, whether the object is one that was to be made by
// an operation that cannot be read: there is no judging what is joined to it.
func (d *Draft) hollow(id graph.ObjectID) bool {
	if !d.collect {
		return false
	}
	for i := range d.in.ops {
		if o := &d.in.ops[i]; o.lost != nil && o.adds(graph.KindObject) && o.ref.ID == id {
			return true
		}
	}
	return false
}

// makes reports whether the transaction has made the entity.
func (d *Draft) makes(ref graph.Ref) bool {
	t := d.byRef[ref]
	return t != nil && t.created
}

// revives reports whether the mutation is a revert that brings the entity back.
func (d *Draft) revives(ref graph.Ref) bool {
	if d.in.m.Revert == nil {
		return false
	}
	_, ok := d.in.m.Revert.Revived[ref]
	return ok
}

// trusted reports whether rights are not asked of the author.
func (d *Draft) trusted() bool { return d.in.m.Author.Admin }

// executes reports whether the object is an operation that the mutation's
// author executes: its fields are the executor's, everything else is judged by
// the author's rights.
func (d *Draft) executes(o *graph.Object) bool {
	return d.in.m.Executor && o != nil && o.Type == OperationRequest
}

// touch gives the record of an entity that exists, starting it at first use.
func (d *Draft) touch(ref graph.Ref, op int) *touch {
	if t := d.byRef[ref]; t != nil {
		return t
	}
	t := &touch{ref: ref, op: op}
	if ref.Kind == graph.KindObject {
		d.read.body(ref.ID)
		t.obj = d.state.Object(ref.ID)
		t.objNow = t.obj
	} else {
		t.edge = d.state.Edge(ref.ID)
		t.edgeNow = t.edge
	}
	d.add(t)
	return t
}

func (d *Draft) add(t *touch) {
	if d.byRef == nil {
		d.byRef = make(map[graph.Ref]*touch, 4)
	}
	d.byRef[t.ref] = t
	d.touched = append(d.touched, t)
}

// edgeDecls gives the declarations of both ends of an edge between objects that
// exist in the draft's state.
func (d *Draft) edgeDecls(label string, from, to graph.ObjectID) (out, in *schema.EdgeDecl, err *graph.Error) {
	return d.reg.EdgeBetween(label, d.typeOf(from), d.typeOf(to))
}

// typeOf gives the type of an object before or after the transaction.
func (d *Draft) typeOf(id graph.ObjectID) string {
	if o := d.state.Object(id); o != nil {
		return o.Type
	}
	if o := d.read.Object(id); o != nil {
		return o.Type
	}
	return ""
}

// stage is one step of the pipeline. It reads and updates the draft, holds no
// lock and touches no network.
type stage struct {
	name string
	run  func(*Draft) *graph.Error
}

// stages are the pipeline, top to bottom. decode has run before, once.
// Authorize comes before apply: a failing test must not tell what may not be
// read.
var stages = []stage{
	{"resolve", (*Draft).resolve},
	{"authorize", (*Draft).authorize},
	{"apply", (*Draft).apply},
	{"cascade", (*Draft).cascade},
	{"declaredWrites", (*Draft).declaredWrites},
	{"adopt", (*Draft).adopt},
	{"guardOperations", (*Draft).guardOperations},
	{"validate", (*Draft).validate},
	{"edges", (*Draft).checkEdges},
	{"operations", (*Draft).checkOperations},
	{"authorizeNew", (*Draft).authorizeNew},
	{"snapshot", (*Draft).snapshot},
}

// run prepares the draft. observe, if not nil, brackets every stage. A dry run
// goes through all that judge, each on the state that would be were the problems
// before it none.
func (d *Draft) run(observe func(stage string) func()) *graph.Error {
	for _, s := range stages {
		if len(d.problems) > 0 && s.name == "snapshot" {
			return nil
		}
		var end func()
		if observe != nil {
			end = observe(s.name)
		}
		err := s.run(d)
		if end != nil {
			end()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// noEffect reports whether the transaction changes nothing.
func (d *Draft) noEffect() bool { return len(d.changes) == 0 }
