package archive

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/patch"
)

// maxLine bounds a line: far above the largest commit that the limits let
// through.
const maxLine = 256 << 20

// reader reads lines. What it gives is strict JSON, and checked as far as a line
// can be by itself.
type reader struct {
	lines *bufio.Scanner
	line  int // the one read last, from 1
}

func newReader(r io.Reader) *reader {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 1<<16), maxLine)
	return &reader{lines: lines}
}

// fault is one of the line read last.
func (r *reader) fault(format string, args ...any) error {
	return &LineError{max(r.line, 1), fmt.Sprintf(format, args...)}
}

// asFault makes any error one of the line read last.
func (r *reader) asFault(err error) error {
	var there *LineError
	if errors.As(err, &there) {
		return err
	}
	return r.fault("%v", err)
}

// read reads the next line into v; io.EOF where there is none.
func (r *reader) read(v any) error {
	more := r.lines.Scan()
	// The error first: before it, the scanner gives what it has of a line.
	if err := r.lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		r.line++
		return r.fault("it is longer than %d bytes", maxLine)
	} else if err != nil {
		return fmt.Errorf("read the archive after line %d: %w", r.line, err)
	}
	if !more {
		return io.EOF
	}
	r.line++
	// A copy: the scanner's buffer is used again.
	text := bytes.Clone(r.lines.Bytes())
	if fault := patch.Check(text, patch.JSONLimits{}); fault != nil {
		return r.fault("%v", fault)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return r.fault("%v", err)
	}
	return nil
}

// header reads the first line.
func (r *reader) header() (*Header, error) {
	var h Header
	err := r.read(&h)
	switch {
	case errors.Is(err, io.EOF):
		return nil, r.fault("the archive is empty")
	case err != nil:
		return nil, err
	case h.Graphtide == 0:
		return nil, r.fault("this is not an archive: its first line must say \"graphtide\": %d", Form)
	case h.Graphtide != Form:
		return nil, r.fault("the archive has form %d; this program reads form %d", h.Graphtide, Form)
	case h.Version < 0 || h.Floor < 0 || h.Floor > h.Version || !h.History && h.Floor > 0:
		return nil, r.fault("there is no graph at version %d with history from %d on", h.Version, h.Floor)
	case len(h.Graph) > 63:
		return nil, r.fault("the graph's name is too long")
	}
	return &h, nil
}

// next reads any other line.
func (r *reader) next() (*line, error) {
	var l line
	err := r.read(&l)
	if errors.Is(err, io.EOF) {
		r.line++
		return nil, r.fault("the archive was cut off: it lacks its end")
	}
	if err != nil {
		return nil, err
	}
	n := 0
	for _, set := range []bool{l.Mark != nil, l.Object != nil, l.Edge != nil, l.Commit != nil, l.Key != nil, l.End != nil} {
		if set {
			n++
		}
	}
	if n != 1 {
		return nil, r.fault("a line holds one of mark, object, edge, commit, key and end; this one holds %d", n)
	}
	return &l, nil
}

// nothingMore refuses lines after the end.
func (r *reader) nothingMore() error {
	err := r.read(&line{})
	var bad *LineError
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil || errors.As(err, &bad):
		return r.fault("there is more after the end")
	}
	return err
}

// object gives the object of a line.
func (r *reader) object(l *objectLine) (*graph.Object, error) {
	body, err := r.body(l.Body)
	if err != nil {
		return nil, err
	}
	acl, err := r.access(l.Access)
	if err != nil {
		return nil, err
	}
	switch {
	case l.ID.IsZero():
		return nil, r.fault("the object has no id")
	case l.Type == "":
		return nil, r.fault("object %s has no type", l.ID)
	}
	return &graph.Object{ID: l.ID, Type: l.Type, Body: body, Access: acl, Meta: l.Meta.meta()}, nil
}

// edge gives the edge of a line.
func (r *reader) edge(l *edgeLine) (*graph.Edge, error) {
	body, err := r.body(l.Body)
	if err != nil {
		return nil, err
	}
	switch {
	case l.ID.IsZero():
		return nil, r.fault("the edge has no id")
	case l.Label == "":
		return nil, r.fault("edge %s has no label", l.ID)
	}
	return &graph.Edge{ID: l.ID, Label: l.Label, From: l.From, To: l.To, Body: body, Meta: l.Meta.meta()}, nil
}

func (r *reader) body(text json.RawMessage) (json.RawMessage, error) {
	if len(text) == 0 || text[0] != '{' {
		return nil, r.fault("a body is a JSON object")
	}
	return patch.Compact(text), nil
}

func (r *reader) access(text json.RawMessage) (*graph.ACL, error) {
	if len(text) == 0 {
		return nil, r.fault("an object has an access")
	}
	acl, violations := access.Parse(patch.Compact(text))
	if len(violations) > 0 {
		return nil, r.fault("the access is malformed at %q: %s", violations[0].Path, violations[0].Message)
	}
	return acl, nil
}

// commit gives the commit of a line, or a mark's.
func (r *reader) commit(l *commitLine) (*graph.Commit, error) {
	c := l.commit()
	c.At = c.At.Truncate(time.Microsecond) // what a database keeps
	if c.Hash == nil {
		c.Hash = []byte{}
	}
	switch {
	case c.Mutation == "":
		return nil, r.fault("version %d has no mutation", c.Version)
	case !causes[c.Cause.Kind]:
		return nil, r.fault("version %d has the unknown cause %q", c.Version, c.Cause.Kind)
	case c.Cause.Version < 0 || c.Cause.Version >= c.Version || c.Depth < 0 || c.Depth > 1<<16:
		return nil, r.fault("version %d cannot be caused by version %d at depth %d", c.Version, c.Cause.Version, c.Depth)
	}
	return c, nil
}

var causes = map[graph.CauseKind]bool{
	graph.CauseClient: true, graph.CauseRun: true, graph.CauseOperation: true,
	graph.CauseRevert: true, graph.CauseImport: true, graph.CauseSchema: true,
}

func (m metaLine) meta() graph.Meta {
	g := graph.Meta(m)
	g.CreatedAt, g.UpdatedAt = g.CreatedAt.UTC().Truncate(time.Microsecond), g.UpdatedAt.UTC().Truncate(time.Microsecond)
	return g
}
