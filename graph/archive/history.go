package archive

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// groundPage is how many marks or entities are laid at a time.
const groundPage = 2000

// withHistory reads marks and the state at the floor, then replays the log.
func (im *importer) withHistory() error {
	r := &replayer{importer: im, state: map[graph.Ref]replayed{}, degree: map[graph.ObjectID]int{}}
	for {
		l, err := im.in.next()
		if err != nil {
			return err
		}
		switch {
		case l.Mark != nil:
			err = r.mark(l.Mark)
		case l.Object != nil:
			err = r.groundObject(l.Object)
		case l.Edge != nil:
			err = r.groundEdge(l.Edge)
		case l.Commit != nil:
			err = r.commit(l.Commit)
		case l.Key != nil:
			err = r.idleKey(l.Key)
		case l.End != nil:
			return r.end(l.End)
		}
		if err != nil {
			return err
		}
	}
}

// replayed is an entity as of the line read last. Of a deleted one only the meta
// is left: it says when a later revival was first made.
type replayed struct {
	obj  *graph.Object
	edge *graph.Edge
	dead *graph.Meta
}

func (e replayed) meta() *graph.Meta {
	switch {
	case e.obj != nil:
		return &e.obj.Meta
	case e.edge != nil:
		return &e.edge.Meta
	}
	return e.dead
}

// replayer makes the states that the patches of a log lead to.
type replayer struct {
	*importer
	state  map[graph.Ref]replayed
	degree map[graph.ObjectID]int // living edges at an object
	last   *graph.Commit          // read last

	marks   []*graph.Commit // waiting to be laid
	objects []*graph.Object
	edges   []*graph.Edge
	laid    bool // all of the ground is
}

// follows refuses a version that does not follow the one before it, or time that
// runs back.
func (r *replayer) follows(c *graph.Commit) error {
	want := graph.Version(1)
	if r.last != nil {
		want = r.last.Version + 1
	}
	switch {
	case c.Version != want:
		return r.in.fault("version %d stands where version %d belongs", c.Version, want)
	case c.Version > r.header.Version:
		return r.in.fault("version %d is beyond the last one, %d", c.Version, r.header.Version)
	case r.last != nil && c.At.Before(r.last.At):
		return r.in.fault("version %d is earlier than the one before it", c.Version)
	}
	r.last = c
	return nil
}

func (r *replayer) mark(l *commitLine) error {
	c, err := r.in.commit(l)
	if err != nil {
		return err
	}
	switch {
	case l.Asked != nil || l.Done != nil:
		return r.in.fault("a mark does not say what it did")
	case c.Version > r.header.Floor || r.count.Objects+r.count.Edges > 0:
		return r.in.fault("marks come first, and go up to version %d", r.header.Floor)
	}
	if err := r.follows(c); err != nil {
		return err
	}
	r.count.Marks++
	r.marks = append(r.marks, c)
	return r.lay(groundPage)
}

// ground judges an entity of the state at the floor.
func (r *replayer) ground(ref graph.Ref, m *graph.Meta) error {
	switch {
	case r.count.Marks < int64(r.header.Floor):
		return r.in.fault("version %d lacks its mark", r.count.Marks+1)
	case r.header.Floor == 0 || r.count.Commits > 0:
		return r.in.fault("objects and edges come between the marks and the commits")
	case m.CreatedVersion < 1 || m.Version < m.CreatedVersion || m.Version > r.header.Floor:
		return r.in.fault("%s %s cannot be made by version %d and last changed by version %d: the log begins after %d",
			ref.Kind, ref.IDString(), m.CreatedVersion, m.Version, r.header.Floor)
	}
	return r.note(ref)
}

func (r *replayer) groundObject(l *objectLine) error {
	if r.count.Edges > 0 {
		return r.in.fault("objects come before edges")
	}
	o, err := r.in.object(l)
	if err != nil {
		return err
	}
	if err := r.ground(graph.ObjectRef(o.ID), &o.Meta); err != nil {
		return err
	}
	r.count.Objects++
	r.state[graph.ObjectRef(o.ID)] = replayed{obj: o}
	r.objects = append(r.objects, o)
	return r.lay(groundPage)
}

