package patch

import "encoding/json"

// Reason is the kind of a fault.
type Reason uint8

// The reasons.
const (
	InvalidJSON  Reason = iota + 1 // the text is not strict JSON
	InvalidPatch                   // an operation is malformed: pointer, index grammar, missing member, unknown op
	PathMissing                    // the target does not exist
	TestFailed                     // Actual holds the value found
	TooLarge                       // Limit names the bound
)

// Error is a fault of a text or of an operation.
type Error struct {
	Reason  Reason
	Op      int    // index of the operation; -1 where none is at fault
	Path    string // JSON Pointer at fault
	Message string
	Limit   string // TooLarge: bytes, depth, operations or number
	Actual  json.RawMessage
}

// Error gives the message and the path.
func (e *Error) Error() string { return e.Message + " at " + e.Path }

// OpKind is one of the six operations.
type OpKind uint8

// The operations of RFC 6902, section 4.
const (
	Add OpKind = iota + 1
	Remove
	Replace
	Move
	Copy
	Test
)

// Pointer is a JSON Pointer as decoded reference tokens; empty is the whole
// document.
type Pointer []string

// Op is one operation. Value is set for add, replace and test; From for move
// and copy.
type Op struct {
	Kind  OpKind
	Path  Pointer
	From  Pointer
	Value json.RawMessage
}

// JSONLimits bound a text. Zero means no bound, except that numbers are always
// held to 64 significant digits and the range of a double.
type JSONLimits struct {
	Bytes int
	Depth int
}
