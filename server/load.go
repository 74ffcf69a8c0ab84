package server

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/graph/replica"
)

// loadDepth bounds the nesting of a load's body: a projection follows edges to
// any depth, each a level or two of the text.
const loadDepth = 256

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
	return answer(w, http.StatusOK, appendLoad(make([]byte, 0, sizeOf(res)), c.graph, head, res))
}

// projection reads the body of a load: a projection, or the name of one in the
// schema, with its arguments.
func (s *Server) projection(body []byte) (*graph.Projection, error) {
	if err := checkJSON(body, loadDepth); err != nil {
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
	err = c.rep.Read(ctx, func(st *replica.State) {
		head = st.Head()
		if res, refusal = replica.Evaluate(st, st, types, c.p, proj, s.cfg.Limits); refusal == nil && st.Missed() == 0 {
			s.recheck(ctx, st, c.p, res)
		}
	})
	if err == nil {
		err = orNil(refusal)
	}
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
	types := s.Live.Current()
	var res *replica.Result
	var refusal *graph.Error
	err = c.rep.Read(ctx, func(st *replica.State) {
		today := past.Over(st)
		if res, refusal = replica.Evaluate(snap, today, types, c.p, proj, s.cfg.Limits); refusal == nil && st.Missed() == 0 {
			s.recheck(ctx, today, c.p, res)
		}
	})
	if err == nil {
		err = orNil(refusal)
	}
	head := c.rep.Head()
	head.Version = at
	return res, head, err
}

// recheck judges every entity again, by the other evaluator, before it is
// encoded. What the two disagree about stays here.
func (s *Server) recheck(ctx context.Context, r graph.Reader, p *graph.Principal, res *replica.Result) {
	judge := access.NewJudge(r, p)
	dropped := map[graph.ObjectID]bool{}
	kept := make(map[graph.ObjectID]bool, len(res.Objects))
	objects := res.Objects[:0:0]
	for i, o := range res.Objects {
		if judge.Holds(o.ID, access.Read) {
			kept[o.ID] = true
			if len(dropped) > 0 {
				objects = append(objects, o)
			}
			continue
		}
		if len(dropped) == 0 {
			objects = append(objects, res.Objects[:i]...)
		}
		dropped[o.ID] = true
	}
	edges := make([]*graph.Edge, 0, len(res.Edges))
	for _, e := range res.Edges {
		if (kept[e.From] || !dropped[e.From] && judge.Holds(e.From, access.Read)) &&
			(kept[e.To] || !dropped[e.To] && judge.Holds(e.To, access.Read)) {
			edges = append(edges, e)
		}
	}
	lost := len(dropped) + len(res.Edges) - len(edges)
	if lost == 0 {
		return
	}
	res.Edges = edges
	if len(dropped) > 0 {
		res.Objects = objects
		roots := make([]graph.ObjectID, 0, len(res.Roots))
		for _, id := range res.Roots {
			if !dropped[id] {
				roots = append(roots, id)
			}
		}
		res.Roots = roots
	}
	s.metrics.disagreed.Add(float64(lost))
	s.Log.ErrorContext(ctx, "the two checks of rights disagree; what only one of them allows was held back", "entities", lost)
}

// sizeOf guesses the length of a load's text.
func sizeOf(res *replica.Result) int {
	n := 256 + 40*len(res.Roots)
	for _, o := range res.Objects {
		n += len(o.Body) + 300
	}
	for _, e := range res.Edges {
		n += len(e.Body) + 400
	}
	return n
}

func appendLoad(dst []byte, name string, head graph.Head, res *replica.Result) []byte {
	dst = append(dst, `{"graph":`...)
	dst = graph.AppendString(dst, name)
	dst = append(dst, `,"epoch":`...)
	dst = graph.AppendString(dst, head.Epoch)
	dst = append(dst, `,"version":`...)
	dst = strconv.AppendInt(dst, int64(head.Version), 10)
	dst = append(dst, `,"roots":`...)
	dst = replica.AppendIDs(dst, res.Roots)
	dst = append(dst, ',')
	dst = replica.AppendResult(dst, res)
	return append(dst, '}')
}
