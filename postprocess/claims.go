package postprocess

import (
	"context"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// finishPatience bounds a statement that ends attempts: who waits for it gives
// up sooner or later, the statement must too.
const finishPatience = 15 * time.Second

// claim starts attempts of one graph together.
func (s *Service) claim(ctx context.Context, g graph.GraphKey, asked []graph.RunClaim) ([]*graph.Run, error) {
	begun, err := s.deps.Runs.Claim(ctx, graph.RunClaims{Graph: g, Node: s.cfg.Node, Lease: s.cfg.Lease, Runs: asked})
	if err != nil {
		return nil, err
	}
	byID := make(map[string]*graph.Run, len(begun))
	for _, r := range begun {
		byID[r.ID] = r
	}
	out := make([]*graph.Run, len(asked))
	for i, c := range asked {
		// The token tells whose attempt it is, if a run was asked for twice. One that
		// is open still has the token of who is to report, and may be ended twice.
		if r := byID[c.Run]; r != nil && (r.Open || sameHash(r.TokenHash, c.TokenHash)) {
			out[i] = r
		}
	}
	return out, nil
}

// finish ends attempts of one graph together, and starts what they kept waiting.
func (s *Service) finish(ctx context.Context, g graph.GraphKey, ends []graph.RunEnd) ([]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, finishPatience)
	defer cancel()
	ended, next, err := s.deps.Runs.Finish(ctx, g, ends)
	if err != nil {
		return nil, err
	}
	s.ready(next)
	return ended, nil
}
