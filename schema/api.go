// Package schema compiles the types, edges, rights, rules, operations and
// projections of an application from YAML into an immutable registry.
package schema

import (
	"context"
	"encoding/json"
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
	// unexported: compiled validators, defaults, access template, create rights
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
	// unexported: compiled validator of the edge's body
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
}

// Projection is a named projection with arguments.
type Projection struct {
	Name string
	Args map[string]json.RawMessage
	Raw  json.RawMessage // with {"$arg": name} in places
}

// The methods that the other packages rely on.

// TypeOf gives a type, or nil.
func (r *Registry) TypeOf(name string) *Type { panic("skeleton") }

// IsA reports whether name is ancestor or one of its subtypes.
func (r *Registry) IsA(name, ancestor string) bool { panic("skeleton") }

// Subtypes gives the type and all below it, sorted; nil for an unknown type.
func (r *Registry) Subtypes(name string) []string { panic("skeleton") }

// EdgeBetween judges the double opt-in: the declarations of both sides, or
// CodeEdgeNotAllowed with Side set.
func (r *Registry) EdgeBetween(label, fromType, toType string) (out, in *EdgeDecl, err *graph.Error) {
	panic("skeleton")
}

// FillDefaults gives the body with the defaults of absent properties, and the
// operations that add them (paths relative to the body); nil ops where nothing
// was absent.
func (t *Type) FillDefaults(body json.RawMessage) (filled json.RawMessage, ops []patch.Op, err *graph.Error) {
	panic("skeleton")
}

// Validate judges a body. changed names the pointers that differ from a body
// that was valid under the same registry (nil: judge everything); paths in the
// violations are relative to the body. It never panics and its work is bounded.
func (t *Type) Validate(body json.RawMessage, changed []patch.Pointer) []graph.Violation {
	panic("skeleton")
}

// ValidateBody judges an edge's body, and FillDefaults fills it, where the
// declaration of either side has properties; both sides declaring none means
// that only {} is allowed.
func (r *Registry) EdgeBody(out, in *EdgeDecl, body json.RawMessage) (filled json.RawMessage, ops []patch.Op, violations []graph.Violation) {
	panic("skeleton")
}

// Access gives the access of a new object: explicit (nil for none) or the
// type's default for this creator, completed to the full form.
func (t *Type) Access(explicit json.RawMessage, creator *graph.Principal) (*graph.ACL, *graph.Error) {
	panic("skeleton")
}

// MayCreate reports whether the principal may create objects of the type.
func (t *Type) MayCreate(p *graph.Principal) bool { panic("skeleton") }

// CheckParams judges the params of an operation.
func (o *Operation) CheckParams(params json.RawMessage) []graph.Violation { panic("skeleton") }

// Instantiate fills the arguments in and parses the result.
func (p *Projection) Instantiate(args json.RawMessage) (*graph.Projection, *graph.Error) {
	panic("skeleton")
}

// Compile reads a schema document (YAML 1.2 or JSON). file names it in errors.
// scripts fill handler sources in beside those in the document. The error is
// CodeInvalidSchema with one Violation per fault.
func Compile(file string, doc []byte, version int64) (*Registry, *graph.Error) { panic("skeleton") }

// Empty is the registry of version 0: the built-in types alone.
func Empty() *Registry { panic("skeleton") }

// ClientView gives what non-admins may see, as JSON.
func (r *Registry) ClientView() json.RawMessage { panic("skeleton") }

// TypeScript gives declarations for the schema's types.
func (r *Registry) TypeScript() []byte { panic("skeleton") }

// MigrateObject maps a body stored under the previous schema by the type's
// `migrate:` entry; ok is false where the type has none or nothing changes.
func (r *Registry) MigrateObject(typ string, body json.RawMessage) (migrated json.RawMessage, ops []patch.Op, ok bool) {
	panic("skeleton")
}

// Match is a rule that a change concerns. Err is set where its condition could
// not be evaluated; such a rule does not match, and the trace says so.
type Match struct {
	Rule *Rule
	Err  error
}

// Match gives the rules that a change of a commit fires, and those whose
// condition failed. typeOf gives the type of an object that exists before or
// after the commit ("" for none), for the ends of edges.
func (r *Registry) Match(c *graph.Commit, ch *graph.Change, typeOf func(graph.ObjectID) string) []Match {
	panic("skeleton")
}

// Live holds the active registry of this process and older ones by version.
type Live struct{}

// NewLive makes a Live that reads documents from the store. It starts with Empty.
func NewLive(store graph.Store) *Live { panic("skeleton") }

// Current gives the active registry; one atomic load.
func (l *Live) Current() *Registry { panic("skeleton") }

// At gives the registry of a version, compiling it once.
func (l *Live) At(ctx context.Context, version int64) (*Registry, error) { panic("skeleton") }

// Refresh makes the store's active schema the current one.
func (l *Live) Refresh(ctx context.Context) error { panic("skeleton") }

// OnChange calls fn after each swap, until stop.
func (l *Live) OnChange(fn func(*Registry)) (stop func()) { panic("skeleton") }
