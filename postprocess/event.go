package postprocess

import (
	"encoding/json"
	"strconv"

	"github.com/graphtide/graphtide/graph"
)

// appendEvent appends what every handler gets, as a JSON object that is left
// open at its end for members of the handler's own.
func appendEvent(dst []byte, run *graph.Run, c *graph.Commit) []byte {
	ch := changeOf(c, run.Entity)
	dst = append(dst, `{"run":"`...)
	dst = append(dst, run.ID...)
	dst = append(dst, `","attempt":`...)
	dst = strconv.AppendInt(dst, int64(run.Attempt), 10)
	dst = append(dst, `,"graph":`...)
	dst = graph.AppendString(dst, run.GraphName)
	dst = append(dst, `,"version":`...)
	dst = strconv.AppendInt(dst, int64(run.Version), 10)
	dst = append(dst, `,"rule":`...)
	dst = graph.AppendString(dst, run.Rule)
	dst = append(dst, `,"event":"`...)
	dst = append(dst, run.Event.String()...)
	dst = append(dst, `","entity":"`...)
	dst = append(dst, run.Entity.IDString()...)
	dst = append(dst, `","before":`...)
	dst = appendState(dst, ch, true)
	dst = append(dst, `,"after":`...)
	dst = appendState(dst, ch, false)
	dst = append(dst, `,"patch":`...)
	if ch != nil && len(ch.Patch) > 0 {
		dst = append(dst, ch.Patch...)
	} else {
		dst = append(dst, "[]"...)
	}
	dst = append(dst, `,"by":`...)
	dst = graph.AppendString(dst, c.Author.User)
	dst = append(dst, `,"cause":`...)
	return appendCause(dst, c.Cause)
}

func changeOf(c *graph.Commit, ref graph.Ref) *graph.Change {
	for i := range c.Changes {
		if c.Changes[i].Ref == ref {
			return &c.Changes[i]
		}
	}
	return nil
}

// appendState appends an entity as it was before or after the commit, or null.
func appendState(dst []byte, ch *graph.Change, before bool) []byte {
	if ch == nil {
		return append(dst, "null"...)
	}
	obj, edge := ch.ObjAfter, ch.EdgeAfter
	if before {
		obj, edge = ch.ObjBefore, ch.EdgeBefore
	}
	switch {
	case obj != nil:
		return appendObject(dst, obj)
	case edge != nil:
		return appendEdge(dst, edge)
	}
	return append(dst, "null"...)
}

// appendObject appends an object with its id, as the entity routes give it,
// without its access.
func appendObject(dst []byte, o *graph.Object) []byte {
	dst = append(dst, `{"id":"`...)
	dst = o.ID.AppendTo(dst)
	return mergeObject(append(dst, '"'), func(b []byte) []byte { return o.AppendJSON(b, false) })
}

func appendEdge(dst []byte, e *graph.Edge) []byte {
	dst = append(dst, `{"id":"`...)
	dst = e.ID.AppendTo(dst)
	return mergeObject(append(dst, '"'), e.AppendJSON)
}

// mergeObject appends the members of an object that enc writes to one that has
// been begun.
func mergeObject(dst []byte, enc func([]byte) []byte) []byte {
	at := len(dst)
	dst = enc(dst)
	dst[at] = ',' // in the place of the brace
	return dst
}

func appendCause(dst []byte, c graph.Cause) []byte {
	kind := c.Kind
	if kind == "" {
		kind = graph.CauseClient
	}
	dst = append(dst, `{"kind":"`...)
	dst = append(dst, kind...)
	dst = append(dst, '"')
	if c.Version > 0 {
		dst = append(dst, `,"version":`...)
		dst = strconv.AppendInt(dst, int64(c.Version), 10)
	}
	if c.Run != "" {
		dst = append(dst, `,"run":`...)
		dst = graph.AppendString(dst, c.Run)
	}
	return append(dst, '}')
}

// withMembers closes an event after adding members; values are JSON.
func withMembers(event []byte, members ...string) json.RawMessage {
	out := append([]byte(nil), event...)
	for i := 0; i+1 < len(members); i += 2 {
		out = append(out, ',')
		out = graph.AppendString(out, members[i])
		out = append(out, ':')
		out = graph.AppendString(out, members[i+1])
	}
	return append(out, '}')
}
