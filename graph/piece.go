package graph

import "context"

// Want names parts of a graph's present state.
type Want struct {
	Objects []ObjectID // each with all edges that leave it
	// In asks for edges that arrive, with the objects at their far ends.
	In    []Arriving
	Types []string // all objects of exactly these types
	Edges []EdgeID // each with the object that it leaves
}

// Arriving names the edges that arrive at an object under a label ("" for every
// label).
type Arriving struct {
	To    ObjectID
	Label string
}

// Piece is a part of a graph's state at one version. Every object in it comes
// with all edges that leave it; what was asked for and is not in it does not
// exist at that version.
type Piece struct {
	Head    Head
	Objects []*Object // in no order, without repeats; so are Edges
	Edges   []*Edge
}

// Foot is an entity that a commit touched, without its content.
type Foot struct {
	Version  Version
	Ref      Ref
	Event    Event
	Type     string   // an object's type, an edge's label
	From, To ObjectID // of an edge
}

// FootOf gives a change without its content. The change's Before has to be filled
// in where the entity was deleted.
func FootOf(v Version, c *Change) Foot {
	f := Foot{Version: v, Ref: c.Ref, Event: c.Event}
	o, e := c.ObjAfter, c.EdgeAfter
	if c.Event == Deleted {
		o, e = c.ObjBefore, c.EdgeBefore
	}
	if o != nil {
		f.Type = o.Type
	}
	if e != nil {
		f.Type, f.From, f.To = e.Label, e.From, e.To
	}
	return f
}

// PieceStore reads parts of a state, for who does not hold all of it.
type PieceStore interface {
	// Piece reads parts of the present state, all at one version, which it gives.
	Piece(ctx context.Context, g GraphKey, want *Want) (*Piece, error)
	// Befores gives the states that entities had right before a version, one for
	// each question, in their order: none where the entity did not exist.
	// CodeGone where the history of one of them does not reach back, CodeNotFound
	// where there is no such graph.
	Befores(ctx context.Context, g GraphKey, asked []RefVersion) ([]Snapshot, error)
	// Types gives the types of objects that are there or were once: an object
	// keeps its type for ever, and the history of its states may be gone. Others
	// are left out. CodeNotFound where there is no such graph.
	Types(ctx context.Context, g GraphKey, ids []ObjectID) (map[ObjectID]string, error)
	// Trail calls fn for everything that the commits after since, up to until,
	// touched, in no order. CodeGone where the log does not reach back to since.
	Trail(ctx context.Context, g GraphKey, since, until Version, fn func(Foot)) error
}

// RefVersion names an entity at a version.
type RefVersion struct {
	Ref     Ref
	Version Version
}
