package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/internal/bundle"
	"github.com/graphtide/graphtide/internal/node"
	"github.com/graphtide/graphtide/postprocess"
	"github.com/graphtide/graphtide/server"
	"github.com/graphtide/graphtide/server/auth"
)

// serverOptions are what dev, serve and worker share.
type serverOptions struct {
	AllowPrivateWebhooks bool          `help:"Let webhooks reach private addresses and plain http."`
	PublicURL            string        `help:"Where webhooks reach this server." placeholder:"URL"`
	Concurrency          int           `help:"Handlers that run at a time (default: 16 a processor)." default:"0"`
	Poll                 time.Duration `help:"Pause between two looks at the heads of the graphs: what a lost hint costs at most." default:"1s"`

	MaxOperations       int `help:"Operations in one transaction." default:"1000"`
	MaxTransactionBytes int `help:"Bytes of one transaction." default:"1048576"`
	MaxBodyBytes        int `help:"Bytes of one body." default:"524288"`
	MaxBodyDepth        int `help:"Levels of one body." default:"64"`
	MaxTouched          int `help:"Entities touched by one commit, cascades and edges counted." default:"20000"`
	MaxSubscriptions    int `help:"Subscriptions of one session." default:"100"`
	MaxViewEntities     int `help:"Entities of one view." default:"100000"`
}

func (o *serverOptions) limits() graph.Limits {
	return graph.Limits{Operations: o.MaxOperations, TransactionBytes: o.MaxTransactionBytes, BodyBytes: o.MaxBodyBytes,
		BodyDepth: o.MaxBodyDepth, Touched: o.MaxTouched, Subscriptions: o.MaxSubscriptions, ViewEntities: o.MaxViewEntities}
}

func (o *serverOptions) postprocess() postprocess.Config {
	return postprocess.Config{AllowPrivateWebhooks: o.AllowPrivateWebhooks, PublicURL: o.PublicURL, Concurrency: o.Concurrency}
}

type databaseOptions struct {
	DatabaseURL string `required:"" help:"Postgres, as a libpq connection string." placeholder:"URL"`
}

type authOptions struct {
	JWTSecret   string `name:"jwt-secret" help:"Secret that checks HS256 tokens." placeholder:"SECRET"`
	JWKSURL     string `name:"jwks-url" help:"Where the keys of RS256, ES256 and EdDSA tokens are." placeholder:"URL"`
	JWTIssuer   string `name:"jwt-issuer" help:"Refuse tokens of another issuer." placeholder:"ISS"`
	JWTAudience string `name:"jwt-audience" help:"Refuse tokens for another audience." placeholder:"AUD"`
	Anonymous   bool   `help:"Without a token: what is public may be read, instead of 401."`
}

func (o *authOptions) config() auth.Config {
	return auth.Config{Secret: []byte(o.JWTSecret), JWKSURL: o.JWKSURL, Issuer: o.JWTIssuer, Audience: o.JWTAudience, Anonymous: o.Anonymous}
}

type serveCmd struct {
	serverOptions
	databaseOptions
	authOptions
	RedisURL       string   `help:"Redis, for hints between nodes and the task queue." placeholder:"URL"`
	Listen         string   `help:"Address to listen on." default:"${listen}"`
	AllowedOrigins []string `help:"Origins whose pages may use the API, scheme and port included." placeholder:"ORIGIN"`
	Schema         string   `help:"Schema file to apply at the start." placeholder:"FILE" type:"path"`
	NoWorker       bool     `help:"Leave post-processing to graphtide worker."`
	Rate           float64  `help:"Requests a second for each user; 0 is no limit." default:"0"`
}

func (c *serveCmd) Run(a *app) error {
	if c.JWTSecret == "" && c.JWKSURL == "" {
		return usageError{errors.New("serve does not start without a key to check tokens with: give --jwt-secret or --jwks-url")}
	}
	n, err := node.Start(a.ctx, node.Config{
		DatabaseURL: c.DatabaseURL, RedisURL: c.RedisURL, NoWorker: c.NoWorker, Poll: c.Poll, Log: a.log,
		Server: server.Config{Listen: c.Listen, AllowedOrigins: c.AllowedOrigins, Limits: c.limits(), Rate: c.Rate, Version: version()},
		Auth:   c.authOptions.config(), Postprocess: c.postprocess(),
	})
	if err != nil {
		return err
	}
	defer stopNode(n)
	if c.Schema != "" {
		if err := applySchema(a.ctx, n, c.Schema); err != nil {
			return err
		}
	}
	a.log.Info("serving", "url", n.URL(), "version", version())
	return untilEnd(a.ctx, n)
}

type workerCmd struct {
	serverOptions
	databaseOptions
	RedisURL string `help:"Redis, for hints between nodes and the task queue." placeholder:"URL"`
}

func (c *workerCmd) Run(a *app) error {
	n, err := node.Start(a.ctx, node.Config{DatabaseURL: c.DatabaseURL, RedisURL: c.RedisURL, NoServer: true, Poll: c.Poll, Log: a.log,
		Server: server.Config{Limits: c.limits()}, Postprocess: c.postprocess()})
	if err != nil {
		return err
	}
	defer stopNode(n)
	a.log.Info("working on runs and operations", "version", version())
	return untilEnd(a.ctx, n)
}

// untilEnd waits for a signal, or for the node to fail.
func untilEnd(ctx context.Context, n *node.Node) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-n.Failed():
		return err
	}
}

func stopNode(n *node.Node) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	n.Stop(ctx)
}

// applySchema makes a file the schema of the server, as the command line's user.
func applySchema(ctx context.Context, n *node.Node, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return usageError{err}
	}
	doc, err := bundle.Schema(file, text)
	if err != nil {
		return err
	}
	by := graph.Principal{User: "command-line", Admin: true, Graphs: []string{"*"}}
	_, err = n.Pipeline.PutSchema(ctx, &by, file, doc, false)
	return err
}

type versionCmd struct{}

func (versionCmd) Run(a *app) error {
	fmt.Fprintln(a.stdout, "graphtide", strings.TrimSpace(version()))
	return nil
}
