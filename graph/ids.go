package graph

// ObjectID names an object: a UUID of any version.
type ObjectID [16]byte

// EdgeID names an edge: a UUID of any version. Objects and edges have separate
// spaces of ids.
type EdgeID [16]byte

// Version is the number of a commit, and so of a state of the whole graph.
// 0 is the empty graph; commits count from 1, dense.
type Version int64

// GraphKey is the internal number of a graph. A graph deleted and made again
// under the same name has another key.
type GraphKey int64

// MainGraph is the graph that always exists.
const MainGraph = "main"

// ParseObjectID reads a UUID in its 36-character form; hex digits of either
// case are taken.
func ParseObjectID(s string) (ObjectID, bool) {
	id, ok := parseUUID(s)
	return ObjectID(id), ok
}

// ParseEdgeID reads a UUID in its 36-character form; hex digits of either case
// are taken.
func ParseEdgeID(s string) (EdgeID, bool) {
	id, ok := parseUUID(s)
	return EdgeID(id), ok
}

// String gives the canonical form: lower case, with hyphens (RFC 9562, 4).
func (id ObjectID) String() string { return string(appendUUID(nil, id)) }

// AppendTo appends the canonical form.
func (id ObjectID) AppendTo(dst []byte) []byte { return appendUUID(dst, id) }

// MarshalText gives the canonical form, also for JSON map keys.
func (id ObjectID) MarshalText() ([]byte, error) { return appendUUID(nil, id), nil }

// UnmarshalText reads what MarshalText gives; anything else is CodeInvalidID.
func (id *ObjectID) UnmarshalText(b []byte) error {
	v, ok := parseUUID(string(b))
	if !ok {
		return InvalidID(string(b))
	}
	*id = v
	return nil
}

// IsZero reports the nil UUID, which names nothing (RFC 9562, 5.9) and stands for "none"
// inside the server: no object is made with it.
func (id ObjectID) IsZero() bool { return id == ObjectID{} }

// String gives the canonical form: lower case, with hyphens (RFC 9562, 4).
func (id EdgeID) String() string { return string(appendUUID(nil, id)) }

// AppendTo appends the canonical form.
func (id EdgeID) AppendTo(dst []byte) []byte { return appendUUID(dst, id) }

// MarshalText gives the canonical form, also for JSON map keys.
func (id EdgeID) MarshalText() ([]byte, error) { return appendUUID(nil, id), nil }

// UnmarshalText reads what MarshalText gives; anything else is CodeInvalidID.
func (id *EdgeID) UnmarshalText(b []byte) error {
	v, ok := parseUUID(string(b))
	if !ok {
		return InvalidID(string(b))
	}
	*id = v
	return nil
}

// IsZero reports the nil UUID: no edge is made with it.
func (id EdgeID) IsZero() bool { return id == EdgeID{} }

func parseUUID(s string) (id [16]byte, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, false
	}
	j := 0
	for i := 0; i < 36; {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			i++
			continue
		}
		hi, lo := unhex(s[i]), unhex(s[i+1])
		if hi > 15 || lo > 15 {
			return id, false
		}
		id[j] = hi<<4 | lo
		j++
		i += 2
	}
	return id, true
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// hexPairs has the two digits of every byte: an id costs sixteen look-ups.
var hexPairs = func() (pairs [256][2]byte) {
	const digits = "0123456789abcdef"
	for i := range pairs {
		pairs[i] = [2]byte{digits[i>>4], digits[i&15]}
	}
	return pairs
}()

func appendUUID(dst []byte, id [16]byte) []byte {
	var b [36]byte
	at := 0
	for i, v := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b[at] = '-'
			at++
		}
		b[at], b[at+1] = hexPairs[v][0], hexPairs[v][1]
		at += 2
	}
	return append(dst, b[:]...)
}

// EntityKind tells objects from edges.
type EntityKind uint8

// The two kinds of entity.
const (
	KindObject EntityKind = iota
	KindEdge
)

// String gives "object" or "edge".
func (k EntityKind) String() string {
	if k == KindEdge {
		return "edge"
	}
	return "object"
}

// Collection gives the member of the graph document: "objects" or "edges".
func (k EntityKind) Collection() string {
	if k == KindEdge {
		return "edges"
	}
	return "objects"
}

// Ref names one entity.
type Ref struct {
	Kind EntityKind
	ID   [16]byte
}

// ObjectRef and EdgeRef make a Ref.
func ObjectRef(id ObjectID) Ref { return Ref{KindObject, id} }

// EdgeRef makes a Ref of an edge.
func EdgeRef(id EdgeID) Ref { return Ref{KindEdge, id} }

// IDString gives the canonical UUID.
func (r Ref) IDString() string { return string(appendUUID(nil, r.ID)) }

// Pointer gives the JSON Pointer of the entity in the graph document.
func (r Ref) Pointer() string { return "/" + r.Kind.Collection() + "/" + r.IDString() }
