package protocol

import (
	"encoding/json"
	"strconv"

	"github.com/graphtide/graphtide/graph"
)

// Entry is one member of a frame's objects or edges, `"<id>":value`, encoded.
// It is immutable and shared by every frame that holds it.
type Entry []byte

// Entries are what a frame says about objects and about edges.
type Entries struct {
	Objects, Edges []Entry
}

// Len gives the number of entries.
func (e *Entries) Len() int { return len(e.Objects) + len(e.Edges) }

// Add adds an entry of the kind.
func (e *Entries) Add(kind graph.EntityKind, entry Entry) {
	if kind == graph.KindEdge {
		e.Edges = append(e.Edges, entry)
	} else {
		e.Objects = append(e.Objects, entry)
	}
}

// Reason says why an entity left a view.
type Reason string

// The reasons.
const (
	Deleted   Reason = "deleted"
	Unlinked  Reason = "unlinked"
	Forbidden Reason = "forbidden"
)

func entryKey(id [16]byte, room int) []byte {
	dst := make([]byte, 0, 39+room)
	dst = append(dst, '"')
	dst = graph.ObjectID(id).AppendTo(dst)
	return append(dst, '"', ':')
}

// metaRoom is about what a meta member takes.
const metaRoom = 220

// EnterObject is an object that comes into a view.
func EnterObject(o *graph.Object) Entry {
	dst := entryKey(o.ID, len(o.Body)+len(o.Type)+metaRoom)
	dst = append(dst, `{"enter":`...)
	return append(o.AppendJSON(dst, false), '}')
}

// EnterEdge is an edge that comes into a view.
func EnterEdge(e *graph.Edge) Entry {
	dst := entryKey(e.ID, len(e.Body)+len(e.Label)+metaRoom+100)
	dst = append(dst, `{"enter":`...)
	return append(e.AppendJSON(dst), '}')
}

// PatchEntry turns the copy at version was into the entity that meta describes.
// patch is a JSON array with paths relative to the entity; empty means none.
func PatchEntry(ref graph.Ref, was graph.Version, patch json.RawMessage, meta *graph.Meta) Entry {
	dst := entryKey(ref.ID, len(patch)+metaRoom+60)
	dst = append(dst, `{"version":`...)
	dst = strconv.AppendInt(dst, int64(meta.Version), 10)
	dst = append(dst, `,"was":`...)
	dst = strconv.AppendInt(dst, int64(was), 10)
	dst = append(dst, `,"patch":`...)
	if len(patch) == 0 {
		dst = append(dst, '[', ']')
	} else {
		dst = append(dst, patch...)
	}
	dst = append(dst, `,"meta":`...)
	dst = meta.AppendJSON(dst)
	return append(dst, '}')
}

// LeaveEntry is an entity that goes out of a view.
func LeaveEntry(ref graph.Ref, why Reason) Entry {
	dst := entryKey(ref.ID, 30)
	dst = append(dst, `{"leave":"`...)
	dst = append(dst, why...)
	return append(dst, '"', '}')
}
