package auth

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/graphtide/graphtide/graph"
)

// The typ header and the audience that set run tokens apart from users'.
const (
	runType     = "graphtide-run"
	runAudience = "graphtide-run"
)

// Run is what the token of a run's attempt says.
type Run struct {
	Graph   string
	ID      string
	Attempt int
	// Cause is what the writes of the attempt carry; filled in by RunFunc.
	Cause graph.Cause
}

// RunFunc says as whom an attempt acts, and what its writes are caused by. An
// attempt that is over, or never was, is CodeUnauthenticated; CodeUnavailable
// where that cannot be told now.
type RunFunc func(ctx context.Context, r Run) (graph.Principal, graph.Cause, error)

// RunKey derives the key of run tokens from the server's secret, so that every
// node can check the tokens of all; without a secret it is random, and a run's
// token is good on the node that made it alone.
func RunKey(secret []byte) []byte {
	if len(secret) == 0 {
		key := make([]byte, sha256.Size)
		rand.Read(key) // never fails
		return key
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "graphtide run tokens", sha256.Size)
	if err != nil {
		panic(err) // only for lengths that SHA-256 cannot give
	}
	return key
}

// MintRun makes the token of an attempt, good until expires at the longest.
func MintRun(key []byte, r Run, expires time.Time) (string, error) {
	if len(key) == 0 {
		return "", errors.New("no key to sign with")
	}
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"aud": runAudience, "exp": expires.Unix(), "run": r.ID, "attempt": r.Attempt, "graph": r.Graph,
	})
	t.Header["typ"] = runType
	return t.SignedString(key)
}

func (a *Authenticator) run(ctx context.Context, token string) (*Identity, error) {
	if len(a.cfg.RunKey) == 0 || a.cfg.Runs == nil {
		return nil, Unauthenticated(errors.New("run tokens are not taken"))
	}
	m := jwt.MapClaims{}
	if _, err := a.runs.ParseWithClaims(token, m, func(*jwt.Token) (any, error) { return a.cfg.RunKey, nil }); err != nil {
		return nil, Unauthenticated(err)
	}
	exp, err := m.GetExpirationTime()
	if err != nil || exp == nil {
		return nil, Unauthenticated(errors.New("no exp"))
	}
	id, _ := m["run"].(string)
	name, _ := m["graph"].(string)
	attempt, ok := m["attempt"].(float64)
	if id == "" || name == "" || !ok || attempt != float64(int(attempt)) {
		return nil, Unauthenticated(errors.New("a run token without its claims"))
	}
	r := &Run{Graph: name, ID: id, Attempt: int(attempt)}
	p, cause, err := a.cfg.Runs(ctx, *r)
	if err != nil {
		if graph.CodeOf(err) == graph.CodeUnavailable {
			return nil, graph.AsError(err)
		}
		return nil, Unauthenticated(err)
	}
	// Whoever the callback names, the token opens its own graph alone.
	p.Graphs = []string{name}
	r.Cause = cause
	return &Identity{Principal: p, Expires: exp.Time, Run: r}, nil
}
