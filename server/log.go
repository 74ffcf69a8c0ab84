package server

import (
	"context"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/graphtide/graphtide/graph"
)

// Bounds of a page of the log.
const (
	logDefault = 1000
	logMax     = 10_000
	logPage    = 200      // commits read at once
	logBytes   = 16 << 20 // a page ends early once it is this long
)

// log gives the commits after a version, or follows them.
func (s *Server) log(w http.ResponseWriter, r *http.Request, c *call) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	follow := wantsEvents(r.Header.Values("Accept"))
	since, err := cursor(r.Header, q, follow)
	if err != nil {
		return err
	}
	def := logDefault
	if follow {
		def = 0 // without end
	}
	limit, err := q.limit(def, logMax)
	if err != nil {
		return err
	}
	if err := s.reach(r.Context(), c, since); err != nil {
		return err
	}
	w.Header().Add("Vary", "Accept")
	if follow {
		return s.follow(w, r, c, since, limit)
	}
	head := c.rep.Head()
	body := []byte(`{"epoch":`)
	body = graph.AppendString(body, head.Epoch)
	body = append(body, `,"version":`...)
	body = strconv.AppendInt(body, int64(head.Version), 10)
	body = append(body, `,"commits":[`...)
	first, more := true, false
	for limit > 0 {
		page, err := s.page(r.Context(), c, since, min(limit, logPage))
		if err != nil {
			return err
		}
		for _, e := range page {
			if !first {
				body = append(body, ',')
			}
			first = false
			body = append(body, e.text...)
			since = e.version
		}
		limit -= len(page)
		if more = since < head.Version; !more || len(page) == 0 || len(body) > logBytes {
			break
		}
	}
	body = append(body, `],"more":`...)
	body = strconv.AppendBool(body, more)
	return answer(w, http.StatusOK, append(body, '}'))
}

// cursor gives the version after which to begin. Last-Event-ID is what the
// browser has really seen, and wins.
func cursor(h http.Header, q query, follow bool) (graph.Version, error) {
	if last := h.Get("Last-Event-ID"); follow && last != "" {
		v, ok := parseVersion(last)
		if !ok {
			return 0, graph.Errf(graph.CodeInvalidVersion, "Last-Event-ID is not a version")
		}
		return v, nil
	}
	since, err := q.version("since")
	if err != nil || since == nil {
		return 0, err
	}
	return *since, nil
}

// wantsEvents reports whether Accept names the event stream.
func wantsEvents(accept []string) bool {
	for _, part := range strings.Split(strings.Join(accept, ","), ",") {
		mt, params, err := mime.ParseMediaType(part)
		if err == nil && mt == "text/event-stream" && params["q"] != "0" {
			return true
		}
	}
	return false
}

// entry is a commit as one caller sees it.
type entry struct {
	version graph.Version
	text    []byte
}

// page gives up to limit commits after since, from the replica where it still
// has them, else from the store.
func (s *Server) page(ctx context.Context, c *call, since graph.Version, limit int) ([]entry, error) {
	commits, ok := c.rep.Since(since)
	if !ok || since < c.rep.Floor() { // what was forgotten, every node has forgotten
		var err error
		if commits, err = s.Store.Log(ctx, c.rep.Key(), since, limit); err != nil {
			return nil, hideGraph(err)
		}
	}
	if len(commits) > limit {
		commits = commits[:limit]
	}
	if len(commits) == 0 {
		return nil, nil
	}
	// Rights are judged on a state that has seen all that is shown.
	if err := s.reach(ctx, c, commits[len(commits)-1].Version); err != nil {
		return nil, err
	}
	texts, err := s.judge(c).visible(ctx, commits)
	if err != nil {
		return nil, err
	}
	out := make([]entry, len(commits))
	for i, c := range commits {
		out[i] = entry{c.Version, texts[i]}
	}
	return out, nil
}
