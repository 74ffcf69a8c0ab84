package pgstore

import (
	"bytes"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// Report is what Verify found.
type Report struct {
	Graph    string        `json:"graph"`
	Version  graph.Version `json:"version"`  // up to which it looked
	From     graph.Version `json:"from"`     // history is kept from here on
	Commits  int64         `json:"commits"`  // replayed
	Entities int           `json:"entities"` // living at Version
	Count    int           `json:"count"`    // of faults
	Faults   []string      `json:"faults"`   // the first of them
}

// OK reports whether nothing is wrong.
func (r *Report) OK() bool { return r.Count == 0 }

// maxFaults is how many faults a report spells out.
const maxFaults = 100

func (r *Report) fault(format string, args ...any) {
	r.Count++
	if len(r.Faults) < maxFaults {
		r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
	}
}

// logPage is how many commits Verify replays at once.
const logPage = 200

// Verify replays a graph's log and compares: the log is dense and its times
// never run back; each snapshot is what the patches lead to; a commit's patch
// names the entities that it touched, and no others; the present rows are the
// last snapshots; the counts are right. Whether the edges are legal is for the
// schema to say. The graph may be written meanwhile; its living entities are held
// in memory.
func (s *Store) Verify(ctx context.Context, name string) (*Report, error) {
	info, err := s.Graph(ctx, name)
	if err != nil {
		return nil, err
	}
	r := &Report{Graph: name}
	present := replayed{}
	head, err := s.State(ctx, info.Key, present.add)
	if err != nil {
		return nil, err
	}
	r.Version, r.Entities = head.Version, len(present)
	if err := s.verifyRows(ctx, info.Key, r); err != nil {
		return nil, err
	}
	state := replayed{}
	if r.From > 0 {
		if _, err := s.StateAt(ctx, info.Key, r.From, state.add); err != nil {
			return nil, err
		}
	}
	var last *graph.Commit
	for at := r.From; at < r.Version; {
		log, err := s.Log(ctx, info.Key, at, int(min(logPage, r.Version-at)))
		if err != nil {
			return nil, err
		}
		if len(log) == 0 {
			r.fault("the log ends at version %d, the head is %d", at, r.Version)
			break
		}
		for _, c := range log {
			if c.Version != at+1 {
				r.fault("version %d follows version %d", c.Version, at)
			}
			if last != nil && c.At.Before(last.At) {
				r.fault("version %d is earlier than the one before it", c.Version)
			}
			state.replay(c, r)
			at, last = c.Version, c
			r.Commits++
		}
	}
	if last != nil && (!last.At.Equal(head.At) || last.Version != head.Version) {
		r.fault("the head says version %d at %s, the log ends with %d at %s", head.Version, head.At, last.Version, last.At)
	}
	state.compare(present, r)
	return r, nil
}

// verifyRows compares the counts that a graph keeps with its rows, in one
// snapshot of the database.
func (s *Store) verifyRows(ctx context.Context, g graph.GraphKey, r *Report) error {
	const sql = `
		-- name: verify.rows
		SELECT g.version, g.floor, g.objects, g.edges,
			(SELECT count(*) FROM commits c WHERE c.graph = g.key),
			(SELECT coalesce(max(version), 0) FROM commits c WHERE c.graph = g.key),
			(SELECT count(*) FROM history h WHERE h.graph = g.key AND h.version > g.version),
			(SELECT count(*) FROM objects o WHERE o.graph = g.key AND NOT o.deleted),
			(SELECT count(*) FROM edges e WHERE e.graph = g.key AND NOT e.deleted)
		FROM graphs g WHERE g.key = $1`
	return s.within(ctx, "count a graph's rows", readOnly, func(tx pgx.Tx) error {
		var head, last graph.Version
		var objects, edges, commits, beyond, liveObjects, liveEdges int64
		if err := tx.QueryRow(ctx, sql, g).Scan(&head, &r.From, &objects, &edges, &commits, &last, &beyond, &liveObjects, &liveEdges); err != nil {
			return err
		}
		if commits != int64(head) || last != head {
			r.fault("the head is %d; the log has %d commits, the last of version %d", head, commits, last)
		}
		if beyond > 0 {
			r.fault("history has %d rows beyond the head", beyond)
		}
		if objects != liveObjects || edges != liveEdges {
			r.fault("the graph counts %d objects and %d edges; there are %d and %d", objects, edges, liveObjects, liveEdges)
		}
		return nil
	})
}

// replayed is a state made from the log.
type replayed map[graph.Ref]replayedEntity

type replayedEntity struct {
	obj  *graph.Object
	edge *graph.Edge
}

func (s replayed) add(objects []*graph.Object, edges []*graph.Edge) error {
	for _, o := range objects {
		s[graph.ObjectRef(o.ID)] = replayedEntity{obj: o}
	}
	for _, e := range edges {
		s[graph.EdgeRef(e.ID)] = replayedEntity{edge: e}
	}
	return nil
}

func (s replayed) compare(present replayed, r *Report) {
	for ref, want := range s {
		if got, ok := present[ref]; !ok {
			r.fault("%s %s lives in the log and not in the present rows", ref.Kind, ref.IDString())
		} else if !got.equal(want) {
			r.fault("%s %s: the present row is not the last snapshot", ref.Kind, ref.IDString())
		}
	}
	for ref := range present {
		if _, ok := s[ref]; !ok {
			r.fault("%s %s lives in the present rows and not in the log", ref.Kind, ref.IDString())
		}
	}
}

func (e replayedEntity) equal(o replayedEntity) bool {
	switch {
	case e.obj != nil && o.obj != nil:
		return e.obj.Type == o.obj.Type && e.obj.Meta == o.obj.Meta &&
			bytes.Equal(e.obj.Body, o.obj.Body) && bytes.Equal(e.obj.Access.Raw, o.obj.Access.Raw)
	case e.edge != nil && o.edge != nil:
		return e.edge.Label == o.edge.Label && e.edge.From == o.edge.From && e.edge.To == o.edge.To &&
			e.edge.Meta == o.edge.Meta && bytes.Equal(e.edge.Body, o.edge.Body)
	}
	return false
}

// replay judges a commit against the state before it, and takes the state on.
func (s replayed) replay(c *graph.Commit, r *Report) {
	named, err := namedBy(c.Done)
	if err != nil {
		r.fault("version %d: %v", c.Version, err)
		return
	}
	for i := range c.Changes {
		ch := &c.Changes[i]
		what := fmt.Sprintf("version %d, %s %s", c.Version, ch.Ref.Kind, ch.Ref.IDString())
		ops := named[ch.Ref]
		delete(named, ch.Ref)
		if len(ops) == 0 {
			r.fault("%s: it was touched, but the patch does not say so", what)
		}
		before, lived := s[ch.Ref]
		after := replayedEntity{ch.ObjAfter, ch.EdgeAfter}
		if lived == (ch.Event == graph.Created) {
			r.fault("%s: event %s, but it lived before: %v", what, ch.Event, lived)
		}
		switch ch.Event {
		case graph.Created, graph.Modified:
			var doc []byte
			if ch.Event == graph.Modified && lived {
				doc = before.doc()
			}
			got, fault := patch.Apply(orNull(doc), ops, patch.JSONLimits{})
			if fault != nil {
				r.fault("%s: the patch does not apply: %v", what, fault)
			} else if !after.matches(got) {
				r.fault("%s: the snapshot is not what the patches lead to", what)
			}
			s[ch.Ref] = after
		case graph.Deleted:
			if last := (replayedEntity{ch.ObjBefore, ch.EdgeBefore}); lived && !last.equal(before) {
				r.fault("%s: the state before the removal is another", what)
			}
			delete(s, ch.Ref)
		}
	}
	for ref := range named {
		r.fault("version %d: the patch names %s %s, which it did not touch", c.Version, ref.Kind, ref.IDString())
	}
}

// orNull gives a document to apply a creation's patch to, which replaces it
// whole.
func orNull(doc []byte) []byte {
	if doc == nil {
		return []byte("null")
	}
	return doc
}

// doc gives the part of the entity that patches change, as a document.
func (e replayedEntity) doc() []byte {
	if e.obj != nil {
		return fmt.Appendf(nil, `{"body":%s,"access":%s}`, e.obj.Body, e.obj.Access.Raw)
	}
	return fmt.Appendf(nil, `{"body":%s}`, e.edge.Body)
}

// matches compares the entity with a document that patches led to: a creation's
// value, or doc after a change. A creation's defaults are in its patch, as that
// is what was done.
func (e replayedEntity) matches(doc []byte) bool {
	member := func(name string) []byte {
		v, _ := patch.Get(doc, patch.Pointer{name})
		return v
	}
	text := func(name, want string) bool {
		v := member(name)
		return v == nil || patch.Equal(v, graph.AppendString(nil, want))
	}
	if e.obj != nil {
		acl := member("access")
		return patch.Equal(e.obj.Body, orNull(member("body"))) && text("type", e.obj.Type) &&
			(acl == nil || patch.Equal(e.obj.Access.Raw, acl))
	}
	body := member("body")
	return (body == nil || patch.Equal(e.edge.Body, body)) &&
		text("label", e.edge.Label) && text("from", e.edge.From.String()) && text("to", e.edge.To.String())
}
