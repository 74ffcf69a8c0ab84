package schema

import (
	"encoding/json"
	"slices"
)

// The client view: what non-admins may see of a schema. Types are flattened;
// handlers, conditions, access and scripts are left out.

type clientSchema struct {
	Version     int64                       `json:"version"`
	Types       map[string]clientType       `json:"types"`
	Projections map[string]clientProjection `json:"projections"`
	Operations  map[string]clientOperation  `json:"operations"`
}

type clientType struct {
	Parent      string                  `json:"parent,omitempty"`
	Abstract    bool                    `json:"abstract"`
	Open        bool                    `json:"open"`
	Description string                  `json:"description,omitempty"`
	Properties  map[string]any          `json:"properties"`
	Required    []string                `json:"required"`
	Schema      any                     `json:"schema"` // the JSON Schema of the whole body
	Rights      []string                `json:"rights"`
	Edges       clientEdges             `json:"edges"`
	Methods     map[string]clientMethod `json:"methods"`
}

type clientEdges struct {
	Out map[string]clientEdge `json:"out"`
	In  map[string]clientEdge `json:"in"`
}

type clientEdge struct {
	To       []string `json:"to,omitempty"`
	From     []string `json:"from,omitempty"`
	Max      int      `json:"max,omitempty"`
	WhenFull string   `json:"whenFull,omitempty"`
	Required bool     `json:"required,omitempty"`
	As       string   `json:"as,omitempty"`
	Needs    string   `json:"needs"`
	OnDelete OnDelete `json:"onDelete"`
	Body     any      `json:"body,omitempty"` // a JSON Schema
}

type clientMethod struct {
	Params json.RawMessage `json:"params"`
	Patch  json.RawMessage `json:"patch"`
}

type clientProjection struct {
	Args       map[string]json.RawMessage `json:"args"`
	Projection json.RawMessage            `json:"projection"`
}

type clientOperation struct {
	Params   json.RawMessage `json:"params"`
	Required []string        `json:"required"`
	Target   string          `json:"target,omitempty"`
	Needs    string          `json:"needs,omitempty"`
}

// ClientView gives what non-admins may see, as JSON: version, types with all
// that they inherit, projections, and operations without their handlers.
func (r *Registry) ClientView() json.RawMessage {
	view := clientSchema{
		Version: r.Version, Types: map[string]clientType{},
		Projections: map[string]clientProjection{}, Operations: map[string]clientOperation{},
	}
	for name, t := range r.Types {
		view.Types[name] = t.clientView()
	}
	for name, p := range r.Projections {
		view.Projections[name] = clientProjection{p.Args, p.Raw}
	}
	for name, o := range r.Operations {
		view.Operations[name] = clientOperation{o.Params, orEmpty(o.shape.required), o.Target, o.Needs}
	}
	return encode(view)
}

func (t *Type) clientView() clientType {
	v := clientType{
		Abstract: t.Abstract, Open: t.Open, Description: t.description, Properties: t.source.props,
		Required: orEmpty(t.source.required), Schema: t.source.document(), Rights: t.Rights,
		Edges:   clientEdges{map[string]clientEdge{}, map[string]clientEdge{}},
		Methods: map[string]clientMethod{},
	}
	if t.Parent != nil {
		v.Parent = t.Parent.Name
	}
	for label, d := range t.Out {
		e := d.clientView()
		e.To = d.Types
		v.Edges.Out[label] = e
	}
	for label, d := range t.In {
		e := d.clientView()
		e.From = d.Types
		v.Edges.In[label] = e
	}
	for name, m := range t.Methods {
		v.Methods[name] = clientMethod{m.Params, m.Patch}
	}
	return v
}

func (d *EdgeDecl) clientView() clientEdge {
	e := clientEdge{Max: d.Max, Required: d.Required, As: d.As, Needs: d.Needs, OnDelete: d.OnDelete}
	if d.Replace {
		e.WhenFull = "replace"
	}
	if d.source != nil {
		e.Body = d.source.document()
	}
	return e
}

// orEmpty makes a nil list an empty one, for JSON.
func orEmpty(l []string) []string {
	if l == nil {
		return []string{}
	}
	return slices.Clone(l)
}
