// Package graphtide embeds the server in a Go program, with handlers of rules
// and operations that are Go functions.
//
//	s, err := graphtide.Start(ctx, graphtide.Config{
//		DatabaseURL: "postgres://app@db/app",
//		Secret:      []byte(os.Getenv("GRAPHTIDE_JWT_SECRET")),
//		SchemaFile:  "app.yaml",
//		Handlers:    map[string]graphtide.Handler{"jira-sync": jiraSync},
//	})
//	if err != nil { … }
//	defer s.Stop(context.Background())
//
// The schema names such a handler as {go: jira-sync}. What is promised of rules,
// runs and operations (docs/postprocessing.md) holds for them as for every other
// handler: they are called at least once, and what they write through their Call
// is committed once. Programs that embed the server, `graphtide serve` and
// `graphtide worker` may share one database; the runs of a Go handler need at
// least one node that has it, and nodes without it leave them to the others by
// failing and trying again.
package graphtide

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/internal/bundle"
	"github.com/graphtide/graphtide/internal/embedded"
	"github.com/graphtide/graphtide/internal/node"
	"github.com/graphtide/graphtide/postprocess"
	"github.com/graphtide/graphtide/server"
	"github.com/graphtide/graphtide/server/auth"
)

// DefaultListen is where the server listens if nothing is said.
const DefaultListen = "127.0.0.1:7420"

// Config says what to start. The zero value of a field is its default.
type Config struct {
	// DatabaseURL is the Postgres. "": a private one is started, with its data in
	// DataDir, and ended with the server; its programs must be installed.
	DatabaseURL string
	DataDir     string
	// Migrate brings the database up to date; without it one that is older or
	// newer is refused. A private Postgres always is.
	Migrate bool
	// RedisURL is the Redis, for hints between nodes and the queue; "": none.
	RedisURL string

	// Listen is the address of API and websockets; "": DefaultListen. Port 0
	// takes a free one.
	Listen string
	// WorkerOnly serves nothing and runs handlers alone, as graphtide worker does.
	WorkerOnly bool
	// Secret checks HS256 tokens; JWKSURL is where the keys of other kinds of
	// tokens are. A server needs one of them.
	Secret  []byte
	JWKSURL string
	// AllowedOrigins are the origins whose pages may use the API.
	AllowedOrigins []string

	// SchemaFile is applied at the start, with the scripts that it names; Schema
	// is the same as a text. Neither: the schema stays as it is.
	SchemaFile string
	Schema     []byte

	// Handlers are the functions that the schema names with {go: …}.
	Handlers map[string]Handler
	// Concurrency is how many handlers run at a time; 0: 16 a processor.
	Concurrency int

	Log *slog.Logger // nil: slog.Default()
}

// Server is a running node.
type Server struct {
	node   *node.Node
	pg     *embedded.Postgres
	secret []byte
	once   sync.Once
}

// Start brings a server up and returns once it serves. ctx bounds the start
// alone. What was started is ended where Start gives an error.
func Start(ctx context.Context, cfg Config) (_ *Server, err error) {
	if !cfg.WorkerOnly && len(cfg.Secret) == 0 && cfg.JWKSURL == "" {
		return nil, errors.New("graphtide: there is no key to check tokens with: set Secret or JWKSURL")
	}
	if cfg.Listen == "" {
		cfg.Listen = DefaultListen
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	doc, err := cfg.document()
	if err != nil {
		return nil, err
	}
	s := &Server{secret: cfg.Secret}
	defer func() {
		if err != nil {
			s.stopPostgres(cfg.Log)
		}
	}()
	if cfg.DatabaseURL == "" {
		if cfg.DataDir == "" {
			return nil, errors.New("graphtide: name a database with DatabaseURL, or a folder for a private one with DataDir")
		}
		if s.pg, err = embedded.StartPostgres(ctx, embedded.PostgresConfig{DataDir: cfg.DataDir}); err != nil {
			return nil, fmt.Errorf("start a private Postgres: %w", err)
		}
		cfg.DatabaseURL, cfg.Migrate = s.pg.URL(), true
	}
	handlers := make(map[string]postprocess.GoHandler, len(cfg.Handlers))
	for name, fn := range cfg.Handlers {
		handlers[name] = fn.adapt()
	}
	s.node, err = node.Start(ctx, node.Config{
		DatabaseURL: cfg.DatabaseURL, RedisURL: cfg.RedisURL, Migrate: cfg.Migrate, NoServer: cfg.WorkerOnly, Log: cfg.Log,
		Server:      server.Config{Listen: cfg.Listen, AllowedOrigins: cfg.AllowedOrigins},
		Auth:        auth.Config{Secret: cfg.Secret, JWKSURL: cfg.JWKSURL},
		Postprocess: postprocess.Config{Go: handlers, Concurrency: cfg.Concurrency},
		Prepare: func(ctx context.Context, n *node.Node) error {
			if doc == nil {
				return nil
			}
			by := graph.Principal{User: "program", Admin: true, Graphs: []string{"*"}}
			_, err := n.Pipeline.PutSchema(ctx, &by, cfg.schemaName(), doc, false)
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (c *Config) schemaName() string {
	if c.SchemaFile != "" {
		return c.SchemaFile
	}
	return "schema"
}

// document reads the schema, scripts included; nil for none.
func (c *Config) document() ([]byte, error) {
	switch {
	case c.SchemaFile != "" && c.Schema != nil:
		return nil, errors.New("graphtide: give SchemaFile or Schema, not both")
	case c.SchemaFile != "":
		b, err := bundle.Read(c.SchemaFile)
		if err != nil {
			return nil, err
		}
		return b.Doc, nil
	}
	return c.Schema, nil
}

// URL is where the server serves, without a slash at the end; "" with WorkerOnly.
func (s *Server) URL() string { return s.node.URL() }

// Failed gives the error that ended the serving by itself.
func (s *Server) Failed() <-chan error { return s.node.Failed() }

// User is somebody who a token is for.
type User struct {
	Name   string
	Teams  []string
	Org    string
	Graphs []string // the graphs that the token opens; nil: main alone
	Admin  bool     // every right in these graphs
}

// Token mints a token with Secret.
func (s *Server) Token(u User, ttl time.Duration) (string, error) {
	if len(s.secret) == 0 {
		return "", errors.New("graphtide: there is no Secret to sign tokens with")
	}
	return auth.Mint(s.secret, auth.Claims{User: u.Name, Teams: u.Teams, Org: u.Org, Graphs: u.Graphs, Admin: u.Admin}, ttl)
}

// Authorize adds a token to a request.
func Authorize(r *http.Request, token string) { r.Header.Set("Authorization", "Bearer "+token) }

// Stop drains and ends the server: no new requests, sessions told to come back
// elsewhere, writes finished, handlers ended. ctx bounds the draining. It may be
// called twice.
func (s *Server) Stop(ctx context.Context) {
	s.once.Do(func() {
		s.node.Stop(ctx)
		s.stopPostgres(slog.Default())
	})
}

func (s *Server) stopPostgres(log *slog.Logger) {
	if s.pg == nil {
		return
	}
	if err := s.pg.Stop(); err != nil {
		log.Warn("the private Postgres did not stop in order", "err", err)
	}
}
