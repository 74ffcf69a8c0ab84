package server

import (
	"context"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// visible gives the commits as the caller may see them, encoded. A commit that
// touched something he may not read keeps its place with the readable part of
// its patch, and without who, why and under which names.
func (j *judge) visible(ctx context.Context, commits []*graph.Commit) ([][]byte, error) {
	out := make([][]byte, 0, len(commits))
	if j.c.p.Admin {
		for _, c := range commits {
			out = append(out, appendCommit(nil, c, true, c.Done))
		}
		return out, nil
	}
	j.remember(commits)
	known := map[graph.Ref]seen{}
	err := j.ask(ctx, func(r graph.Reader) {
		clear(known)
		for _, c := range commits {
			for i := range c.Changes {
				ch := &c.Changes[i]
				if _, ok := known[ch.Ref]; !ok {
					known[ch.Ref] = j.entity(r, ch.Ref, edgeOf(ch))
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	for _, c := range commits {
		full, done, err := readablePart(c, known)
		if err != nil {
			return nil, err
		}
		out = append(out, appendCommit(nil, c, full, done))
	}
	return out, nil
}

// edgeOf gives the edge of a change, whichever state of it is known: its ends
// never change.
func edgeOf(ch *graph.Change) *graph.Edge {
	if ch.EdgeAfter != nil {
		return ch.EdgeAfter
	}
	return ch.EdgeBefore
}

// readablePart gives the part of a commit's patch that may be read, and whether
// that is all of it. The access of an object is for who may manage it; leaving
// it out does not make a commit less than whole.
func readablePart(c *graph.Commit, known map[graph.Ref]seen) (full bool, done []byte, err error) {
	full = true
	for i := range c.Changes {
		full = full && known[c.Changes[i].Ref].read
	}
	ops, perr := patch.Parse(c.Done, len(c.Done))
	if perr != nil {
		return false, nil, perr
	}
	done = append(done, '[')
	for _, op := range ops {
		ref, ok := refOf(op.Path)
		if !ok || !known[ref].read {
			full = false
			continue
		}
		if ref.Kind == graph.KindObject && !known[ref].manage {
			if len(op.Path) > 2 && op.Path[2] == "access" {
				continue
			}
			if op.Kind == patch.Add && len(op.Path) == 2 {
				if op.Value, err = withoutAccess(op.Value); err != nil {
					return false, nil, err
				}
			}
		}
		if len(done) > 1 {
			done = append(done, ',')
		}
		done = patch.AppendOp(done, "", op)
	}
	return full, append(done, ']'), nil
}

// refOf gives the entity that a path of a commit's patch leads into.
func refOf(p patch.Pointer) (graph.Ref, bool) {
	if len(p) < 2 {
		return graph.Ref{}, false
	}
	id, ok := graph.ParseObjectID(p[1])
	switch {
	case ok && p[0] == "objects":
		return graph.ObjectRef(id), true
	case ok && p[0] == "edges":
		return graph.EdgeRef(graph.EdgeID(id)), true
	}
	return graph.Ref{}, false
}

var accessMember = patch.Pointer{"access"}

// withoutAccess takes `access` from an object's value.
func withoutAccess(value []byte) ([]byte, error) {
	if _, ok := patch.Get(value, accessMember); !ok {
		return value, nil
	}
	out, perr := patch.Apply(value, []patch.Op{{Kind: patch.Remove, Path: accessMember}}, patch.JSONLimits{})
	if perr != nil {
		return nil, perr
	}
	return out, nil
}

// relativePart leaves out what only a manager may see of an entity's own patch.
func relativePart(text []byte, s seen) ([]byte, error) {
	if len(text) == 0 {
		return []byte("[]"), nil
	}
	if s.manage {
		return text, nil
	}
	ops, perr := patch.Parse(text, len(text))
	if perr != nil {
		return nil, perr
	}
	out := []byte{'['}
	for _, op := range ops {
		if len(op.Path) > 0 && op.Path[0] == "access" {
			continue
		}
		if op.Kind == patch.Add && len(op.Path) == 0 {
			v, err := withoutAccess(op.Value)
			if err != nil {
				return nil, err
			}
			op.Value = v
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = patch.AppendOp(out, "", op)
	}
	return append(out, ']'), nil
}
