package server

import (
	"net/http"
	"strconv"

	"github.com/graphtide/graphtide/graph"
)

// Bounds of a page of history.
const (
	historyDefault = 50
	historyMax     = 1000
)

// getHistory gives the versions of an entity, newest first, to those who may
// read it now, or could when it was deleted.
func (s *Server) getHistory(w http.ResponseWriter, r *http.Request, c *call, ref graph.Ref) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	limit, err := q.limit(historyDefault, historyMax)
	if err != nil {
		return err
	}
	before, err := q.version("before")
	if err != nil {
		return err
	}
	below := graph.Version(0)
	if before != nil {
		if *before == 0 {
			return graph.Errf(graph.CodeInvalidVersion, "there is nothing before version 0")
		}
		below = *before
	}
	ctx := r.Context()
	entries, err := s.Store.History(ctx, c.rep.Key(), ref, below, limit)
	if err != nil {
		return hideEntity(err, ref)
	}
	// Rights are judged on a state that has seen all that is shown.
	if len(entries) > 0 {
		if err := s.reach(ctx, c, entries[0].Commit.Version); err != nil {
			return err
		}
	}
	var edge *graph.Edge
	if ref.Kind == graph.KindEdge {
		// Any version of the edge names its ends; a page may hold a deletion alone.
		snap, err := s.Store.EntityAt(ctx, c.rep.Key(), ref, c.rep.Head().Version)
		if err != nil {
			return hideEntity(err, ref)
		}
		edge = snap.Edge
	}
	var sees seen
	j := s.judge(c)
	if err := j.ask(ctx, func(rd graph.Reader) { sees = j.entity(rd, ref, edge) }); err != nil {
		return err
	}
	if !sees.read {
		return graph.NotFound(ref.Kind.String())
	}
	body := []byte(`{"entries":[`)
	for i, e := range entries {
		if i > 0 {
			body = append(body, ',')
		}
		if body, err = appendEntry(body, e, sees); err != nil {
			return err
		}
	}
	return answer(w, http.StatusOK, append(body, "]}"...))
}

func appendEntry(dst []byte, e *graph.HistoryEntry, sees seen) ([]byte, error) {
	dst = append(dst, `{"version":`...)
	dst = strconv.AppendInt(dst, int64(e.Commit.Version), 10)
	dst = append(dst, `,"at":"`...)
	dst = e.Commit.At.UTC().AppendFormat(dst, graph.TimeFormat)
	dst = append(dst, `","by":`...)
	dst = graph.AppendString(dst, e.Commit.Author.User)
	dst = append(dst, `,"cause":`...)
	dst = appendCause(dst, e.Commit.Cause)
	dst = append(dst, `,"mutation":`...)
	dst = appendText(dst, e.Commit.Mutation)
	dst = append(dst, `,"deleted":`...)
	dst = strconv.AppendBool(dst, e.Deleted)
	dst = append(dst, `,"entity":`...)
	switch {
	case e.Deleted:
		dst = append(dst, "null"...)
	case e.Object != nil:
		dst = appendObject(dst, e.Object, sees.manage)
	case e.Edge != nil:
		dst = appendEdge(dst, e.Edge)
	default: // its type keeps fewer snapshots than versions, and none could be made
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"patch":`...)
	part, err := relativePart(e.Patch, sees)
	if err != nil {
		return nil, err
	}
	return append(append(dst, part...), '}'), nil
}
