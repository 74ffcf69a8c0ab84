package server

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/internal/sabotage"
	"github.com/graphtide/graphtide/patch"
)

// Bounds of an undo.
const (
	revertCommits  = 1000 // commits undone at once
	revertAttempts = 5    // plans made while others change the same entities
	revertPage     = 100  // versions of an entity read at once
)

// revertBody says what to undo: exactly one of the first three is set.
type revertBody struct {
	versions []graph.Version
	mutation string
	group    string
	caused   bool
}

// revert undoes commits as a new commit. The inverse is planned here, from
// history, and then goes the way of every transaction, with a test on the
// version of each entity that it changes: where others were faster, it is
// planned anew.
func (s *Server) revert(w http.ResponseWriter, r *http.Request, c *call) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	dry, err := q.flag("dryRun")
	if err != nil {
		return err
	}
	text, err := readBody(w, r, int64(s.cfg.Limits.TransactionBytes), "transactionBytes", typeJSON)
	if err != nil {
		return err
	}
	body, err := parseRevert(text, s.cfg.Limits.BodyDepth)
	if err != nil {
		return err
	}
	ask, err := mutation(r.Header, c)
	if err != nil {
		return err
	}
	ctx := r.Context()
	if done, err := s.revertedBefore(ctx, c, ask.Key); err != nil || done != nil {
		if err != nil {
			return err
		}
		w.Header().Set("ETag", etag(done.Version))
		return answerJSON(w, http.StatusOK, done)
	}
	for attempt := 1; ; attempt++ {
		p, m, err := s.planRevert(ctx, c, body)
		if errors.Is(err, errUnsettled) && attempt < revertAttempts {
			continue
		}
		if errors.Is(err, errUnsettled) {
			return p.overtaken()
		}
		if err != nil {
			return err
		}
		m.Key, m.Group, m.Note, m.Author, m.Fence, m.Depth = ask.Key, ask.Group, ask.Note, ask.Author, ask.Fence, ask.Depth
		m.ReplayAny = true // a repeat is planned on another state, and so is another patch
		if dry {
			return s.dryRun(w, r, c, m)
		}
		err = s.submit(w, r, c, m)
		switch graph.CodeOf(err) {
		case graph.CodeCardinality, graph.CodeEdgeExists:
			return p.inTheWay(ctx, err)
		case graph.CodeTestFailed, graph.CodeExists, graph.CodeNotFound: // the plan is stale
			if attempt < revertAttempts {
				continue
			}
			return changedMeanwhile()
		}
		return err
	}
}

func changedMeanwhile() error {
	return graph.Errf(graph.CodeUnavailable, "others keep changing what is to be undone; try again")
}

// revertedBefore answers a key that the caller has used: the same undo sent
// again finds its own traces in the way, so it is not planned.
func (s *Server) revertedBefore(ctx context.Context, c *call, key string) (*graph.Receipt, error) {
	if key == "" {
		return nil, nil
	}
	k := graph.MutationKey{Author: c.p.User, Key: key}
	found, err := s.Store.Recorded(ctx, c.rep.Key(), []graph.MutationKey{k})
	if err != nil {
		return nil, hideGraph(err)
	}
	rec, ok := found[k]
	if !ok {
		return nil, nil
	}
	if rec.Cause != graph.CauseRevert {
		return nil, graph.Errf(graph.CodeMutationConflict, "the key was used for something else than an undo")
	}
	return &graph.Receipt{Graph: c.graph, Version: rec.Version, Mutation: key, Replayed: true}, nil
}

// planRevert makes the mutation that undoes the commits.
func (s *Server) planRevert(ctx context.Context, c *call, body *revertBody) (*revertPlan, *graph.Mutation, error) {
	if err := c.rep.CatchUp(ctx); err != nil {
		return nil, nil, err
	}
	versions, err := s.toUndo(ctx, c, body)
	if err != nil {
		return nil, nil, err
	}
	p := &revertPlan{s: s, c: c, j: s.judge(c), undo: versions, steps: map[graph.Ref][]step{}, last: map[graph.Ref]graph.Snapshot{}, gone: map[graph.Ref]bool{}, blocked: map[graph.Ref]bool{}}
	if err := p.read(ctx); err != nil {
		return nil, nil, err
	}
	m, err := p.invert(ctx)
	if err != nil {
		return p, nil, p.final(ctx, err)
	}
	m.Cause = graph.Cause{Kind: graph.CauseRevert, Version: versions[len(versions)-1]}
	return p, m, nil
}

