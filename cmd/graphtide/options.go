package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/internal/node"
	"github.com/graphtide/graphtide/postprocess"
	"github.com/graphtide/graphtide/postprocess/lambda"
	"github.com/graphtide/graphtide/server/auth"
)

// The options that several commands share. Each check refuses what cannot be
// meant; the commands' Validate call it before anything is started, and the exit
// status is 2.

// first gives the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// limitOptions bound what one user may ask for.
type limitOptions struct {
	MaxOperations       int `help:"Operations in one transaction." default:"1000"`
	MaxTransactionBytes int `help:"Bytes of one transaction." default:"1048576"`
	MaxBodyBytes        int `help:"Bytes of one body." default:"524288"`
	MaxBodyDepth        int `help:"Levels of one body." default:"64"`
	MaxTouched          int `help:"Entities touched by one commit, cascades and edges counted." default:"20000"`
	MaxMessageBytes     int `help:"Bytes of one websocket message from a client; 0 is 64 KiB above a transaction's." default:"0" placeholder:"N"`
	MaxSubscriptions    int `help:"Subscriptions of one session." default:"100"`
	MaxViewEntities     int `help:"Entities of one view." default:"100000"`
}

func (o *limitOptions) limits() graph.Limits {
	return graph.Limits{Operations: o.MaxOperations, TransactionBytes: o.MaxTransactionBytes, BodyBytes: o.MaxBodyBytes,
		BodyDepth: o.MaxBodyDepth, Touched: o.MaxTouched, MessageBytes: o.MaxMessageBytes,
		Subscriptions: o.MaxSubscriptions, ViewEntities: o.MaxViewEntities}
}

// check refuses bounds that let nothing through.
func (o *limitOptions) check() error {
	for _, l := range []struct {
		flag  string
		value int
	}{
		{"max-operations", o.MaxOperations}, {"max-transaction-bytes", o.MaxTransactionBytes}, {"max-body-bytes", o.MaxBodyBytes},
		{"max-body-depth", o.MaxBodyDepth}, {"max-touched", o.MaxTouched}, {"max-subscriptions", o.MaxSubscriptions},
		{"max-view-entities", o.MaxViewEntities},
	} {
		if l.value < 1 {
			return fmt.Errorf("--%s is %d: it must be at least 1", l.flag, l.value)
		}
	}
	if o.MaxMessageBytes < 0 {
		return fmt.Errorf("--max-message-bytes is %d: it must be at least 0", o.MaxMessageBytes)
	}
	return nil
}

// syncOptions are about websocket sessions.
type syncOptions struct {
	MaxSessions        int  `help:"Websocket connections of this node; -1 is no bound." default:"50000"`
	MaxUserSessions    int  `help:"Websocket connections of one user to this node; -1 is no bound." default:"20000"`
	MaxAddressSessions int  `help:"Websocket connections from one address to this node; 0 is no bound. A balancer's address is that of all behind it." default:"0" placeholder:"N"`
	CompressSync       bool `help:"Let websocket clients have their messages compressed, each alone: for slow lines; it costs CPU for every message to every session."`
}

func (o *syncOptions) config() node.Sync {
	return node.Sync{Sessions: o.MaxSessions, PerUser: o.MaxUserSessions, PerAddress: o.MaxAddressSessions, Compress: o.CompressSync}
}

// check refuses bounds that let nobody in.
func (o *syncOptions) check() error {
	if o.MaxSessions == 0 || o.MaxUserSessions == 0 {
		return errors.New("--max-sessions and --max-user-sessions must be at least 1, or -1 for no bound")
	}
	return nil
}

// ruleOptions are about rules and operations.
type ruleOptions struct {
	AllowPrivateWebhooks bool          `help:"Let webhooks reach private addresses and plain http."`
	PublicURL            string        `help:"Where webhooks reach this server." placeholder:"URL"`
	Concurrency          int           `help:"Handlers that run at a time; 0 is 16 a processor." default:"0" placeholder:"N"`
	LambdaEndpoint       string        `help:"Where the AWS Lambda API is, instead of AWS's own place." placeholder:"URL"`
	KeepRuns             time.Duration `help:"How long runs are kept after their end; 0 is for ever." default:"720h"`
	CancelGrace          time.Duration `help:"How long a handler may go on once its operation was asked to stop." default:"10s"`
}

func (o *ruleOptions) config() postprocess.Config {
	keep := o.KeepRuns
	if keep == 0 {
		keep = -1
	}
	return postprocess.Config{AllowPrivateWebhooks: o.AllowPrivateWebhooks, PublicURL: o.PublicURL, Concurrency: o.Concurrency,
		Lambda: lambda.Config{Endpoint: o.LambdaEndpoint}, KeepRuns: keep, CancelGrace: o.CancelGrace}
}

