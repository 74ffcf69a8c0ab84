package graph

// ParseProjection reads the JSON of a projection, strictly; every fault is
// CodeInvalidProjection (CodeInvalidID for a root that is no UUID) with the
// path inside the projection. text must be checked JSON.
func ParseProjection(text []byte) (*Projection, *Error) { panic("skeleton") }
