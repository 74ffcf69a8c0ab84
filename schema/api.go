package schema

import (
	"encoding/json"
	"sync"
	"time"

	"cel.dev/cel-go/cel"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// Registry is one compiled schema version: immutable, shared, swapped whole.
type Registry struct {
	Version     int64
	Doc         json.RawMessage // the document as it was put, as JSON
	Types       map[string]*Type
	Rules       []*Rule // sorted by name
	Operations  map[string]*Operation
	Projections map[string]*Projection
	Scripts     map[string]string
	// Warnings tell what is allowed but hardly meant, in the form of faults.
	Warnings []graph.Violation

	objectRules map[string]*ruleIndex // by type, subtypes included
	edgeRules   map[string]*ruleIndex // by label
	edgeShapes  sync.Map              // [2]*EdgeDecl → *shape, for edges with a body on both sides
}

// Type is a type with everything it inherits.
type Type struct {
	Name     string
	Parent   *Type // nil for Object
	Abstract bool
	Open     bool
	Out      map[string]*EdgeDecl // by label, inherited ones included
	In       map[string]*EdgeDecl
	Required []*EdgeDecl // the Out declarations with Required
	Rights   []string    // read, write, manage and the type's own, sorted
	History  History
	Methods  map[string]*Method

	ancestors   map[string]bool // itself included
	subtypes    []string        // itself included, sorted
	shape       *shape
	source      *shapeSource
	at          map[string]cursor // where each property is declared
	refs        []cursor
	template    *template
	create      createRule
	migrations  []*migration
	description string

	accessSource      *accessSource
	outOrder, inOrder []string // labels as declared
}

// OnDelete says what becomes of the declaring object when the object at the
// other end of the edge is deleted.
type OnDelete uint8

// The policies.
const (
	Unlink OnDelete = iota
	Cascade
	Restrict
)

// EdgeDecl is one side's declaration of an edge.
type EdgeDecl struct {
	Label    string
	Owner    string   // the type that declares it
	Types    []string // the far ends allowed (`to` or `from`), subtypes included by IsA
	Max      int      // 0: no bound
	Replace  bool     // whenFull: replace
	Required bool
	As       string
	Needs    string // right asked of this end's object; "write" by default
	OnDelete OnDelete
	HasBody  bool

	shape  *shape // of the body; nil: none
	source *shapeSource
	at     cursor
	bodyAt map[string]cursor
}

// History is a type's retention policy. Zero: keep all, every version a snapshot.
type History struct {
	Versions int
	Age      time.Duration
	Snapshot int // every k-th version stores its snapshot; 0 and 1: every one
}

// Method is a named patch of a type, with parameters.
type Method struct {
	Name   string
	Params json.RawMessage
	Patch  json.RawMessage

	shape *shape
}

// Handler says who answers a rule or runs an operation. Exactly one of Script,
// Webhook, Go and Lambda is set.
type Handler struct {
	Script  string
	Webhook string
	Go      string
	Lambda  string
	Secret  string // with ${env:…} as written
}

// Rule is a post-processing instruction.
type Rule struct {
	Name    string
	Object  string // type, for a rule on objects (OPPI)
	Edge    string // label, for a rule on edges (EPPI)
	From    string // types of the ends; "" any
	To      string
	Events  []graph.Event
	Paths   []patch.Pointer // modify matches only if one of these or below changed; empty: any
	When    cel.Program     // nil: always. Variables: before, after, event, by, version
	WhenSrc string
	Handler Handler
	Timeout time.Duration
	Retries int
	AsUser  bool
	// Writes is what the handler may change, as far as WritesKnown. Declared, it
	// is held to; else it was read out of a script's source, and is a guess.
	Writes         []Write
	WritesKnown    bool
	WritesDeclared bool

	events [4]bool // by graph.Event
}

// Operation is a kind of long-running job.
type Operation struct {
	Name    string
	Params  json.RawMessage
	Target  string // type; "" none
	Needs   string // right asked on the target
	Handler Handler
	Timeout time.Duration
	Retries int
	AsUser  bool
	// Writes is what the handler may change; see Rule.
	Writes         []Write
	WritesKnown    bool
	WritesDeclared bool

	shape *shape
}

// Projection is a named projection with arguments.
type Projection struct {
	Name string
	Args map[string]json.RawMessage
	Raw  json.RawMessage // with {"$arg": name} in places

	shape *shape
	parts []part
}

// TypeOf gives a type, or nil.
func (r *Registry) TypeOf(name string) *Type { return r.Types[name] }

// IsA reports whether name is ancestor or one of its subtypes.
func (r *Registry) IsA(name, ancestor string) bool {
	t := r.Types[name]
	return t != nil && t.ancestors[ancestor]
}

// Subtypes gives the type and all below it, sorted; nil for an unknown type.
// The slice is shared.
func (r *Registry) Subtypes(name string) []string {
	t := r.Types[name]
	if t == nil {
		return nil
	}
	return t.subtypes
}

// FillDefaults gives the body with the defaults of absent properties, and the
// operations that add them (paths relative to the body); nil ops where nothing
// was absent. A body that is no object stays as it is. The error is kept for
// defaults that depend on the creation; there are none today.
func (t *Type) FillDefaults(body json.RawMessage) (filled json.RawMessage, ops []patch.Op, err *graph.Error) {
	filled, ops = t.shape.fill.fill(body, nil, nil)
	return filled, ops, nil
}

// Validate judges a body that has been checked as JSON. changed names the
// pointers that differ from a body that was valid under the same registry (nil:
// judge everything); paths in the violations are relative to the body. It never
// panics and its work is bounded.
func (t *Type) Validate(body json.RawMessage, changed []patch.Pointer) []graph.Violation {
	return t.shape.validate(body, changed)
}

// Compile reads a schema document (YAML 1.2 or JSON); file names it in errors.
// The error is CodeInvalidSchema with one Violation per fault, in the order of
// the document: Path is the place as a JSON Pointer, Message begins with
// `file:line:` and the type and key, and ends with the source line and a caret.
func Compile(file string, doc []byte, version int64) (*Registry, *graph.Error) {
	return compile(file, doc, version, nil)
}

// Faults says what is wrong with a document whose handlers cannot all be had:
// lacking says of each of these, by the name that the document has for it, why.
// That is a fault where the name stands, beside all the others.
func Faults(file string, doc []byte, lacking map[string]string) *graph.Error {
	_, fault := compile(file, doc, 1, lacking)
	return fault
}

// Empty is the registry of version 0: the built-in types alone.
func Empty() *Registry {
	r, err := compile("builtin", []byte("graphtide: 1\n"), 0, nil)
	if err != nil {
		panic(err) // our own document; a test compiles it
	}
	return r
}
