package graphtide

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/graphtide/graphtide/postprocess"
)

// Handler handles a run: a change that a rule matched, or an operation that a
// user asked for. An error fails the attempt, and another one comes later, as
// the schema says. A nil Answer means: done. It must return when ctx ends.
type Handler func(ctx context.Context, call *Call) (*Answer, error)

// Answer is what a handler wants done. Both may be empty.
type Answer struct {
	// Patch is a JSON Patch over the graph, committed as one transaction caused
	// by the run: [{"op": "add", "path": "/objects/<id>/body/seen", "value": true}].
	Patch json.RawMessage `json:"patch,omitempty"`
	// Result is an operation's result, committed together with Patch.
	Result any `json:"result,omitempty"`
}

// Call is what a handler gets.
type Call struct {
	Event
	// Graph reads and writes as the run.
	Graph Graph
	// Operation is nil for a rule.
	Operation *Operation
}

// Event is what happened.
type Event struct {
	Run     string  `json:"run"`
	Attempt int     `json:"attempt"`
	Graph   string  `json:"graph"`
	Version int64   `json:"version"`
	Rule    string  `json:"rule"`  // the rule's or the operation's name
	Event   string  `json:"event"` // create, modify or delete
	Entity  string  `json:"entity"`
	Before  *Entity `json:"before"` // nil at a creation
	After   *Entity `json:"after"`  // nil at a removal
	// Patch is the part of the commit that concerns the entity, relative to it.
	Patch json.RawMessage `json:"patch"`
	By    string          `json:"by"`
	Cause Cause           `json:"cause"`
}

// Entity is an object or an edge; an edge has Label, From and To.
type Entity struct {
	ID    string          `json:"id"`
	Type  string          `json:"type,omitempty"`
	Label string          `json:"label,omitempty"`
	From  string          `json:"from,omitempty"`
	To    string          `json:"to,omitempty"`
	Body  json.RawMessage `json:"body"`
	Meta  Meta            `json:"meta"`
}

// Meta is what the server notes of an entity.
type Meta struct {
	Version        int64  `json:"version"`
	CreatedVersion int64  `json:"createdVersion"`
	CreatedAt      string `json:"createdAt"`
	CreatedBy      string `json:"createdBy"`
	UpdatedAt      string `json:"updatedAt"`
	UpdatedBy      string `json:"updatedBy"`
}

// Cause is why the commit was made.
type Cause struct {
	Kind    string `json:"kind"`
	Version int64  `json:"version,omitempty"`
	Run     string `json:"run,omitempty"`
}

// Receipt is the answer to a transaction.
type Receipt struct {
	Graph    string `json:"graph"`
	Version  int64  `json:"version"`
	Mutation string `json:"mutation"`
	Replayed bool   `json:"replayed"`
}

// Graph is the graph in the hands of a run. A refusal is an error that says
// which one, and why.
type Graph interface {
	// Get gives an object, or else an edge; nil for none.
	Get(ctx context.Context, id string) (*Entity, error)
	// Load evaluates a projection, or a named one {"name", "args"}, and gives what
	// the load route gives.
	Load(ctx context.Context, projection any) (json.RawMessage, error)
	// Patch commits a JSON Patch over the graph as one transaction: once for a
	// run and key, however often the handler is called. "" is a key by the count
	// of such calls. What follows sees its effect.
	Patch(ctx context.Context, ops any, key string) (Receipt, error)
}

// Operation is the object of an operation in the hands of its handler.
type Operation struct{ *postprocess.Operation }

// Params reads what the operation was asked for with.
func (o *Operation) Params(into any) error { return json.Unmarshal(o.Operation.Params(), into) }

// Progress appends a status entry; fraction is between 0 and 1.
func (o *Operation) Progress(ctx context.Context, message string, fraction float64) error {
	return o.Status(ctx, message, &fraction)
}

// adapt gives the handler as post-processing calls it.
func (h Handler) adapt() postprocess.GoHandler {
	return func(ctx context.Context, c *postprocess.Call) (json.RawMessage, error) {
		call := &Call{Graph: handlerGraph{c.Graph}}
		if err := json.Unmarshal(c.Event, &call.Event); err != nil {
			return nil, fmt.Errorf("read the event: %w", err)
		}
		if c.Operation != nil {
			call.Operation = &Operation{c.Operation}
		}
		answer, err := h(ctx, call)
		if err != nil || answer == nil {
			return nil, err
		}
		out, err := json.Marshal(answer)
		if err != nil {
			return nil, fmt.Errorf("the answer is not JSON: %w", err)
		}
		return out, nil
	}
}

type handlerGraph struct{ graph postprocess.Graph }

func (g handlerGraph) Get(ctx context.Context, id string) (*Entity, error) {
	raw, err := g.graph.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	var e *Entity
	return e, json.Unmarshal(raw, &e)
}

func (g handlerGraph) Load(ctx context.Context, projection any) (json.RawMessage, error) {
	text, err := asJSON(projection)
	if err != nil {
		return nil, err
	}
	return g.graph.Load(ctx, text)
}

func (g handlerGraph) Patch(ctx context.Context, ops any, key string) (rec Receipt, err error) {
	text, err := asJSON(ops)
	if err != nil {
		return rec, err
	}
	raw, err := g.graph.Patch(ctx, text, key)
	if err != nil {
		return rec, err
	}
	return rec, json.Unmarshal(raw, &rec)
}

// asJSON encodes a value; texts that are JSON already stay as they are.
func asJSON(v any) (json.RawMessage, error) {
	switch t := v.(type) {
	case json.RawMessage:
		return t, nil
	case []byte:
		return t, nil
	case string:
		return json.RawMessage(t), nil
	}
	return json.Marshal(v)
}
