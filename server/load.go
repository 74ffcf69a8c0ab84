package server

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// load answers a projection in one round trip.
func (s *Server) load(w http.ResponseWriter, r *http.Request, c *call) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	at, err := q.version("at")
	if err != nil {
		return err
	}
	body, err := readBody(w, r, int64(s.cfg.Limits.TransactionBytes), "transactionBytes", typeJSON)
	if err != nil {
		return err
	}
	proj, err := s.projection(body)
	if err != nil {
		return err
	}
	var res *replica.Result
	var head graph.Head
	if at != nil {
		res, head, err = s.evaluateAt(r.Context(), c, proj, *at)
	} else {
		res, head, err = s.evaluate(r.Context(), c, proj)
	}
	if err != nil {
		return err
	}
	if len(proj.Roots) > 0 && len(res.Roots) == 0 {
		return graph.NotFound("root")
	}
	return writeLoad(w, c.graph, head, res)
}

// projection reads the body of a load: a projection, or the name of one in the
// schema, with its arguments.
func (s *Server) projection(body []byte) (*graph.Projection, error) {
	if err := checkDepth(body, graph.MaxProjectionNesting, "projectionNesting"); err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return nil, graph.Errf(graph.CodeInvalidProjection, "a projection is a JSON object").At("")
	}
	if members["name"] == nil {
		proj, gerr := graph.ParseProjection(body)
		return proj, orNil(gerr)
	}
	if members["root"] != nil {
		return nil, graph.Errf(graph.CodeInvalidProjection, "either a name or a root, not both").At("/name")
	}
	var name string
	if err := json.Unmarshal(members["name"], &name); err != nil {
		return nil, graph.Errf(graph.CodeInvalidProjection, "name is a text").At("/name")
	}
	named := s.Live.Current().Projections[name]
	if named == nil {
		return nil, graph.Errf(graph.CodeInvalidProjection, "the schema has no projection of this name").At("/name")
	}
	proj, gerr := named.Instantiate(members["args"])
	return proj, orNil(gerr)
}

// orNil keeps a nil *graph.Error from becoming an error that is not nil.
func orNil(e *graph.Error) error {
	if e == nil {
		return nil
	}
	return e
}

func (s *Server) evaluate(ctx context.Context, c *call, proj *graph.Projection) (res *replica.Result, head graph.Head, err error) {
	types := s.Live.Current()
	var refusal *graph.Error
	var lost int
	err = c.rep.Read(ctx, func(st *replica.State) {
		head = st.Head()
		if res, refusal = replica.Evaluate(st, st, types, c.p, proj, s.cfg.Limits); refusal == nil && st.Missed() == 0 {
			lost = recheck(st, c.p, res)
		}
	})
	if err == nil {
		err = orNil(refusal)
	}
	s.disagreed(ctx, lost)
	return res, head, err
}

func (s *Server) evaluateAt(ctx context.Context, c *call, proj *graph.Projection, at graph.Version) (*replica.Result, graph.Head, error) {
	if err := s.reach(ctx, c, at); err != nil {
		return nil, graph.Head{}, err
	}
	snap, err := s.Replicas.At(ctx, c.graph, at)
	if err != nil {
		return nil, graph.Head{}, hideGraph(err)
	}
	past, err := c.rep.Past(ctx, at)
	if err != nil {
		return nil, graph.Head{}, err
	}
	types := snap.Types(s.Live.Current())
	var res *replica.Result
	var refusal *graph.Error
	var lost int
	err = c.rep.Read(ctx, func(st *replica.State) {
		today := past.Over(st)
		if res, refusal = replica.Evaluate(snap, today, types, c.p, proj, s.cfg.Limits); refusal == nil && st.Missed() == 0 {
			lost = recheck(today, c.p, res)
		}
	})
	if err == nil {
		err = orNil(refusal)
	}
	s.disagreed(ctx, lost)
	head := c.rep.Head()
	head.Version = at
	return res, head, err
}

// loadPiece is how much of a load is gathered before it is sent: a large one is
// on its way while the rest is being written, and needs no room as a whole.
const loadPiece = 128 << 10

// loadBuffers hold pieces. One that grew for a large entity is not kept.
var loadBuffers = sync.Pool{New: func() any { b := make([]byte, 0, loadPiece+16<<10); return &b }}

// writeLoad answers with a load.
func writeLoad(w http.ResponseWriter, name string, head graph.Head, res *replica.Result) error {
	kept := loadBuffers.Get().(*[]byte)
	dst := (*kept)[:0]
	defer func() {
		if cap(dst) <= 4*loadPiece {
			*kept = dst[:0]
			loadBuffers.Put(kept)
		}
	}()
	begun := false
	dst = appendLoad(dst, name, head, res, func(dst []byte) []byte {
		if len(dst) < loadPiece {
			return dst
		}
		if !begun {
			begun = true
			answerHead(w, http.StatusOK)
		}
		w.Write(dst) // an error here means that the reader has gone
		return dst[:0]
	})
	if !begun {
		return answer(w, http.StatusOK, dst)
	}
	w.Write(dst)
	return nil
}

func appendLoad(dst []byte, name string, head graph.Head, res *replica.Result, spill func([]byte) []byte) []byte {
	dst = append(dst, `{"graph":`...)
	dst = graph.AppendString(dst, name)
	dst = append(dst, `,"epoch":`...)
	dst = graph.AppendString(dst, head.Epoch)
	dst = append(dst, `,"version":`...)
	dst = strconv.AppendInt(dst, int64(head.Version), 10)
	dst = append(dst, `,"roots":`...)
	dst = replica.AppendIDs(dst, res.Roots)
	dst = append(dst, ',')
	dst = replica.AppendResult(dst, res, spill)
	return append(dst, '}')
}
