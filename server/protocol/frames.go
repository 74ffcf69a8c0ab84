package protocol

import (
	"strconv"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// Delta is what happened to a view.
type Delta struct {
	View      string
	Version   graph.Version
	At        time.Time // of the last commit it covers
	By        string    // its author
	Mutations []string  // the keys of the commits it covers
	Entries
	Roots    []graph.ObjectID
	HasRoots bool // the roots changed
}

// Frames gives the delta as messages of at most max bytes each (more only where
// one entry is larger). All but the last have done false; mutations and roots
// travel with the last.
func (d *Delta) Frames(max int) [][]byte {
	head := append([]byte(nil), `{"t":"delta","view":`...)
	head = graph.AppendString(head, d.View)
	head = append(head, `,"version":`...)
	head = strconv.AppendInt(head, int64(d.Version), 10)
	head = append(head, `,"at":"`...)
	head = d.At.UTC().AppendFormat(head, graph.TimeFormat)
	head = append(head, `","by":`...)
	head = graph.AppendString(head, d.By)

	var tail []byte
	tail = append(tail, `,"mutations":`...)
	tail = appendStrings(tail, d.Mutations)
	if d.HasRoots {
		tail = append(tail, `,"roots":`...)
		tail = appendIDs(tail, d.Roots)
	}
	return chunk(&d.Entries, max, func(dst []byte, _ bool) []byte { return append(dst, head...) }, tail, nil)
}

// Load is a view, or what differs from a version held before.
type Load struct {
	Entries
	Roots     []graph.ObjectID
	Mutations []string // keys of commits that a difference covers
	Digest    uint32
}

// LoadHead is the part of a load that differs between the sessions of a view.
type LoadHead struct {
	Sub, View, Key string
	Reset          bool
	Version        graph.Version
}

// Append appends the beginning of a load's frame; a body follows it.
func (h *LoadHead) Append(dst []byte) []byte {
	dst = append(dst, `{"t":"load","sub":`...)
	dst = graph.AppendString(dst, h.Sub)
	dst = append(dst, `,"view":`...)
	dst = graph.AppendString(dst, h.View)
	dst = append(dst, `,"key":`...)
	dst = graph.AppendString(dst, h.Key)
	if h.Reset {
		dst = append(dst, `,"reset":true`...)
	}
	dst = append(dst, `,"version":`...)
	return strconv.AppendInt(dst, int64(h.Version), 10)
}

// headRoom is kept free for a LoadHead in every frame.
const headRoom = 512

// Bodies gives the rest of the load's frames, to be written behind a LoadHead
// each: shared by all who load the view as it is.
func (l *Load) Bodies(max int) [][]byte {
	var tail []byte
	if len(l.Mutations) > 0 {
		tail = append(tail, `,"mutations":`...)
		tail = appendStrings(tail, l.Mutations)
	}
	tail = append(tail, `,"roots":`...)
	tail = appendIDs(tail, l.Roots)
	last := strconv.AppendUint([]byte(`,"digest":`), uint64(l.Digest), 10)
	return chunk(&l.Entries, max-headRoom, func(dst []byte, first bool) []byte {
		if first {
			dst = append(dst, `,"total":`...)
			dst = strconv.AppendInt(dst, int64(l.Len()), 10)
		}
		return dst
	}, tail, last)
}

// chunk writes the entries into as many frames as they need. head begins each;
// tail goes before, last behind the done of the last one.
func chunk(e *Entries, max int, head func(dst []byte, first bool) []byte, tail, last []byte) [][]byte {
	const frame = len(`,"objects":{`) + len(`},"edges":{`) + len(`},"done":false}`)
	var out [][]byte
	objects, edges := e.Objects, e.Edges
	for {
		prefix := head(make([]byte, 0, 256), len(out) == 0)
		room := max - len(prefix) - frame - len(tail) - len(last)
		no, size := take(objects, room, true)
		ne := 0
		if no == len(objects) {
			var more int
			ne, more = take(edges, room-size, no == 0)
			size += more
		}
		done := no == len(objects) && ne == len(edges)

		dst := make([]byte, 0, len(prefix)+frame+size+len(tail)+len(last)+8)
		dst = append(dst, prefix...)
		dst = append(dst, `,"objects":{`...)
		dst = join(dst, objects[:no])
		dst = append(dst, `},"edges":{`...)
		dst = join(dst, edges[:ne])
		dst = append(dst, '}')
		if done {
			dst = append(dst, tail...)
			dst = append(dst, `,"done":true`...)
			dst = append(dst, last...)
		} else {
			dst = append(dst, `,"done":false`...)
		}
		out = append(out, append(dst, '}'))
		if done {
			return out
		}
		objects, edges = objects[no:], edges[ne:]
	}
}

// take gives how many entries fit into room, and their size with commas; at
// least one where must is set.
func take(entries []Entry, room int, must bool) (n, size int) {
	for n < len(entries) {
		more := len(entries[n]) + 1
		if size+more > room && !(must && n == 0) {
			break
		}
		size += more
		n++
	}
	return n, size
}

func join(dst []byte, entries []Entry) []byte {
	for i, e := range entries {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, e...)
	}
	return dst
}

func appendStrings(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = graph.AppendString(dst, s)
	}
	return append(dst, ']')
}

func appendIDs(dst []byte, ids []graph.ObjectID) []byte {
	dst = append(dst, '[')
	for i, id := range ids {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = id.AppendTo(dst)
		dst = append(dst, '"')
	}
	return append(dst, ']')
}
