package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/graphtide/graphtide/graph"
)

// Bounds of what is looked at before a signature is checked.
const (
	// MaxTokenBytes bounds a token.
	MaxTokenBytes = 16 << 10
	// maxHeaderBytes bounds a token's encoded header.
	maxHeaderBytes = 2 << 10
	// MaxLeeway bounds Config.Leeway.
	MaxLeeway = 60 * time.Second
	// DefaultLeeway is the clock skew allowed where Config.Leeway is zero.
	DefaultLeeway = 30 * time.Second
)

// Config says which tokens are good.
type Config struct {
	// Secret checks HS256 tokens; empty: none are taken.
	Secret []byte
	// JWKSURL gives the keys of RS256, ES256 and EdDSA tokens; empty: none are
	// taken.
	JWKSURL string
	// Issuer and Audience are compared with `iss` and `aud` where they are set.
	Issuer   string
	Audience string
	// Leeway is the clock skew allowed for exp, nbf and iat; 0 is
	// DefaultLeeway, negative is none.
	Leeway time.Duration
	// Runs knows the tokens of runs' attempts. Nil: none are taken.
	Runs Runs
	// Dev makes a request without a token the admin user `dev`.
	Dev bool
	// Anonymous makes a request without a token an anonymous principal.
	Anonymous bool
	// AnonymousGraphs are the graphs that an anonymous principal opens; nil is
	// main alone.
	AnonymousGraphs []string
	// Clock gives the time; nil is time.Now.
	Clock graph.Clock
	// Log takes warnings about keys; nil discards them.
	Log *slog.Logger
}

// Identity is who is at the other end.
type Identity struct {
	Principal graph.Principal
	// Expires is when the token ends; zero where there is none.
	Expires time.Time
	// Run is set for the token of a run's attempt: its mutations carry what it
	// says.
	Run *graph.RunIdentity
}

// Authenticator checks tokens. It is safe for concurrent use.
type Authenticator struct {
	cfg   Config
	users *jwt.Parser
	keys  *keySet
}

// New makes an Authenticator, or says what is wrong with the configuration.
func New(cfg Config) (*Authenticator, error) {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case cfg.Leeway == 0:
		cfg.Leeway = DefaultLeeway
	case cfg.Leeway < 0:
		cfg.Leeway = 0
	case cfg.Leeway > MaxLeeway:
		return nil, fmt.Errorf("the leeway for tokens is %s; at most %s is sensible", cfg.Leeway, MaxLeeway)
	}
	if len(cfg.Secret) == 0 && cfg.JWKSURL == "" && !cfg.Dev && !cfg.Anonymous {
		return nil, errors.New("no key to check tokens with: set --jwt-secret or --jwks-url")
	}
	if n := len(cfg.Secret); n > 0 && n < 32 && !cfg.Dev {
		cfg.Log.Warn("the JWT secret is short; RFC 7518 asks for 32 bytes", "bytes", n)
	}
	a := &Authenticator{cfg: cfg}
	common := []jwt.ParserOption{
		jwt.WithTimeFunc(cfg.Clock), jwt.WithLeeway(cfg.Leeway),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithStrictDecoding(),
	}
	var methods []string
	if len(cfg.Secret) > 0 {
		methods = append(methods, "HS256")
	}
	if cfg.JWKSURL != "" {
		methods = append(methods, "RS256", "ES256", "EdDSA")
		keys, err := newKeySet(cfg.JWKSURL, cfg.Clock, cfg.Log)
		if err != nil {
			return nil, err
		}
		a.keys = keys
	}
	if len(methods) == 0 {
		methods = []string{"(none is accepted)"} // an empty list would mean every algorithm
	}
	common = append(common, jwt.WithValidMethods(methods))
	if cfg.Issuer != "" {
		common = append(common, jwt.WithIssuer(cfg.Issuer))
	}
	if cfg.Audience != "" {
		common = append(common, jwt.WithAudience(cfg.Audience))
	}
	a.users = jwt.NewParser(common...)
	return a, nil
}

// Unauthenticated is the one answer to every token that is not good.
func Unauthenticated(cause error) *graph.Error {
	return &graph.Error{Code: graph.CodeUnauthenticated, Err: cause,
		Message: "send a valid token: Authorization: Bearer <JWT>"}
}

// Authenticate tells who holds the token, for a request about the graph named
// ("" for none). No token ("") is the user `dev`, an anonymous principal, or a
// refusal, as configured; a token that is there must be good. The error has
// CodeUnauthenticated, or CodeUnavailable where keys or runs cannot be asked now.
func (a *Authenticator) Authenticate(ctx context.Context, graphName, token string) (*Identity, error) {
	if token == "" {
		return a.withoutToken()
	}
	if len(token) > MaxTokenBytes {
		return nil, Unauthenticated(errors.New("token too long"))
	}
	if IsRun(token) {
		return a.run(ctx, graphName, token)
	}
	kid, err := readHeader(token)
	if err != nil {
		return nil, Unauthenticated(err)
	}
	claims := jwt.MapClaims{}
	t, err := a.users.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		switch t.Method.Alg() {
		case "HS256":
			return a.cfg.Secret, nil
		default: // the parser lets only the algorithms of the JWKS through
			return a.keys.find(ctx, t.Method.Alg(), kid)
		}
	})
	if err != nil {
		if graph.CodeOf(err) == graph.CodeUnavailable {
			return nil, graph.AsError(err)
		}
		return nil, Unauthenticated(err)
	}
	id, err := identityOf(t.Claims.(jwt.MapClaims))
	if err != nil {
		return nil, Unauthenticated(err)
	}
	return id, nil
}

// Session is Authenticate for a session, which outlives the moment. The token of
// a run's attempt opens none: it dies with the attempt, at a time that nobody
// knows beforehand, and what it writes must carry the run.
func (a *Authenticator) Session(ctx context.Context, graphName, token string) (graph.Principal, time.Time, error) {
	if IsRun(token) {
		return graph.Principal{}, time.Time{}, Unauthenticated(errors.New("a run's token opens no session"))
	}
	id, err := a.Authenticate(ctx, graphName, token)
	if err != nil {
		return graph.Principal{}, time.Time{}, err
	}
	return id.Principal, id.Expires, nil
}

func (a *Authenticator) withoutToken() (*Identity, error) {
	switch {
	case a.cfg.Dev:
		return &Identity{Principal: graph.Principal{User: "dev", Graphs: []string{"*"}, Admin: true}}, nil
	case a.cfg.Anonymous:
		return &Identity{Principal: graph.Principal{Anonymous: true, Graphs: a.cfg.AnonymousGraphs}}, nil
	}
	return nil, Unauthenticated(errors.New("no token"))
}
