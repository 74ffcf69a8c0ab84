package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/graphtide/graphtide/graph"
)

// Bounds of one validation. An evaluation that fails takes the library from 1 µs
// in flat values to 60 µs in values 60 levels deep, for it writes out where it is
// (measured); evaluations shrinks with the depth, so that the worst takes about
// a second.
const (
	evaluations   = 500_000
	depthUnit     = 2
	maxValueDepth = 256
	maxViolations = 20
)

// engine compiles the schemas of one document with the JSON Schema library. It
// opens no file and no address, whatever a reference says.
type engine struct {
	url      string
	doc      any
	raw      []byte
	compiler *jsonschema.Compiler // of what is not counted; made at the first need
}

func newEngine(doc any) *engine {
	return &engine{url: "graphtide://schema/body", doc: doc}
}

var errNoLoader = errors.New("references beyond the type are not followed")

// compile compiles the schema at a fragment of the document. With a counter it
// is compiled apart, with the counter built in.
func (e *engine) compile(fragment string, count *counter) (schema *jsonschema.Schema, err error) {
	defer func() {
		if r := recover(); r != nil { // the library panics on some malformed schemas
			err = fmt.Errorf("the schema cannot be compiled: %v", r)
		}
	}()
	c := e.compiler
	if c == nil || count != nil {
		if e.raw == nil {
			e.raw = encode(e.doc)
		}
		c = jsonschema.NewCompiler()
		c.Draft = jsonschema.Draft2020
		c.LoadURL = func(string) (io.ReadCloser, error) { return nil, errNoLoader }
		if err := c.AddResource(e.url, bytes.NewReader(e.raw)); err != nil {
			return nil, err
		}
		if count != nil {
			c.RegisterExtension("graphtide", everything, count)
		} else {
			e.compiler = c
		}
	}
	return c.Compile(e.url + fragment)
}

// everything is the metaschema of a keyword that any schema may have.
var everything = jsonschema.MustCompileString("graphtide://schema/any", "true")

// counter bounds the evaluations of the schema it was compiled into. The
// library has no hook for that, but lets an extension see every schema.
type counter struct{ left int }

type counted struct {
	counter *counter
	weight  int
}

// errWork unwinds a validation that takes too long.
var errWork = errors.New("too much work")

func (c *counter) Compile(_ jsonschema.CompilerContext, m map[string]any) (jsonschema.ExtSchema, error) {
	weight := 1
	for _, k := range []string{"enum", "required"} {
		if l, ok := m[k].([]any); ok {
			weight += len(l)
		}
	}
	return counted{c, weight}, nil
}

// Validate counts one evaluation, which costs the library as much as the value
// has members: it notes each of them as not yet evaluated.
func (c counted) Validate(_ jsonschema.ValidationContext, v any) error {
	c.counter.left -= c.weight
	switch v := v.(type) {
	case map[string]any:
		c.counter.left -= len(v)
	case []any:
		c.counter.left -= len(v)
	}
	if c.counter.left < 0 {
		panic(errWork)
	}
	return nil
}

// guarded judges values by any JSON Schema, with bounded work.
type guarded struct {
	engine   *engine
	fragment string // #/properties/columns
	cost     cost
	schema   *jsonschema.Schema

	mu      sync.Mutex // held during a counted validation: there is one counter
	counted *jsonschema.Schema
	counter counter
}

// newGuarded compiles the schema at a fragment of the engine's document.
func newGuarded(e *engine, fragment string, schema any) (*guarded, error) {
	g := &guarded{engine: e, fragment: fragment, cost: costOf(e.doc, schema)}
	if g.cost.size > maxExpanded {
		return nil, fmt.Errorf("the schema grows beyond %d parts when its references are written out", maxExpanded)
	}
	var err error
	g.schema, err = e.compile(fragment, nil)
	return g, err
}

