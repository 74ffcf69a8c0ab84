package server

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/internal/sabotage"
	"github.com/graphtide/graphtide/patch"
)

// step is one version of an entity, on the way that an undo has to go back.
type step struct {
	version graph.Version
	undo    bool   // this step is to be undone
	alive   bool   // the entity exists after it
	doc     []byte // {"body":…} and, of an object, "access"; nil where it does not exist
}

// undone is what an entity becomes when some of its steps are undone.
type undone struct {
	alive     bool
	doc       []byte
	conflicts []graph.Conflict // paths relative to the entity
}

// later is a path changed after a step, by a commit that stays.
type later struct {
	path    patch.Pointer
	version graph.Version
}

// undoSteps goes back through an entity's versions, oldest first in steps, and
// undoes those marked, path by path: what others changed meanwhile stays. Where
// they changed the same path, above it or below it, that is a conflict, unless it
// is as it was again: a change that was itself undone is in nobody's way. steps[0]
// is the state before the first step to be undone.
//
// Steps are compared by their states, not by the patches that made them: a patch
// that replaced a whole body counts for the members that differ.
func undoSteps(steps []step) undone {
	last := steps[len(steps)-1]
	if !last.alive {
		// What was made, and has been removed by others, is as if its making had
		// been undone, and all that happened to it between.
		for i := len(steps) - 1; i > 0; i-- {
			if made := steps[i].alive && !steps[i-1].alive; made && steps[i].undo {
				return undoSteps(steps[:i])
			}
			if removed := !steps[i].alive && steps[i-1].alive; removed && steps[i].undo {
				break
			}
		}
	}
	now := undone{alive: last.alive, doc: last.doc}
	var stays []later // newest first
	for i := len(steps) - 1; i > 0; i-- {
		s, before := steps[i], steps[i-1]
		switch {
		case !s.undo:
			stays = append(stays, changesOf(before, s)...)
		case s.alive != before.alive:
			// Nothing else may have happened to it since.
			now.conflict(stays, nil, s)
			now.alive, now.doc = before.alive, before.doc
		default:
			now.back(patch.Diff(s.doc, before.doc), s, stays)
		}
	}
	return now
}

// back undoes a modification, by the operations that lead from the state after it
// to that before.
func (u *undone) back(ops []patch.Op, after step, stays []later) {
	if len(ops) == 0 {
		return
	}
	for _, p := range touched(ops, after.doc) {
		u.conflict(stays, p, after)
	}
	if len(u.conflicts) > 0 || !u.alive {
		return
	}
	next, err := patch.Apply(u.doc, ops, patch.JSONLimits{})
	if err != nil {
		// No change since overlaps, and yet the path is not what it was: the
		// steps are not those of one entity. Refuse rather than guess.
		u.conflicts = append(u.conflicts, graph.Conflict{Path: err.Path})
		return
	}
	u.doc = next
}

// conflict notes the later changes that overlap with the path, and are still to
// be seen beside the state after the step.
func (u *undone) conflict(stays []later, path patch.Pointer, after step) {
	if sabotage.On(sabotage.UndoOverLater) {
		return
	}
	for _, l := range stays {
		if !overlap(l.path, path) || u.is(after, l.path) {
			continue
		}
		c := graph.Conflict{Path: l.path.String(), Version: l.version}
		if !slices.Contains(u.conflicts, c) {
			u.conflicts = append(u.conflicts, c)
		}
	}
}

// is reports whether what stands at a path is what stood there after a step.
func (u *undone) is(after step, path patch.Pointer) bool {
	if u.alive != after.alive || !u.alive {
		return u.alive == after.alive
	}
	now, _ := patch.Get(u.doc, path)
	was, _ := patch.Get(after.doc, path)
	return patch.Equal(now, was) // nothing equals nothing
}

// changesOf gives the paths that differ between two states of an entity; the
// whole entity where it was made or removed.
func changesOf(before, after step) []later {
	if before.alive != after.alive {
		return []later{{nil, after.version}}
	}
	if !after.alive {
		return nil
	}
	var out []later
	for _, p := range touched(patch.Diff(before.doc, after.doc), before.doc) {
		out = append(out, later{p, after.version})
	}
	return out
}

// touched gives the paths that operations concern. One that moves the elements
// of an array concerns the array: the others' indexes are no longer theirs.
func touched(ops []patch.Op, doc []byte) []patch.Pointer {
	var out []patch.Pointer
	for _, op := range ops {
		p := op.Path
		if n := len(p); n > 0 && op.Kind != patch.Replace {
			if parent, ok := patch.Get(doc, p[:n-1]); ok && len(parent) > 0 && parent[0] == '[' {
				p = p[:n-1]
			}
		}
		if !slices.ContainsFunc(out, func(q patch.Pointer) bool { return slices.Equal(p, q) }) {
			out = append(out, p)
		}
	}
	return out
}

// overlap reports whether one path is, or is above, the other.
func overlap(a, b patch.Pointer) bool {
	n := min(len(a), len(b))
	return slices.Equal(a[:n], b[:n])
}

// docOf gives the part of an entity that can be undone.
func docOf(o *graph.Object, e *graph.Edge) []byte {
	switch {
	case o != nil:
		return slices.Concat([]byte(`{"body":`), o.Body, []byte(`,"access":`), o.Access.Raw, []byte("}"))
	case e != nil:
		return slices.Concat([]byte(`{"body":`), e.Body, []byte("}"))
	}
	return nil
}

// partOf gives a member of a doc.
func partOf(doc []byte, name string) json.RawMessage {
	v, _ := patch.Get(doc, patch.Pointer{name})
	return v
}

// testVersion appends the precondition that an entity is still at a version.
func testVersion(dst []byte, ref graph.Ref, v graph.Version) []byte {
	return patch.AppendOp(dst, ref.Pointer(), patch.Op{Kind: patch.Test, Path: patch.Pointer{"meta", "version"},
		Value: strconv.AppendInt(nil, int64(v), 10)})
}