// check refuses an address that no webhook could reach.
func (o *ruleOptions) check() error {
	if o.Concurrency < 0 {
		return fmt.Errorf("--concurrency is %d: it must be at least 0", o.Concurrency)
	}
	if o.KeepRuns < 0 || o.KeepRuns > 0 && o.KeepRuns < time.Minute {
		return fmt.Errorf("--keep-runs is %s: it must be 0, for ever, or at least a minute", o.KeepRuns)
	}
	if o.CancelGrace < time.Millisecond {
		return fmt.Errorf("--cancel-grace is %s: it must be at least 1ms", o.CancelGrace)
	}
	if o.LambdaEndpoint != "" {
		if err := httpURL("--lambda-endpoint", o.LambdaEndpoint); err != nil {
			return err
		}
	}
	if o.PublicURL == "" {
		return nil
	}
	return httpURL("--public-url", o.PublicURL)
}

// databaseOptions name a Postgres that is needed.
type databaseOptions struct {
	DatabaseURL string `required:"" group:"stores" help:"The Postgres: postgres://user:password@host/database, or as libpq takes it." placeholder:"URL"`
}

// check refuses what is no address.
func (o *databaseOptions) check() error { return databaseURL(o.DatabaseURL) }

// databaseURL judges an address. The error masks a password.
func databaseURL(address string) error {
	if address == "" {
		return nil
	}
	if _, err := pgconn.ParseConfig(address); err != nil {
		return fmt.Errorf("--database-url: %w", err)
	}
	return nil
}

// replicaOptions are for the copies of graphs that a node works with.
type replicaOptions struct {
	ReplicaBytes int64  `group:"stores" help:"About how many bytes the graphs may take in memory that this node has open, beside their recent commits. What live views show stays; the rest is evicted, least recently used first." default:"1073741824"`
	ReplicaEager int    `group:"stores" help:"Up to how many objects and edges a graph is read whole when it is opened. Of a larger one only what is asked for is loaded: from the Redis where another node has been there before, else from Postgres." default:"20000"`
	ImageDir     string `group:"stores" help:"Folder in which the node keeps what it had in memory, written when it stops and every few minutes, so that it need not load it again when it starts. Each node needs its own. None: nothing is kept." type:"path"`
}

// pollOption is for what follows logs.
type pollOption struct {
	Poll time.Duration `group:"stores" help:"Pause between two looks at the heads of the graphs: what a lost hint costs at most." default:"1s"`
}

// check refuses a pause that is none.
func (o *pollOption) check() error {
	if o.Poll < time.Millisecond {
		return fmt.Errorf("--poll is %s: it must be at least 1ms", o.Poll)
	}
	return nil
}

func redisURL(address string) error {
	if address == "" {
		return nil
	}
	client, err := node.NewRedis(address)
	if err != nil {
		return fmt.Errorf("--redis-url: %w", err)
	}
	return client.Close()
}

// authOptions say whose tokens are good.
type authOptions struct {
	JWTSecret   string `name:"jwt-secret" group:"tokens" help:"Secret that checks HS256 tokens; 32 bytes or more." placeholder:"SECRET"`
	JWKSURL     string `name:"jwks-url" group:"tokens" help:"Where the keys of RS256, ES256 and EdDSA tokens are." placeholder:"URL"`
	JWTIssuer   string `name:"jwt-issuer" group:"tokens" help:"Refuse tokens of another issuer." placeholder:"ISS"`
	JWTAudience string `name:"jwt-audience" group:"tokens" help:"Refuse tokens for another audience." placeholder:"AUD"`
	Anonymous   bool   `group:"tokens" help:"Without a token: what is public may be read, instead of 401."`
}

func (o *authOptions) config() auth.Config {
	return auth.Config{Secret: []byte(o.JWTSecret), JWKSURL: o.JWKSURL, Issuer: o.JWTIssuer, Audience: o.JWTAudience, Anonymous: o.Anonymous}
}

// check refuses to be without a key: everybody would be let in, or nobody.
func (o *authOptions) check() error {
	if o.JWTSecret == "" && o.JWKSURL == "" {
		return errors.New("there is no key to check tokens with: set GRAPHTIDE_JWT_SECRET (or --jwt-secret), or --jwks-url")
	}
	if o.JWKSURL == "" {
		return nil
	}
	return httpURL("--jwks-url", o.JWKSURL)
}

// httpURL judges the value of a flag. The error does not repeat it, for it may
// hold a password.
func httpURL(flag, address string) error {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("%s is not an http or https URL", flag)
	}
	return nil
}

// listenAddress judges host:port.
func listenAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--listen %q: write it as host:port, for instance 127.0.0.1:7420", address)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("--listen %q: %q is no port; write 0 to 65535", address, port)
	}
	return nil
}

// origin judges an origin as browsers send it.
func origin(o string) error {
	u, err := url.Parse(o)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.Scheme+"://"+u.Host != strings.ToLower(o) {
		return fmt.Errorf("--allowed-origins %q: write it as scheme://host[:port], exactly as browsers send it", o)
	}
	return nil
}
