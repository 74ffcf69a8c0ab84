package graph

// Touched is an entity that a stretch of the log touched, with what is needed to
// find the state before the stretch again.
type Touched struct {
	Ref Ref
	// Object or Edge is the state at the version before the stretch; both are nil
	// where the entity did not exist then.
	Object *Object
	Edge   *Edge
	// Gone is set where the stretch left the entity deleted: what there is to
	// judge it by, as it was when it was deleted, without its body. Its At is the
	// commit that deleted it.
	Gone *Snapshot
}

// TouchedBounds bound what one call of Store.Touched may bring.
type TouchedBounds struct {
	Entities int
	Bytes    int // of their bodies
}