func (g *guarded) check(raw []byte, path string, out *[]graph.Violation) {
	fail := func(format string, args ...any) {
		*out = append(*out, graph.Violation{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	v, err := decode(raw)
	if err != nil {
		fail("is not JSON")
		return
	}
	var size measure
	size.add(v, 0)
	switch {
	case size.insane:
		fail("holds a number that is too large or too small to be judged")
		return
	case size.depth > maxValueDepth:
		fail("is nested more than %d levels deep", maxValueDepth)
		return
	case g.cost.patterns > 0 && g.cost.patterns*size.text > maxPatternWork:
		fail("has too much text (%d bytes) to be compared with its patterns", size.text)
		return
	}
	err = g.run(v, &size)
	var invalid *jsonschema.ValidationError
	switch {
	case err == nil:
	case errors.Is(err, errWork):
		fail("takes too much work to be judged; make it smaller")
	case errors.As(err, &invalid):
		explain(invalid, path, out, len(*out)+maxViolations)
	default:
		fail("cannot be judged: %v", err)
	}
}

// run judges a value: at once where the work is surely small, else counted.
func (g *guarded) run(v any, size *measure) (err error) {
	budget := evaluations / (1 + size.depth/depthUnit)
	defer func() {
		if r := recover(); r != nil {
			if e, ok := r.(error); ok {
				err = e
			} else {
				err = fmt.Errorf("%v", r)
			}
		}
	}()
	if !g.cost.recursive && g.cost.size*size.values <= budget {
		return g.schema.Validate(v)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.counted == nil {
		if g.counted, err = g.engine.compile(g.fragment, &g.counter); err != nil {
			return err
		}
	}
	g.counter.left = budget
	return g.counted.Validate(v)
}

// measure sizes a decoded value.
type measure struct {
	values int
	text   int // bytes in strings and keys
	depth  int
	insane bool
}

func (m *measure) add(v any, depth int) {
	m.values++
	m.depth = max(m.depth, depth)
	switch v := v.(type) {
	case string:
		m.text += len(v)
	case json.Number:
		m.insane = m.insane || !saneExponent([]byte(v))
	case []any:
		for _, x := range v {
			m.add(x, depth+1)
		}
	case map[string]any:
		for k, x := range v {
			m.text += len(k)
			m.add(x, depth+1)
		}
	}
}

// explain turns the library's tree of errors into violations: its leaves, but
// an alternative as a whole.
func explain(e *jsonschema.ValidationError, path string, out *[]graph.Violation, limit int) {
	if len(*out) >= limit {
		return
	}
	keyword := e.KeywordLocation[strings.LastIndexByte(e.KeywordLocation, '/')+1:]
	if len(e.Causes) == 0 || keyword == "anyOf" || keyword == "oneOf" {
		at, err := url.PathUnescape(e.InstanceLocation)
		if err != nil {
			at = e.InstanceLocation
		}
		if names := namesIn(e.Message); keyword == "required" || keyword == "additionalProperties" && len(names) > 0 {
			message := "the property %q is required"
			if keyword == "additionalProperties" {
				message = "there is no property %q here"
			}
			for _, name := range names {
				if len(*out) < limit {
					*out = append(*out, graph.Violation{Path: path + at + "/" + escapeToken(name), Message: fmt.Sprintf(message, name)})
				}
			}
			return
		}
		message := plainly(e)
		switch keyword {
		case "anyOf":
			message = "matches none of the forms allowed here (anyOf)"
		case "oneOf":
			message = "must match exactly one of the forms allowed here (oneOf)"
		}
		if (keyword == "anyOf" || keyword == "oneOf") && len(e.Causes) > 0 {
			message += ": " + plainly(firstLeaf(e))
		}
		*out = append(*out, graph.Violation{Path: path + at, Message: message})
		return
	}
	for _, cause := range e.Causes {
		explain(cause, path, out, limit)
	}
}

var quotedName = regexp.MustCompile(`'((?:[^'\\]|\\.)*)'`)

// namesIn gives the names that a message of the library quotes.
func namesIn(message string) []string {
	var names []string
	for _, m := range quotedName.FindAllStringSubmatch(message, maxViolations) {
		name := strings.ReplaceAll(m[1], `\'`, `'`)
		if s, err := strconv.Unquote(`"` + strings.ReplaceAll(name, `"`, `\"`) + `"`); err == nil {
			name = s
		}
		names = append(names, name)
	}
	return names
}

var lengthMessage = regexp.MustCompile(`^length must be ([<>])= (\d+), but got (\d+)$`)

// plainly gives a message of the library; of a text's length as native.go says it, which people read.
func plainly(e *jsonschema.ValidationError) string {
	m := lengthMessage.FindStringSubmatch(e.Message)
	if m == nil {
		return e.Message
	}
	bound := map[string]string{"<": "at most", ">": "at least"}[m[1]]
	return fmt.Sprintf("must have %s %s characters, here it has %s", bound, m[2], m[3])
}

func firstLeaf(e *jsonschema.ValidationError) *jsonschema.ValidationError {
	for len(e.Causes) > 0 {
		e = e.Causes[0]
	}
	return e
}
