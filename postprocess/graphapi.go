package postprocess

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/patch"
	"github.com/graphtide/graphtide/postprocess/script"
	"github.com/graphtide/graphtide/schema"
)

// Graph is what a handler may do with the graph; it acts as the run.
type Graph struct{ script.Graph }

// handle is the graph in the hands of one attempt.
type handle struct {
	run       *graph.Run
	author    graph.Principal
	fence     *graph.Fence // nil outside an attempt
	replica   *replica.Replica
	registry  *schema.Registry
	submitter graph.Submitter
	limits    graph.Limits
	// committed is told of every transaction.
	committed func(ctx context.Context, v graph.Version)

	mu      sync.Mutex                   // guards the fields below
	patches int                          // so far, those without a key
	sent    map[string][sha256.Size]byte // by key, in this attempt
}

var _ script.Graph = (*handle)(nil)

// Get gives an object, or else an edge, with its id; null for none.
func (h *handle) Get(ctx context.Context, id string) (json.RawMessage, error) {
	oid, ok := graph.ParseObjectID(id)
	if !ok {
		return nil, graph.InvalidID(id)
	}
	var out json.RawMessage
	err := h.replica.Read(ctx, func(s *replica.State) {
		out = json.RawMessage("null")
		if o := s.Object(oid); o != nil {
			if h.mayRead(s, oid) {
				out = appendObject(nil, o)
			}
			return
		}
		if e := s.Edge(graph.EdgeID(oid)); e != nil && h.mayRead(s, e.From) && h.mayRead(s, e.To) {
			out = appendEdge(nil, e)
		}
	})
	return out, err
}

func (h *handle) mayRead(s *replica.State, id graph.ObjectID) bool {
	return h.author.Admin || access.Direct(s, &h.author, id, access.Read)
}

// Load evaluates a projection, or a named one of the schema.
func (h *handle) Load(ctx context.Context, text json.RawMessage) (json.RawMessage, error) {
	proj, err := h.projection(text)
	if err != nil {
		return nil, err
	}
	var res *replica.Result
	var head graph.Head
	var gerr *graph.Error
	err = h.replica.Read(ctx, func(s *replica.State) {
		head = s.Head()
		res, gerr = replica.Evaluate(s, s, h.registry, &h.author, proj, h.limits)
	})
	if err != nil {
		return nil, err
	}
	if gerr != nil {
		return nil, gerr
	}
	if len(proj.Roots) > 0 && len(res.Roots) == 0 {
		return nil, graph.NotFound("root")
	}
	return appendResult(nil, h.run.GraphName, head, res), nil
}

func (h *handle) projection(text json.RawMessage) (*graph.Projection, error) {
	if err := patch.Check(text, patch.JSONLimits{Depth: 256}); err != nil {
		return nil, graph.Errf(graph.CodeInvalidProjection, "%s", err.Error())
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) != nil || members == nil {
		return nil, graph.Errf(graph.CodeInvalidProjection, "a projection is a JSON object")
	}
	if members["name"] == nil {
		proj, err := graph.ParseProjection(text)
		if err != nil {
			return nil, err
		}
		return proj, nil
	}
	var name string
	if json.Unmarshal(members["name"], &name) != nil || h.registry.Projections[name] == nil {
		return nil, graph.Errf(graph.CodeInvalidProjection, "the schema has no projection of this name").At("/name")
	}
	proj, err := h.registry.Projections[name].Instantiate(members["args"])
	if err != nil {
		return nil, err
	}
	return proj, nil
}

// Patch commits a transaction and gives its receipt. The replica has seen it
// when Patch returns. A key replays what an earlier attempt of the run committed
// with it, even if the patch differs: a handler's time and chance may differ. In
// one attempt another patch with a key is a fault of the handler.
func (h *handle) Patch(ctx context.Context, text json.RawMessage, key string) (json.RawMessage, error) {
	key, err := h.name(key, text)
	if err != nil {
		return nil, err
	}
	rec, err := h.submit(ctx, writeKey(h.run.ID, key), text, false)
	if err != nil {
		var refused *graph.Error
		if errors.As(err, &refused) { // refusals are not remembered
			h.forget(key)
		}
		return nil, err
	}
	out, err := json.Marshal(rec)
	return out, err
}

// name gives a transaction its key: its number where the handler names none.
func (h *handle) name(key string, text json.RawMessage) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if key == "" {
		h.patches++
		return strconv.Itoa(h.patches), nil
	}
	sum := sha256.Sum256(text)
	if before, ok := h.sent[key]; ok && before != sum {
		return "", graph.Errf(graph.CodeMutationConflict, "the key %q was used for another patch of this attempt; a new transaction needs a new key", key)
	}
	if h.sent == nil {
		h.sent = map[string][sha256.Size]byte{}
	}
	h.sent[key] = sum
	return key, nil
}

// forget lets a key stand for another patch.
func (h *handle) forget(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sent, key)
}

// submit commits a transaction of the run. An unknown outcome is resolved by
// sending it again, for as long as ctx lasts; errLeaseLost once the attempt is
// over.
func (h *handle) submit(ctx context.Context, key string, text json.RawMessage, executor bool) (graph.Receipt, error) {
	kind := graph.CauseRun
	if h.run.Kind == graph.RunOperation {
		kind = graph.CauseOperation
	}
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		rec, err := h.submitter.Submit(ctx, h.run.GraphName, &graph.Mutation{
			Key: key, Patch: text, Author: h.author, Depth: h.run.Depth + 1, Fence: h.fence, ReplayAny: true, Executor: executor,
			Cause: graph.Cause{Kind: kind, Version: h.run.Version, Run: h.run.ID},
		})
		if err == nil {
			h.committed(ctx, rec.Version)
			return rec, h.replica.Wait(ctx, rec.Version)
		}
		if ctx.Err() != nil {
			return graph.Receipt{}, context.Cause(ctx)
		}
		var pub *graph.Error
		if errors.As(err, &pub) && pub.Code != graph.CodeUnavailable && pub.Code != graph.CodeInternal {
			if pub.Code == graph.CodeForbidden && pub.Right == "attempt" {
				return graph.Receipt{}, errLeaseLost
			}
			return graph.Receipt{}, err
		}
		if errors.As(err, &pub) {
			wait = max(wait, min(pub.RetryAfter, time.Second))
		}
		pause(ctx, wait)
	}
}

// appendResult appends a projection's answer, as the load route gives it.
func appendResult(dst []byte, name string, head graph.Head, res *replica.Result) []byte {
	dst = append(dst, `{"graph":`...)
	dst = graph.AppendString(dst, name)
	dst = append(dst, `,"epoch":`...)
	dst = graph.AppendString(dst, head.Epoch)
	dst = append(dst, `,"version":`...)
	dst = strconv.AppendInt(dst, int64(head.Version), 10)
	dst = append(dst, `,"roots":[`...)
	for i, id := range res.Roots {
		dst = append(separate(dst, i), '"')
		dst = append(id.AppendTo(dst), '"')
	}
	dst = append(dst, `],"objects":{`...)
	for i, o := range res.Objects {
		dst = append(separate(dst, i), '"')
		dst = append(o.ID.AppendTo(dst), `":`...)
		dst = o.AppendJSON(dst, false)
	}
	dst = append(dst, `},"edges":{`...)
	for i, e := range res.Edges {
		dst = append(separate(dst, i), '"')
		dst = append(e.ID.AppendTo(dst), `":`...)
		dst = e.AppendJSON(dst)
	}
	return append(dst, "}}"...)
}

func separate(dst []byte, i int) []byte {
	if i > 0 {
		return append(dst, ',')
	}
	return dst
}
