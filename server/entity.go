package server

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/graph/replica"
)

// entityHandler is a handler about one entity.
type entityHandler func(w http.ResponseWriter, r *http.Request, c *call, ref graph.Ref) error

// entity reads the id of the route.
func (s *Server) entity(kind graph.EntityKind, h entityHandler) handler {
	return func(w http.ResponseWriter, r *http.Request, c *call) error {
		text := chi.URLParam(r, "id")
		id, ok := graph.ParseObjectID(text)
		if !ok {
			return graph.InvalidID(text)
		}
		return h(w, r, c, graph.Ref{Kind: kind, ID: id})
	}
}

// getEntity gives one entity, as it is or as of a version.
func (s *Server) getEntity(w http.ResponseWriter, r *http.Request, c *call, ref graph.Ref) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	at, err := q.version("at")
	if err != nil {
		return err
	}
	if at != nil {
		return s.getEntityAt(w, r, c, ref, *at)
	}
	var o *graph.Object
	var e *graph.Edge
	var manage bool
	err = c.rep.Read(r.Context(), func(st *replica.State) {
		o, e, manage = nil, nil, false
		if ref.Kind == graph.KindEdge {
			if e = st.Edge(graph.EdgeID(ref.ID)); e != nil && !readableEdge(st, c.p, e) {
				e = nil
			}
			return
		}
		id := graph.ObjectID(ref.ID)
		if o = st.Object(id); o != nil && !access.Direct(st, c.p, id, access.Read) {
			o = nil
		}
		manage = o != nil && access.Direct(st, c.p, id, access.Manage)
	})
	if err != nil {
		return err
	}
	return s.showEntity(w, r, ref, o, e, manage)
}

// getEntityAt gives an entity as it was. The past is judged by today's rights,
// what has been deleted since by its last.
func (s *Server) getEntityAt(w http.ResponseWriter, r *http.Request, c *call, ref graph.Ref, at graph.Version) error {
	if err := s.reach(r.Context(), c, at); err != nil {
		return err
	}
	snap, err := s.Store.EntityAt(r.Context(), c.rep.Key(), ref, at)
	if err != nil {
		return hideEntity(err, ref)
	}
	var seen seen
	j := s.judge(c)
	if err := j.ask(r.Context(), func(rd graph.Reader) { seen = j.entity(rd, ref, snap.Edge) }); err != nil {
		return err
	}
	if snap.Deleted || !seen.read {
		snap = graph.Snapshot{}
	}
	return s.showEntity(w, r, ref, snap.Object, snap.Edge, seen.manage)
}

func (s *Server) showEntity(w http.ResponseWriter, r *http.Request, ref graph.Ref, o *graph.Object, e *graph.Edge, manage bool) error {
	var body []byte
	var version graph.Version
	switch {
	case o != nil:
		version, body = o.Meta.Version, appendObject(nil, o, manage)
	case e != nil:
		version, body = e.Meta.Version, appendEdge(nil, e)
	default:
		return graph.NotFound(ref.Kind.String())
	}
	tag := etag(version)
	w.Header().Set("ETag", tag)
	if notModified(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return answer(w, http.StatusOK, body)
}

// patchEntity takes a transaction whose paths are relative to one entity.
func (s *Server) patchEntity(w http.ResponseWriter, r *http.Request, c *call, ref graph.Ref) error {
	return s.transact(w, r, c, func(m *graph.Mutation) (err error) {
		m.Prefix = ref.Pointer()
		m.IfMatch, err = ifMatch(r.Header.Values("If-Match"), func() (graph.Version, error) { return c.versionOf(r.Context(), ref) })
		return err
	})
}

// versionOf gives the entity's present version, noVersion where there is none.
// It tells nobody: the write path judges rights before it compares.
func (c *call) versionOf(ctx context.Context, ref graph.Ref) (v graph.Version, err error) {
	err = c.rep.Read(ctx, func(st *replica.State) {
		v = noVersion
		if ref.Kind == graph.KindEdge {
			if e := st.Edge(graph.EdgeID(ref.ID)); e != nil {
				v = e.Meta.Version
			}
		} else if o := st.Object(graph.ObjectID(ref.ID)); o != nil {
			v = o.Meta.Version
		}
	})
	return v, err
}

func readableEdge(r graph.Reader, p *graph.Principal, e *graph.Edge) bool {
	return access.Direct(r, p, e.From, access.Read) && access.Direct(r, p, e.To, access.Read)
}

// appendObject appends an object with its id.
func appendObject(dst []byte, o *graph.Object, withAccess bool) []byte {
	dst = append(dst, `{"id":"`...)
	dst = o.ID.AppendTo(dst)
	dst = append(dst, `",`...)
	return tail(dst, func(d []byte) []byte { return o.AppendJSON(d, withAccess) })
}

// appendEdge appends an edge with its id.
func appendEdge(dst []byte, e *graph.Edge) []byte {
	dst = append(dst, `{"id":"`...)
	dst = e.ID.AppendTo(dst)
	dst = append(dst, `",`...)
	return tail(dst, e.AppendJSON)
}

// tail appends a JSON object without its opening brace: the id has been put in
// front of its members.
func tail(dst []byte, add func([]byte) []byte) []byte {
	n := len(dst)
	dst = add(dst)
	return append(dst[:n], dst[n+1:]...)
}

// hideEntity gives every not-found of an entity one form.
func hideEntity(err error, ref graph.Ref) error {
	if graph.CodeOf(err) == graph.CodeNotFound {
		return graph.NotFound(ref.Kind.String())
	}
	return err
}
