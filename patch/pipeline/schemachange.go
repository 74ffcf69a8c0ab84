package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"time"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/internal/sabotage"
	"github.com/graphtide/graphtide/patch"
	"github.com/graphtide/graphtide/schema"
)

// A change of the schema judges all stored data before it takes effect, without
// stopping the writers: the graphs are scanned as they stand; then, under the
// locks of all graphs, only what was written since is judged, and the new
// version is activated for every graph at once. An append compares the schema
// version, so that every commit is valid under the one version it records.

// maxOffenders is how many objects a refusal lists.
const maxOffenders = 100

// migrationStep bounds the objects that one commit of a migration changes.
const migrationStep = 500

// schemaAttempts bounds how often a change is tried while others change the
// schema or write faster than the tail can be judged.
const schemaAttempts = 5

// PutSchema implements graph.SchemaService.
func (p *Pipeline) PutSchema(ctx context.Context, by *graph.Principal, file string, doc []byte, dryRun bool) (*graph.SchemaResult, error) {
	for attempt := 0; ; attempt++ {
		res, err := p.putSchema(ctx, by, file, doc, dryRun)
		again := errors.Is(err, &graph.Error{Code: graph.CodeVersionMismatch}) || isUnavailable(err)
		if !again || attempt+1 == schemaAttempts || ctx.Err() != nil {
			if errors.Is(err, &graph.Error{Code: graph.CodeVersionMismatch}) {
				err = unavailable("the schema is being changed by somebody else", err)
			}
			return res, err
		}
	}
}

func (p *Pipeline) putSchema(ctx context.Context, by *graph.Principal, file string, doc []byte, dryRun bool) (*graph.SchemaResult, error) {
	if err := p.cfg.Live.Refresh(ctx); err != nil {
		return nil, err
	}
	old := p.cfg.Live.Current()
	reg, fault := schema.Compile(file, doc, old.Version+1)
	if fault != nil {
		if dryRun {
			return &graph.SchemaResult{Version: old.Version, Problems: fault.Errors, Objects: []graph.Offender{}}, nil
		}
		return nil, fault
	}
	judge := &schemaJudge{p: p, reg: reg, by: by, scans: make(map[graph.GraphKey]*graphScan)}
	graphs, err := p.cfg.Store.Graphs(ctx)
	if err != nil {
		return nil, err
	}
	for _, g := range graphs {
		if err := judge.scan(ctx, g); err != nil {
			return nil, err
		}
	}
	res := judge.result(old.Version)
	if dryRun {
		return res, nil
	}
	if !res.OK {
		return nil, inUse(res)
	}
	if string(reg.Doc) == string(old.Doc) && old.Version > 0 {
		return res, nil
	}
	var announce []*graph.Batch
	version, err := p.cfg.Store.ActivateSchema(ctx, old.Version, reg.Doc, func(ctx context.Context, graphs []graph.GraphInfo) ([]*graph.Batch, error) {
		for _, g := range graphs {
			if err := judge.recheck(ctx, g); err != nil {
				return nil, err
			}
		}
		if res := judge.result(old.Version); !res.OK {
			return nil, inUse(res)
		}
		announce = judge.batches(p.cfg.Clock())
		return announce, nil
	})
	if err != nil {
		return nil, err
	}
	if err := p.cfg.Live.Refresh(ctx); err != nil {
		return nil, err
	}
	if h := p.cfg.Hints; h != nil {
		for _, b := range announce {
			h.Announce(b.Graph, b.Expect.Epoch, b.Commits[len(b.Commits)-1].Version)
		}
	}
	p.follow(ctx, announce)
	res.Version = version
	return res, nil
}

// follow has this node read what a migration wrote, so that its caller finds it
// at once. The schema stands; a read that fails comes later by itself.
func (p *Pipeline) follow(ctx context.Context, batches []*graph.Batch) {
	written := make(map[graph.GraphKey]bool, len(batches))
	for _, b := range batches {
		written[b.Graph] = true
	}
	for _, rep := range p.cfg.Replicas.Opened() {
		if !written[rep.Key()] {
			continue
		}
		if err := rep.CatchUp(ctx); err != nil {
			p.cfg.Log.Warn("what the migration wrote is read later", "err", err)
		}
	}
}

func inUse(res *graph.SchemaResult) *graph.Error {
	e := graph.Errf(graph.CodeSchemaInUse, "%d stored object(s) would break; change them first, or add a `migrate` entry to their type", res.Count)
	e.Count, e.Objects = res.Count, res.Objects
	return e
}

// schemaJudge judges the stored data of all graphs by a new registry.
type schemaJudge struct {
	p     *Pipeline
	reg   *schema.Registry
	by    *graph.Principal
	scans map[graph.GraphKey]*graphScan
}