func (r *replayer) groundEdge(l *edgeLine) error {
	e, err := r.in.edge(l)
	if err != nil {
		return err
	}
	if err := r.ground(graph.EdgeRef(e.ID), &e.Meta); err != nil {
		return err
	}
	r.count.Edges++
	r.state[graph.EdgeRef(e.ID)] = replayed{edge: e}
	r.edges = append(r.edges, e)
	if err := r.linked(e); err != nil {
		return err
	}
	return r.lay(groundPage)
}

// linked counts a new edge at its ends, which must live.
func (r *replayer) linked(e *graph.Edge) error {
	for _, end := range []graph.ObjectID{e.From, e.To} {
		if r.state[graph.ObjectRef(end)].obj == nil {
			return r.in.fault("edge %s has an end at object %s, which does not exist", e.ID, end)
		}
		r.degree[end]++
	}
	return nil
}

// lay writes what waits to be laid, if it is as many.
func (r *replayer) lay(enough int) error {
	n := len(r.marks) + len(r.objects) + len(r.edges)
	if n == 0 || n < enough {
		return nil
	}
	if err := r.store.Ground(r.ctx, r.key, r.marks, r.objects, r.edges); err != nil {
		return fmt.Errorf("write lines %d to %d: %w", r.in.line-n+1, r.in.line, err)
	}
	r.marks, r.objects, r.edges = nil, nil, nil
	return nil
}

// begin ends the ground.
func (r *replayer) begin() error {
	if r.laid {
		return nil
	}
	r.laid = true
	if r.count.Marks < int64(r.header.Floor) {
		return r.in.fault("version %d lacks its mark", r.count.Marks+1)
	}
	if err := r.lay(0); err != nil {
		return err
	}
	r.head.Version = r.header.Floor
	if r.last != nil {
		r.head.At = r.last.At
	}
	return nil
}

func (r *replayer) commit(l *commitLine) error {
	if err := r.begin(); err != nil {
		return err
	}
	c, err := r.in.commit(l)
	if err != nil {
		return err
	}
	if err := r.follows(c); err != nil {
		return err
	}
	if l.Asked == nil {
		return r.in.fault("version %d does not say what it did", c.Version)
	}
	c.Asked, c.Done = patch.Compact(c.Asked), patch.Compact(c.Done)
	c.Epoch, c.SchemaVer = r.head.Epoch, r.head.SchemaVer
	if err := r.replay(c); err != nil {
		return err
	}
	r.count.Commits++
	return r.append(c, r.in.line)
}

// idleKey keeps the key of a transaction without effect. Keys are rare: each is
// written by itself.
func (r *replayer) idleKey(l *keyLine) error {
	if err := r.begin(); err != nil {
		return err
	}
	if l.Author == "" || l.Mutation == "" || l.Cause == "" || l.Version < 0 || l.Version > r.header.Version {
		return r.in.fault("a key has an author, a mutation, a cause, and a version up to %d", r.header.Version)
	}
	if err := r.flush(); err != nil {
		return err
	}
	k := graph.IdleKey{MutationKey: graph.MutationKey{Author: l.Author, Key: l.Mutation}, Hash: l.Hash, Cause: l.Cause}
	used, err := r.store.RememberIdle(r.ctx, r.key, l.Version, []graph.IdleKey{k})
	if err != nil {
		return fmt.Errorf("write line %d: %w", r.in.line, err)
	}
	if len(used) > 0 {
		return r.in.fault("the key %q of %q is in use already", l.Mutation, l.Author)
	}
	r.count.Keys++
	return nil
}

// replay gives a commit its changes, and takes the state on.
func (r *replayer) replay(c *graph.Commit) error {
	ops, fault := patch.Parse(c.Done, 0)
	if fault != nil {
		return r.in.fault("what version %d did is no patch: %v", c.Version, fault)
	}
	var order []graph.Ref
	parts := map[graph.Ref][]patch.Op{}
	for i, op := range ops {
		ref, ok := refOf(op.Path)
		from := op.Kind == patch.Move || op.Kind == patch.Copy
		if !ok || from && (len(op.From) < 3 || !slices.Equal(op.From[:2], op.Path[:2])) {
			return r.in.fault("operation %d of version %d is not about one entity", i, c.Version)
		}
		op.Path = op.Path[2:]
		if from {
			op.From = op.From[2:]
		}
		if _, ok := parts[ref]; !ok {
			order = append(order, ref)
		}
		parts[ref] = append(parts[ref], op)
	}
	for _, ref := range order {
		ch, err := r.change(c, ref, parts[ref])
		if err != nil {
			return err
		}
		c.Changes = append(c.Changes, ch)
	}
	if len(c.Changes) == 0 {
		return r.in.fault("version %d did nothing", c.Version)
	}
	return r.whole(c)
}