// revertPlan gathers what the commits to be undone touched, with all that
// happened to it since.
type revertPlan struct {
	s    *Server
	c    *call
	j    *judge
	undo []graph.Version

	refs  []graph.Ref                  // in the order of their first touch
	steps map[graph.Ref][]step         // oldest first; the first is the state before
	last  map[graph.Ref]graph.Snapshot // the newest state, or that before the deletion
	gone  map[graph.Ref]bool           // what the undo removes
	// blocked is what later changes keep from being undone, and others are those changes.
	blocked map[graph.Ref]bool
	others  []graph.Conflict
}

// read fetches the commits and the histories of what they touched. Who may not
// read all of a commit is told that there is none.
func (p *revertPlan) read(ctx context.Context) error {
	first := map[graph.Ref]graph.Version{}
	edges := map[graph.Ref]*graph.Edge{}
	key := p.c.rep.Key()
	for _, v := range p.undo {
		commits, err := p.s.Store.Log(ctx, key, v-1, 1)
		if err != nil {
			return hideGraph(err)
		}
		if len(commits) == 0 {
			return graph.Errf(graph.CodeInvalidVersion, "there is no version %d", v)
		}
		for i := range commits[0].Changes {
			ch := &commits[0].Changes[i]
			if _, ok := first[ch.Ref]; !ok {
				first[ch.Ref] = v
				p.refs = append(p.refs, ch.Ref)
			}
			if e := edgeOf(ch); e != nil {
				edges[ch.Ref] = e
			}
		}
	}
	if len(p.refs) > p.s.cfg.Limits.Touched {
		return graph.TooLarge("touched", int64(p.s.cfg.Limits.Touched), "entities to undo at once")
	}
	hidden := false
	err := p.j.ask(ctx, func(r graph.Reader) {
		hidden = false
		for _, ref := range p.refs {
			if !p.c.p.Admin && !p.j.entity(r, ref, edges[ref]).read {
				hidden = true
			}
		}
	})
	if err != nil {
		return err
	}
	if hidden {
		return graph.NotFound("transaction")
	}
	for _, ref := range p.refs {
		if err := p.history(ctx, ref, first[ref]); err != nil {
			return err
		}
	}
	return nil
}

// history reads an entity's versions back to the state before the first one to
// be undone.
func (p *revertPlan) history(ctx context.Context, ref graph.Ref, first graph.Version) error {
	var steps []step // newest first
	below := graph.Version(0)
	for {
		entries, err := p.s.Store.History(ctx, p.c.rep.Key(), ref, below, revertPage)
		if err != nil {
			return hideEntity(err, ref)
		}
		for _, e := range entries {
			st := step{version: e.Commit.Version, alive: !e.Deleted, undo: slices.Contains(p.undo, e.Commit.Version)}
			if st.alive {
				if e.Object == nil && e.Edge == nil {
					return graph.Errf(graph.CodeGone, "history does not reach back to version %d", first)
				}
				st.doc = docOf(e.Object, e.Edge)
				if _, known := p.last[ref]; !known {
					p.last[ref] = e.Snapshot
				}
			}
			steps = append(steps, st)
			below = e.Commit.Version
			if below < first {
				break
			}
		}
		if below < first && len(steps) > 0 {
			break
		}
		if len(entries) < revertPage {
			if len(steps) == 0 || p.madeBefore(ref, steps[len(steps)-1]) {
				return graph.Errf(graph.CodeGone, "history does not reach back to before version %d", first)
			}
			steps = append(steps, step{}) // it did not exist
			break
		}
	}
	slices.Reverse(steps)
	p.steps[ref] = steps
	return nil
}