// graphScan is what a scan of one graph found, at one head.
type graphScan struct {
	info      graph.GraphInfo
	offenders []graph.Offender
	count     int
	migrated  []graph.Change
}

// scan judges a whole graph at the head it has now.
func (j *schemaJudge) scan(ctx context.Context, info graph.GraphInfo) error {
	s := &graphScan{info: info}
	objects := make(map[graph.ObjectID]*graph.Object)
	out := make(map[adjacency]int)
	type bad struct {
		typ    string
		errors []graph.Violation
	}
	faults := make(map[graph.ObjectID]*bad)
	fault := func(o *graph.Object, v ...graph.Violation) {
		if len(v) == 0 {
			return
		}
		if faults[o.ID] == nil {
			faults[o.ID] = &bad{typ: o.Type}
		}
		faults[o.ID].errors = append(faults[o.ID].errors, v...)
	}
	head, err := j.p.cfg.Store.State(ctx, info.Key, func(objs []*graph.Object, edges []*graph.Edge) error {
		for _, o := range objs {
			objects[o.ID] = o
			body, v := j.judgeObject(o)
			fault(o, v...)
			if body != nil {
				s.migrated = append(s.migrated, migration(o, body))
			}
		}
		for _, e := range edges {
			from, to := objects[e.From], objects[e.To]
			if from == nil || to == nil {
				continue
			}
			outDecl, inDecl, err := j.reg.EdgeBetween(e.Label, from.Type, to.Type)
			if err != nil {
				fault(from, graph.Violation{Path: "/edges/" + e.ID.String(), Message: err.Message})
				continue
			}
			v := j.reg.CheckEdgeBody(outDecl, inDecl, e.Body)
			fault(from, under("/edges/"+e.ID.String()+"/body", v)...)
			for _, end := range []struct {
				s    side
				decl *schema.EdgeDecl
				o    *graph.Object
			}{{side{e.From, false}, outDecl, from}, {side{e.To, true}, inDecl, to}} {
				key := adjacency{end.s, e.Label}
				out[key]++
				if end.decl.Max > 0 && out[key] == end.decl.Max+1 {
					fault(end.o, graph.Violation{Path: "", Message: "more than the allowed number of edges " + e.Label})
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.info.Head = head
	for id, o := range objects {
		t := j.reg.TypeOf(o.Type)
		if t == nil {
			continue
		}
		for _, decl := range t.Required {
			if out[adjacency{side{id, false}, decl.Label}] == 0 {
				fault(o, graph.Violation{Path: "", Message: "a required edge " + decl.Label + " is missing"})
			}
		}
	}
	for id, b := range faults {
		s.offenders = append(s.offenders, graph.Offender{Graph: info.Name, ID: id.String(), Type: b.typ, Errors: b.errors})
	}
	sort.Slice(s.offenders, func(a, b int) bool { return s.offenders[a].ID < s.offenders[b].ID })
	s.count = len(s.offenders)
	j.scans[info.Key] = s
	return nil
}

// judgeObject gives what is wrong with a stored object under the new registry,
// and its migrated body where there is a migration for it. It is judged as it
// will be stored: a default is filled in by a write, and none comes here.
func (j *schemaJudge) judgeObject(o *graph.Object) (migrated []byte, faults []graph.Violation) {
	t := j.reg.TypeOf(o.Type)
	if t == nil {
		return nil, []graph.Violation{{Path: "/type", Message: "the type " + o.Type + " is gone"}}
	}
	if t.Abstract {
		return nil, []graph.Violation{{Path: "/type", Message: "the type " + o.Type + " is abstract now"}}
	}
	body := o.Body
	if b, _, ok := j.reg.MigrateObject(o.Type, body); ok {
		body, migrated = b, b
		if limit := j.p.cfg.Limits.BodyBytes; len(b) > limit && len(b) > len(o.Body) {
			return nil, []graph.Violation{{Path: "/body", Message: fmt.Sprintf("would have %d bytes once it is migrated, over the limit of %d", len(b), limit)}}
		}
	}
	return migrated, append(under("/body", t.Validate(body, nil)), under("/access", t.CheckAccess(o.Access))...)
}

// under puts a pointer before the paths of violations.
func under(pointer string, violations []graph.Violation) []graph.Violation {
	for i := range violations {
		violations[i].Path = pointer + violations[i].Path
	}
	return violations
}

// recheck runs under the graph's lock: nothing to do where the scan is of this
// head, else the graph is scanned again.
func (j *schemaJudge) recheck(ctx context.Context, info graph.GraphInfo) error {
	s := j.scans[info.Key]
	if s != nil && s.info.Head.Version == info.Head.Version && s.info.Head.Epoch == info.Head.Epoch {
		return nil
	}
	if s != nil && s.info.Head.Epoch == info.Head.Epoch && len(s.migrated) == 0 {
		ok, err := j.judgeTail(ctx, s, info)
		if ok || err != nil {
			return err
		}
	}
	return j.scan(ctx, info)
}

// tailMax bounds the commits that judgeTail looks at.
const tailMax = 2000

// judgeTail judges what was written since a clean scan; ok is false where that
// does not settle it.
func (j *schemaJudge) judgeTail(ctx context.Context, s *graphScan, info graph.GraphInfo) (ok bool, err error) {
	if s.count > 0 || info.Head.Version-s.info.Head.Version > tailMax {
		return false, nil
	}
	commits, err := j.p.cfg.Store.Log(ctx, info.Key, s.info.Head.Version, tailMax)
	if err != nil {
		return false, err
	}
	for _, c := range commits {
		for i := range c.Changes {
			ch := &c.Changes[i]
			if ch.Ref.Kind == graph.KindEdge || ch.Event == graph.Created || ch.ObjAfter == nil {
				return false, nil // edges and counts want the whole graph
			}
			if body, faults := j.judgeObject(ch.ObjAfter); len(faults) > 0 || body != nil {
				return false, nil
			}
		}
	}
	s.info.Head = info.Head
	return true, nil
}

func (j *schemaJudge) result(version int64) *graph.SchemaResult {
	res := &graph.SchemaResult{Version: version, Problems: append([]graph.Violation{}, j.reg.Warnings...), Objects: []graph.Offender{}}
	for _, s := range j.sorted() {
		res.Count += s.count
		for _, o := range s.offenders {
			if len(res.Objects) < maxOffenders {
				res.Objects = append(res.Objects, o)
			}
		}
	}
	res.OK = res.Count == 0
	return res
}

func (j *schemaJudge) sorted() []*graphScan {
	out := make([]*graphScan, 0, len(j.scans))
	for _, s := range j.scans {
		out = append(out, s)
	}
	sort.Slice(out, func(a, b int) bool { return out[a].info.Name < out[b].info.Name })
	return out
}

// migration makes the change of one object by a `migrate` entry.
func migration(o *graph.Object, body []byte) graph.Change {
	after := *o
	after.Body = body
	rel := []byte{'['}
	for i, op := range patch.Diff(o.Body, body) {
		if i > 0 {
			rel = append(rel, ',')
		}
		rel = patch.AppendOp(rel, "/body", op)
	}
	return graph.Change{Ref: graph.ObjectRef(o.ID), Event: graph.Modified, ObjBefore: o, ObjAfter: &after,
		Patch: append(rel, ']'), BodyChanged: true}
}

// batches makes the commits of the migration, one batch per graph.
func (j *schemaJudge) batches(now time.Time) []*graph.Batch {
	var out []*graph.Batch
	for _, s := range j.sorted() {
		if len(s.migrated) == 0 {
			continue
		}
		at := now.UTC().Truncate(time.Millisecond)
		if at.Before(s.info.Head.At) {
			at = s.info.Head.At
		}
		b := &graph.Batch{Graph: s.info.Key, Expect: s.info.Head}
		v := s.info.Head.Version
		for rest := s.migrated; len(rest) > 0; {
			n := min(len(rest), migrationStep)
			if n > 1 && sabotage.On(sabotage.HalfMigration) {
				rest, n = rest[1:], n-1
			}
			v++
			b.Commits = append(b.Commits, j.commit(rest[:n], v, s.info.Head.Epoch, at))
			rest = rest[n:]
		}
		out = append(out, b)
	}
	return out
}

func (j *schemaJudge) commit(changes []graph.Change, v graph.Version, epoch string, at time.Time) *graph.Commit {
	done := []byte{'['}
	for i := range changes {
		c := &changes[i]
		m := &c.ObjAfter.Meta
		m.Version, m.UpdatedAt, m.UpdatedBy = v, at, j.by.User
		for _, op := range patch.Diff(c.ObjBefore.Body, c.ObjAfter.Body) {
			if len(done) > 1 {
				done = append(done, ',')
			}
			done = patch.AppendOp(done, c.Ref.Pointer()+"/body", op)
		}
	}
	done = append(done, ']')
	return &graph.Commit{Version: v, Epoch: epoch, At: at, Author: *j.by, Mutation: uuid.Must(uuid.NewV7()).String(),
		Cause: graph.Cause{Kind: graph.CauseSchema}, SchemaVer: j.reg.Version, Asked: done, Done: done, Changes: changes}
}
