package protocol

import (
	"strconv"

	"github.com/graphtide/graphtide/graph"
)

// Whole is a view as it stands: the load of a client that holds nothing of it.
type Whole struct {
	Objects []*graph.Object
	Edges   []*graph.Edge
	Roots   []graph.ObjectID
	Digest  uint32
}

// Bodies gives the load's frames behind their LoadHead, as Load.Bodies does. The
// entities are written straight into the frames: a piece of memory for each of
// ten thousand took longer than their text.
func (v *Whole) Bodies(max int) [][]byte {
	tail := appendIDs([]byte(`,"roots":`), v.Roots)
	tail = append(tail, `,"done":true,"digest":`...)
	tail = strconv.AppendUint(tail, uint64(v.Digest), 10)
	w := wholeWriter{
		max:  max - headRoom - len(`},"edges":{`) - len(`},"done":false}`) - len(tail),
		left: len(tail) + 64,
	}
	for _, o := range v.Objects {
		w.left += len(o.Body) + len(o.Type) + metaRoom + 70
	}
	for _, e := range v.Edges {
		w.left += len(e.Body) + len(e.Label) + metaRoom + 150
	}
	w.begin()
	w.dst = append(w.dst, `,"total":`...)
	w.dst = strconv.AppendInt(w.dst, int64(len(v.Objects)+len(v.Edges)), 10)
	w.dst = append(w.dst, `,"objects":{`...)
	for _, o := range v.Objects {
		at := w.comma()
		w.dst = w.c.Object(w.dst, o)
		w.fit(at, `},"edges":{},"done":false}`, `,"objects":{`)
	}
	w.dst, w.listed = append(w.dst, `},"edges":{`...), 0
	for _, e := range v.Edges {
		at := w.comma()
		w.dst = w.c.Edge(w.dst, e)
		w.fit(at, `},"done":false}`, `,"objects":{},"edges":{`)
	}
	w.dst = append(append(append(w.dst, '}'), tail...), '}')
	return append(w.out, w.dst)
}

// wholeWriter cuts what is written into frames.
type wholeWriter struct {
	c      graph.Encoder
	out    [][]byte
	dst    []byte // the frame that is being written
	max    int    // of its text before the tail
	listed int    // entities in its present list
	held   int    // entities in it
	left   int    // about how much is still to be written
}

func (w *wholeWriter) begin() {
	w.dst, w.listed, w.held = make([]byte, 0, max(min(w.left, w.max+1024), 256)), 0, 0
}

// comma parts an entity from the one before it, and gives where that ends.
func (w *wholeWriter) comma() (at int) {
	at = len(w.dst)
	if w.listed > 0 {
		w.dst = append(w.dst, ',')
	}
	w.listed++
	w.held++
	return at
}

// fit moves the entity written last into a frame of its own beginning where it is
// too much for the present one, which ends at at. The only entity of a frame
// stays, however large.
func (w *wholeWriter) fit(at int, end, begin string) {
	if len(w.dst) <= w.max || w.held == 1 {
		return
	}
	full, entity := w.dst[:at], w.dst[at:]
	if w.listed > 1 {
		entity = entity[1:] // its comma
	}
	w.left -= at
	w.begin()
	w.dst = append(append(w.dst, begin...), entity...)
	w.listed, w.held = 1, 1
	w.out = append(w.out, append(full, end...))
}