// whole judges what holds between the entities after a commit.
func (r *replayer) whole(c *graph.Commit) error {
	for i := range c.Changes {
		if e := c.Changes[i].EdgeBefore; e != nil && c.Changes[i].Event == graph.Deleted {
			r.degree[e.From]--
			r.degree[e.To]--
		}
	}
	for i := range c.Changes {
		if e := c.Changes[i].EdgeAfter; e != nil && c.Changes[i].Event == graph.Created {
			if err := r.linked(e); err != nil {
				return err
			}
		}
	}
	for i := range c.Changes {
		if o := c.Changes[i].ObjBefore; o != nil && c.Changes[i].Event == graph.Deleted {
			if r.degree[o.ID] > 0 {
				return r.in.fault("version %d deletes object %s and leaves edges at it", c.Version, o.ID)
			}
			delete(r.degree, o.ID)
		}
	}
	return nil
}

// change gives what operations, relative to an entity, did to it.
func (r *replayer) change(c *graph.Commit, ref graph.Ref, ops []patch.Op) (graph.Change, error) {
	before := r.state[ref]
	lives := before.obj != nil || before.edge != nil
	what := fmt.Sprintf("%s %s", ref.Kind, ref.IDString())
	whole := len(ops[0].Path) == 0
	switch {
	case whole && len(ops) > 1:
		return graph.Change{}, r.in.fault("version %d adds or removes %s and changes it", c.Version, what)
	case whole && ops[0].Kind == patch.Add && lives:
		return graph.Change{}, r.in.fault("version %d adds %s, which exists", c.Version, what)
	case whole && ops[0].Kind == patch.Add:
		return r.created(c, ref, before, ops[0].Value)
	case !lives:
		return graph.Change{}, r.in.fault("version %d changes %s, which does not exist", c.Version, what)
	case whole && ops[0].Kind == patch.Remove:
		dead := *before.meta() // a copy: nothing else of it is to stay
		r.state[ref] = replayed{dead: &dead}
		return graph.Change{Ref: ref, Event: graph.Deleted, ObjBefore: before.obj, EdgeBefore: before.edge}, nil
	case whole:
		return graph.Change{}, r.in.fault("version %d: %s of the whole %s", c.Version, ops[0].Kind, what)
	}
	return r.modified(c, ref, before, ops)
}

func (r *replayer) created(c *graph.Commit, ref graph.Ref, before replayed, value []byte) (graph.Change, error) {
	m := metaLine{Version: c.Version, CreatedVersion: c.Version, CreatedAt: c.At, CreatedBy: c.Author.User, UpdatedAt: c.At, UpdatedBy: c.Author.User}
	ch := graph.Change{Ref: ref, Event: graph.Created, BodyChanged: true}
	if before.dead != nil {
		ch.Revived = true
		m.CreatedVersion, m.CreatedAt, m.CreatedBy = before.dead.CreatedVersion, before.dead.CreatedAt, before.dead.CreatedBy
	}
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.DisallowUnknownFields()
	var err error
	if ref.Kind == graph.KindObject {
		var v struct {
			Type   string          `json:"type"`
			Body   json.RawMessage `json:"body"`
			Access json.RawMessage `json:"access"`
		}
		if err = dec.Decode(&v); err == nil {
			ch.AccessChanged = true
			ch.ObjAfter, err = r.in.object(&objectLine{graph.ObjectID(ref.ID), v.Type, v.Body, v.Access, m})
		}
	} else {
		var v struct {
			Label string          `json:"label"`
			From  graph.ObjectID  `json:"from"`
			To    graph.ObjectID  `json:"to"`
			Body  json.RawMessage `json:"body"`
		}
		if err = dec.Decode(&v); err == nil {
			ch.EdgeAfter, err = r.in.edge(&edgeLine{graph.EdgeID(ref.ID), v.Label, v.From, v.To, v.Body, m})
		}
	}
	if err != nil {
		return ch, r.in.asFault(err)
	}
	r.settle(ref, &ch)
	return ch, nil
}

