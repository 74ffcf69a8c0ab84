package graph

// Reader is one state of a graph, as it stands at one version. What it returns
// is immutable. A Reader is used by one goroutine at a time, for as long as its
// giver says.
type Reader interface {
	// Object gives the object, or nil where there is none.
	Object(ObjectID) *Object
	// Edge gives the edge, or nil.
	Edge(EdgeID) *Edge
	// Between gives the edge of a triple, or nil.
	Between(label string, from, to ObjectID) *Edge
	// Out calls yield for each edge that leaves id under label ("" for every
	// label), in no order, until yield returns false. In is the same for the
	// edges that arrive.
	Out(id ObjectID, label string, yield func(*Edge) bool)
	In(id ObjectID, label string, yield func(*Edge) bool)
	// CountOut and CountIn give the number of those edges without walking them.
	CountOut(id ObjectID, label string) int
	CountIn(id ObjectID, label string) int
}
