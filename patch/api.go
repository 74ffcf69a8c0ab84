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

// String gives the word for the reason that the shared test cases use.
func (r Reason) String() string {
	switch r {
	case InvalidJSON:
		return "invalid-json"
	case InvalidPatch:
		return "invalid-patch"
	case PathMissing:
		return "path-missing"
	case TestFailed:
		return "test-failed"
	case TooLarge:
		return "too-large"
	}
	return ""
}

// Error is a fault of a text or of an operation.
type Error struct {
	Reason Reason
	Op     int // index of the operation; -1 where none is at fault
	// Path is the JSON Pointer at fault: from Check into the text, from Parse
	// into the patch ("/0/path"), from Apply into the document.
	Path    string
	Message string
	Limit   string // TooLarge: bytes, depth or operations
	Actual  json.RawMessage
}

// Error gives the message and the path.
func (e *Error) Error() string { return e.Message + " at " + quote(e.Path) }

func quote(s string) string { return string(appendString(nil, s)) }

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

var opNames = [...]string{Add: "add", Remove: "remove", Replace: "replace", Move: "move", Copy: "copy", Test: "test"}

// String gives the operation's name on the wire.
func (k OpKind) String() string {
	if int(k) < len(opNames) {
		return opNames[k]
	}
	return ""
}

// Op is one operation. Value is set for add, replace and test: checked JSON,
// without white space around it. From is set for move and copy.
type Op struct {
	Kind  OpKind
	Path  Pointer
	From  Pointer
	Value json.RawMessage
}

// MaxDepth bounds the nesting of every text, whatever the limits say: it is
// what keeps the stack small.
const MaxDepth = 10000

// JSONLimits bound a text. Zero means no bound, except that nesting never goes
// beyond MaxDepth, and that numbers are always held to 64 significant digits
// and the range of a double.
type JSONLimits struct {
	Bytes int
	Depth int // containers within each other: [[1]] has two
}

func (l JSONLimits) depth() int {
	if l.Depth <= 0 || l.Depth > MaxDepth {
		return MaxDepth
	}
	return l.Depth
}