func (r *replayer) modified(c *graph.Commit, ref graph.Ref, before replayed, ops []patch.Op) (graph.Change, error) {
	ch := graph.Change{Ref: ref, Event: graph.Modified, ObjBefore: before.obj, EdgeBefore: before.edge, Patch: patch.AppendOps(nil, "", ops)}
	for _, op := range ops {
		if len(op.Path) == 0 {
			return ch, r.in.fault("version %d: %s of the whole %s %s, and more", c.Version, op.Kind, ref.Kind, ref.IDString())
		}
		area := op.Path[0]
		if op.Kind == patch.Test || area != "body" && (area != "access" || before.obj == nil) || len(op.From) > 0 && op.From[0] != area {
			return ch, r.in.fault("version %d: %s of /%s of %s %s", c.Version, op.Kind, area, ref.Kind, ref.IDString())
		}
	}
	var doc []byte
	if before.obj != nil {
		doc = fmt.Appendf(nil, `{"body":%s,"access":%s}`, before.obj.Body, before.obj.Access.Raw)
	} else {
		doc = fmt.Appendf(nil, `{"body":%s}`, before.edge.Body)
	}
	after, fault := patch.Apply(doc, ops, patch.JSONLimits{})
	if fault != nil {
		return ch, r.in.fault("version %d does not apply to %s %s: %v", c.Version, ref.Kind, ref.IDString(), fault)
	}
	text, _ := patch.Get(after, patch.Pointer{"body"})
	body, err := r.in.body(text)
	if err != nil {
		return ch, err
	}
	if before.obj != nil {
		o := *before.obj
		text, _ := patch.Get(after, patch.Pointer{"access"})
		if o.Access, err = r.in.access(text); err != nil {
			return ch, err
		}
		o.Body = body
		ch.BodyChanged, ch.AccessChanged = !patch.Equal(o.Body, before.obj.Body), !patch.Equal(o.Access.Raw, before.obj.Access.Raw)
		ch.ObjAfter = &o
	} else {
		e := *before.edge
		e.Body = body
		ch.BodyChanged = !patch.Equal(e.Body, before.edge.Body)
		ch.EdgeAfter = &e
	}
	m := replayed{obj: ch.ObjAfter, edge: ch.EdgeAfter}.meta()
	m.Version, m.UpdatedAt, m.UpdatedBy = c.Version, c.At, c.Author.User
	r.settle(ref, &ch)
	return ch, nil
}

// settle makes the state after a change the present one.
func (r *replayer) settle(ref graph.Ref, ch *graph.Change) {
	r.state[ref] = replayed{obj: ch.ObjAfter, edge: ch.EdgeAfter}
	r.lines[ref] = r.in.line
}

// end judges the last state, line by line of where it was made.
func (r *replayer) end(l *endLine) error {
	if err := r.ended(l); err != nil {
		return err
	}
	if err := r.begin(); err != nil {
		return err
	}
	if at := r.header.Floor + graph.Version(r.count.Commits); at != r.header.Version {
		return r.in.fault("the log ends with version %d; the first line says %d", at, r.header.Version)
	}
	var living []graph.Ref
	for ref, e := range r.state {
		if e.dead == nil {
			living = append(living, ref)
		}
	}
	slices.SortFunc(living, func(a, b graph.Ref) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(r.lines[a], r.lines[b]), bytes.Compare(a.ID[:], b.ID[:]))
	})
	for _, ref := range living {
		var err error
		if e := r.state[ref]; e.obj != nil {
			err = r.opt.Law.Object(e.obj)
			r.consider(e.obj)
		} else {
			err = r.opt.Law.Edge(e.edge)
		}
		if err != nil {
			return r.judged(ref, err)
		}
	}
	if ref, err := r.opt.Law.End(); err != nil {
		return r.judged(ref, err)
	}
	return nil
}

// refOf gives the entity that a pointer leads into.
func refOf(p patch.Pointer) (graph.Ref, bool) {
	if len(p) < 2 {
		return graph.Ref{}, false
	}
	switch p[0] {
	case graph.KindObject.Collection():
		id, ok := graph.ParseObjectID(p[1])
		return graph.ObjectRef(id), ok
	case graph.KindEdge.Collection():
		id, ok := graph.ParseEdgeID(p[1])
		return graph.EdgeRef(id), ok
	}
	return graph.Ref{}, false
}