// madeBefore reports whether an entity's oldest version that history keeps is
// not the one that made it.
func (p *revertPlan) madeBefore(ref graph.Ref, oldest step) bool {
	if !oldest.alive {
		return true
	}
	created := graph.Version(0)
	switch last := p.last[ref]; {
	case last.Object != nil:
		created = last.Object.Meta.CreatedVersion
	case last.Edge != nil:
		created = last.Edge.Meta.CreatedVersion
	}
	return created < oldest.version
}

// invert makes the patch. Removals come first: they free what is added again.
func (p *revertPlan) invert(ctx context.Context) (*graph.Mutation, error) {
	var removeEdges, removeObjects, addObjects, addEdges, changes, tests [][]byte
	revived := map[graph.Ref]graph.Snapshot{}
	var back, managed []graph.Ref // brought back; of which the access changes
	for _, ref := range p.refs {
		steps := p.steps[ref]
		now, to := steps[len(steps)-1], undoSteps(steps)
		p.blocked[ref] = len(to.conflicts) > 0
		for _, c := range to.conflicts {
			p.others = append(p.others, graph.Conflict{Path: ref.Pointer() + c.Path, Version: c.Version})
		}
		if len(to.conflicts) > 0 || !now.alive && !to.alive {
			continue
		}
		edge := ref.Kind == graph.KindEdge
		switch {
		case now.alive && !to.alive:
			tests = append(tests, testVersion(nil, ref, now.version))
			p.gone[ref] = true
			op := patch.AppendOp(nil, ref.Pointer(), patch.Op{Kind: patch.Remove})
			if edge {
				removeEdges = append(removeEdges, op)
			} else {
				removeObjects = append(removeObjects, op)
			}
		case !now.alive:
			back = append(back, ref)
			snap, value, err := revive(p.last[ref], to.doc)
			if err != nil {
				return nil, err
			}
			revived[ref] = snap
			op := patch.AppendOp(nil, ref.Pointer(), patch.Op{Kind: patch.Add, Value: value})
			if edge {
				addEdges = append(addEdges, op)
			} else {
				addObjects = append(addObjects, op)
			}
		default:
			ops := patch.Diff(now.doc, to.doc)
			if len(ops) == 0 {
				continue
			}
			tests = append(tests, testVersion(nil, ref, now.version))
			for _, op := range ops {
				if op.Path[0] == "access" && !slices.Contains(managed, ref) {
					managed = append(managed, ref)
				}
				changes = append(changes, patch.AppendOp(nil, ref.Pointer(), op))
			}
		}
	}
	more, err := p.judgeBack(ctx, back, managed)
	if err != nil {
		return nil, err
	}
	lost, err := p.endsLost(ctx, back)
	if err != nil {
		return nil, err
	}
	if conflicts := slices.Concat(p.others, more, lost); len(conflicts) > 0 {
		return nil, conflicting(conflicts)
	}
	if n := len(addEdges); n > 0 && sabotage.On(sabotage.HalfUndo) {
		addEdges = addEdges[:n-1]
	}
	text := []byte{'['}
	for i, op := range slices.Concat(tests, removeEdges, removeObjects, addObjects, addEdges, changes) {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, op...)
	}
	return &graph.Mutation{Patch: append(text, ']'), Revert: &graph.Revert{Revived: revived}}, nil
}

// revive gives the state in which a deleted entity comes back, and the value of
// the operation that adds it.
func revive(last graph.Snapshot, doc []byte) (graph.Snapshot, []byte, error) {
	if e := last.Edge; e != nil {
		value := append([]byte(`{"label":`), graph.AppendString(nil, e.Label)...)
		value = append(value, `,"from":"`+e.From.String()+`","to":"`+e.To.String()+`","body":`...)
		return graph.Snapshot{Edge: e}, append(append(value, partOf(doc, "body")...), '}'), nil
	}
	o := *last.Object
	acl, faults := access.Parse(partOf(doc, "access"))
	if len(faults) > 0 {
		return graph.Snapshot{}, nil, graph.Errf(graph.CodeInternal, "a stored access cannot be read").At(graph.ObjectRef(o.ID).Pointer())
	}
	o.Access = acl
	value := append([]byte(`{"type":`), graph.AppendString(nil, o.Type)...)
	value = append(value, `,"body":`...)
	value = append(value, partOf(doc, "body")...)
	return graph.Snapshot{Object: &o}, append(value, '}'), nil
}
