package graph

import "encoding/json"

// Projection is a code-free description of a subgraph: roots, and the edges to
// follow from them.
type Projection struct {
	Roots []ObjectID // nil for a type root; in the order named, without repeats
	Type  *TypeRoot  // nil for named roots
	Node             // what to follow from each root
}

// TypeRoot takes every object of a type, its subtypes included, as a root.
type TypeRoot struct {
	Type string
	List
}

// Node says which edges to follow from an object. Steps are sorted by (In,
// Label).
type Node struct {
	Steps []*Step
}

// Step follows one label in one direction.
type Step struct {
	Label string
	In    bool // against the direction of the edge
	List       // where, order and window within one parent
	Node       // what to follow from the objects reached
	// Repeat follows the same label that many levels more, each with the same
	// List and Node; -1 as far as it goes.
	Repeat int
}

// List filters, orders and pages the objects reached from one parent.
type List struct {
	Where *Cond // nil: all
	Order []OrderKey
	Limit int    // 0: no limit
	After *After // nil: from the start
}

// OrderKey is one key of an order.
type OrderKey struct {
	Path Path
	Desc bool
}

// Path points into the entity reached (`/body/a`, `/meta/version`), or into the
// edge over which it was reached (`edge:/body/rank`).
type Path struct {
	Edge   bool
	Tokens []string // decoded reference tokens, for instance ["body", "a"]
}

// After is a position in an ordered list: the values of its order and an id.
type After struct {
	Values []json.RawMessage // one per OrderKey; nil stands for "missing"
	ID     ObjectID
}

// CondOp is the kind of a condition.
type CondOp uint8

// The conditions. And, Or and Not use Sub; Exists uses Bool; In uses Values;
// the others use Values[0].
const (
	CondAnd CondOp = iota
	CondOr
	CondNot
	CondEq
	CondNe
	CondLt
	CondLte
	CondGt
	CondGte
	CondIn
	CondPrefix
	CondExists
)

// Cond is one condition on the entity reached.
type Cond struct {
	Op     CondOp
	Sub    []*Cond
	Path   Path
	Values []json.RawMessage
	Bool   bool
}
