package pgstore

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
)

// entity is a state of an object or an edge as every table holds it. Its columns
// are selected in the order of its fields; an object has no ends.
type entity struct {
	ID             [16]byte
	From, To       *[16]byte
	Type           string // an edge's label
	Version        graph.Version
	CreatedVersion graph.Version
	At             time.Time
	CreatedAt      time.Time
	By             string
	CreatedBy      string
	Access         []byte
	Body           []byte
}

// targets gives where a row's columns go.
func (e *entity) targets() []any {
	return []any{&e.ID, &e.From, &e.To, &e.Type, &e.Version, &e.CreatedVersion, &e.At, &e.CreatedAt, &e.By, &e.CreatedBy, &e.Access, &e.Body}
}

func (e *entity) meta() graph.Meta {
	return graph.Meta{
		Version: e.Version, CreatedVersion: e.CreatedVersion,
		CreatedAt: e.CreatedAt.UTC(), CreatedBy: e.CreatedBy,
		UpdatedAt: e.At.UTC(), UpdatedBy: e.By,
	}
}

func (e *entity) object() (*graph.Object, error) {
	acl, violations := access.Parse(e.Access)
	if len(violations) > 0 {
		return nil, fmt.Errorf("the stored access of object %s at version %d is not one: %s %s",
			graph.ObjectID(e.ID), e.Version, violations[0].Path, violations[0].Message)
	}
	return &graph.Object{ID: e.ID, Type: e.Type, Body: json.RawMessage(e.Body), Access: acl, Meta: e.meta()}, nil
}

func (e *entity) edge() (*graph.Edge, error) {
	if e.From == nil || e.To == nil {
		return nil, fmt.Errorf("the stored edge %s at version %d lacks an end", graph.EdgeID(e.ID), e.Version)
	}
	return &graph.Edge{ID: e.ID, Label: e.Type, From: *e.From, To: *e.To, Body: json.RawMessage(e.Body), Meta: e.meta()}, nil
}

// state gives the entity as an object or an edge; the other is nil.
func (e *entity) state(kind graph.EntityKind) (o *graph.Object, d *graph.Edge, err error) {
	if kind == graph.KindEdge {
		d, err = e.edge()
	} else {
		o, err = e.object()
	}
	return o, d, err
}

// past is a row of history, and for a removal the row before it.
type past struct {
	entity
	kind graph.EntityKind
	what int16
	// last is the state that a removal ended: its columns may be null.
	last struct {
		version *graph.Version
		at      *time.Time
		by      *string
		access  []byte
		body    []byte
	}
}

func (p *past) targets() []any {
	return append(p.entity.targets(), &p.kind, &p.what, &p.last.version, &p.last.at, &p.last.by, &p.last.access, &p.last.body)
}

func (p *past) event() graph.Event { return graph.Event(p.what & eventMask) }

// snapshot gives the state after the row's commit, and for a removal the one
// before it.
func (p *past) snapshot() (graph.Snapshot, error) {
	snap := graph.Snapshot{Deleted: p.event() == graph.Deleted, At: p.Version}
	e := p.entity
	if snap.Deleted {
		if p.last.version == nil {
			return snap, fmt.Errorf("history of %s %s lacks the state before version %d",
				p.kind, graph.Ref{Kind: p.kind, ID: e.ID}.IDString(), p.Version)
		}
		e.Version, e.At, e.By, e.Body = *p.last.version, *p.last.at, *p.last.by, p.last.body
		e.Access = p.last.access
	}
	var err error
	snap.Object, snap.Edge, err = e.state(p.kind)
	return snap, err
}

// scanPast reads a row of history and, behind it, further columns.
func scanPast(row pgx.CollectableRow, p *past, more ...any) error {
	*p = past{}
	return row.Scan(append(p.targets(), more...)...)
}
