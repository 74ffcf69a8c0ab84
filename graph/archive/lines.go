package archive

import (
	"encoding/json"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// Form is the version of the archive's form.
const Form = 1

// Header is the first line.
type Header struct {
	Graphtide int             `json:"graphtide"` // Form
	Graph     string          `json:"graph"`
	Epoch     string          `json:"epoch"`
	Version   graph.Version   `json:"version"`
	History   bool            `json:"history"`
	Floor     graph.Version   `json:"floor"` // with history: where the log begins
	SchemaVer int64           `json:"schemaVersion"`
	Schema    json.RawMessage `json:"schema"` // the active one then, null for none: to read and to apply, not used by an import
}

// line is any other line: exactly one of its fields is set.
type line struct {
	Mark   *commitLine `json:"mark,omitempty"`
	Object *objectLine `json:"object,omitempty"`
	Edge   *edgeLine   `json:"edge,omitempty"`
	Commit *commitLine `json:"commit,omitempty"`
	Key    *keyLine    `json:"key,omitempty"`
	End    *endLine    `json:"end,omitempty"`
}

type objectLine struct {
	ID     graph.ObjectID  `json:"id"`
	Type   string          `json:"type"`
	Body   json.RawMessage `json:"body"`
	Access json.RawMessage `json:"access"`
	Meta   metaLine        `json:"meta"`
}

type edgeLine struct {
	ID    graph.EdgeID    `json:"id"`
	Label string          `json:"label"`
	From  graph.ObjectID  `json:"from"`
	To    graph.ObjectID  `json:"to"`
	Body  json.RawMessage `json:"body"`
	Meta  metaLine        `json:"meta"`
}

// metaLine has times in full, where those of the wire end with milliseconds.
type metaLine struct {
	Version        graph.Version `json:"version"`
	CreatedVersion graph.Version `json:"createdVersion"`
	CreatedAt      time.Time     `json:"createdAt"`
	CreatedBy      string        `json:"createdBy"`
	UpdatedAt      time.Time     `json:"updatedAt"`
	UpdatedBy      string        `json:"updatedBy"`
}

// commitLine is a commit. Done is left out where it is what was asked.
type commitLine struct {
	Version  graph.Version   `json:"version"`
	At       time.Time       `json:"at"`
	By       authorLine      `json:"by"`
	Session  string          `json:"session,omitempty"`
	Mutation string          `json:"mutation"`
	Hash     []byte          `json:"hash"`
	Group    string          `json:"group,omitempty"`
	Note     string          `json:"note,omitempty"`
	Cause    causeLine       `json:"cause"`
	Depth    int             `json:"depth,omitempty"`
	Asked    json.RawMessage `json:"asked,omitempty"`
	Done     json.RawMessage `json:"done,omitempty"`
}

// keyLine is the key of a transaction without effect.
type keyLine struct {
	Author   string          `json:"author"`
	Mutation string          `json:"mutation"`
	Version  graph.Version   `json:"version"` // that was answered
	Hash     []byte          `json:"hash"`
	Cause    graph.CauseKind `json:"cause"`
}

type authorLine struct {
	User      string   `json:"user"`
	Teams     []string `json:"teams,omitzero"`
	Org       string   `json:"org,omitempty"`
	Graphs    []string `json:"graphs,omitzero"` // an empty list opens none, no list opens main
	Admin     bool     `json:"admin,omitempty"`
	Anonymous bool     `json:"anonymous,omitempty"`
}

type causeLine struct {
	Kind    graph.CauseKind `json:"kind"`
	Version graph.Version   `json:"version,omitempty"`
	Run     string          `json:"run,omitempty"`
}

// endLine tells a whole archive from one that was cut off.
type endLine struct {
	Marks   int64 `json:"marks"`
	Objects int64 `json:"objects"`
	Edges   int64 `json:"edges"`
	Commits int64 `json:"commits"`
	Keys    int64 `json:"keys,omitempty"`
}

func lineOfObject(o *graph.Object) *objectLine {
	return &objectLine{o.ID, o.Type, o.Body, o.Access.Raw, metaLine(o.Meta)}
}

func lineOfEdge(e *graph.Edge) *edgeLine {
	return &edgeLine{e.ID, e.Label, e.From, e.To, e.Body, metaLine(e.Meta)}
}

func lineOfCommit(c *graph.Commit) *commitLine {
	l := &commitLine{
		Version: c.Version, At: c.At,
		By:      authorLine{c.Author.User, c.Author.Teams, c.Author.Org, c.Author.Graphs, c.Author.Admin, c.Author.Anonymous},
		Session: c.Session, Mutation: c.Mutation, Hash: c.Hash, Group: c.Group, Note: c.Note,
		Cause: causeLine(c.Cause), Depth: c.Depth, Asked: c.Asked, Done: c.Done,
	}
	if string(c.Done) == string(c.Asked) {
		l.Done = nil
	}
	return l
}

func (l *commitLine) commit() *graph.Commit {
	c := &graph.Commit{
		Version: l.Version, At: l.At.UTC(),
		Author:  graph.Principal{User: l.By.User, Teams: l.By.Teams, Org: l.By.Org, Graphs: l.By.Graphs, Admin: l.By.Admin, Anonymous: l.By.Anonymous},
		Session: l.Session, Mutation: l.Mutation, Hash: l.Hash, Group: l.Group, Note: l.Note,
		Cause: graph.Cause(l.Cause), Depth: l.Depth, Asked: l.Asked, Done: l.Done,
	}
	if c.Done == nil {
		c.Done = c.Asked
	}
	return c
}
