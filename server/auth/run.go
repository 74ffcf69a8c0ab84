package auth

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// Runs knows the tokens of runs' attempts; graph.RunService is one.
type Runs interface {
	// Authenticate tells as whom the holder of the token acts in the graph:
	// CodeUnauthenticated once the attempt is over or for another graph,
	// CodeUnavailable where that cannot be told now.
	Authenticate(ctx context.Context, graphName, token string) (*graph.RunIdentity, error)
}

// IsRun tells the tokens of attempts from others.
func IsRun(token string) bool { return strings.HasPrefix(token, graph.RunTokenPrefix) }

func (a *Authenticator) run(ctx context.Context, graphName, token string) (*Identity, error) {
	if a.cfg.Runs == nil || graphName == "" {
		return nil, Unauthenticated(errors.New("a run's token is good in its graph alone"))
	}
	ident, err := a.cfg.Runs.Authenticate(ctx, graphName, token)
	if err != nil {
		if c := graph.CodeOf(err); c == graph.CodeUnauthenticated || c == graph.CodeNotFound {
			return nil, Unauthenticated(err)
		}
		return nil, err
	}
	p := ident.Author
	// Whoever the run acts as, its token opens its own graph alone.
	p.Graphs = []string{graphName}
	// The attempt may end while its token is in use; what it writes is fenced.
	return &Identity{Principal: p, Expires: time.Time{}, Run: ident}, nil
}
