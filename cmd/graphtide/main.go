// Command graphtide is the server, its tools, and its API from a shell.
//
// It holds no logic of its own: flags, environment and graphtide.yaml become a
// configuration, the parts are wired, and run.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/server"
)

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

type cli struct {
	Config  string     `help:"Configuration file (default: graphtide.yaml in the working folder, where there is one)." placeholder:"FILE" type:"path"`
	Logging logOptions `embed:"" prefix:"log-"`

	Dev     devCmd     `cmd:"" help:"Run everything in one process tree, with nothing to set up: private Postgres, Redis, server, example."`
	Serve   serveCmd   `cmd:"" help:"Run the server against --database-url and --redis-url; any number of them share one database."`
	Worker  workerCmd  `cmd:"" help:"Run post-processing only: rules and operations."`
	Migrate migrateCmd `cmd:"" help:"Bring the database up to this program's version."`
	Schema  schemaCmd  `cmd:"" help:"Check, compare, apply or translate a schema."`
	Token   tokenCmd   `cmd:"" help:"Mint a token with the server's secret."`
	Load    loadCmd    `cmd:"" help:"Load a projection: JSON from FILE or standard input."`
	Patch   patchCmd   `cmd:"" help:"Send a transaction: a JSON Patch from FILE or standard input."`
	Log     logCmd     `cmd:"" help:"Print a graph's log, one commit per line."`
	History historyCmd `cmd:"" help:"Print the versions of one object or edge."`
	Trace   traceCmd   `cmd:"" help:"Print what caused a commit and what it caused."`
	Verify  verifyCmd  `cmd:"" help:"Check a graph's invariants in the database."`
	Doctor  doctorCmd  `cmd:"" help:"Say what is wrong with the set-up, and the mend."`
	Version versionCmd `cmd:"" help:"Print the program's version."`
}

type logOptions struct {
	Format string `help:"Log format: ${enum}." enum:"text,json" default:"text"`
	Level  string `help:"Log level: ${enum}." enum:"debug,info,warn,error" default:"info"`
}

func (o logOptions) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.Level)); err != nil {
		level = slog.LevelInfo
	}
	opts := &slog.HandlerOptions{Level: level}
	if o.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// app is what a command gets.
type app struct {
	ctx    context.Context
	log    *slog.Logger
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// usageError is a wrong use of the command line: exit status 2.
type usageError struct{ error }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (status int) {
	var c cli
	settings, err := readSettings(args)
	if err != nil {
		fmt.Fprintln(stderr, "graphtide:", err)
		return exitUsage
	}
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("graphtide"),
		kong.Description("A graph database server with realtime client sync.\n\nEvery option is a flag, an environment variable (GRAPHTIDE_DATABASE_URL for --database-url) and a key in graphtide.yaml, in this order of precedence.\nExit status: 0 well, 1 failed, 2 wrong usage."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.DefaultEnvars("GRAPHTIDE"),
		kong.Resolvers(settings),
		kong.Vars{"listen": server.DefaultListen},
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code; panic(exitNow{}) }),
	)
	if err != nil {
		fmt.Fprintln(stderr, "graphtide:", err)
		return exitFailed
	}
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(exitNow); !ok {
				panic(r)
			}
			status = exited
		}
	}()
	if len(args) == 0 {
		args = []string{"--help"}
	}
	kctx, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(stderr, "graphtide:", err)
		fmt.Fprintln(stderr, "Try: graphtide --help")
		return exitUsage
	}
	a := &app{ctx: ctx, log: c.Logging.logger(stderr), stdin: stdin, stdout: stdout, stderr: stderr}
	if err := kctx.Run(a); err != nil {
		return report(stderr, err)
	}
	return exitOK
}

// exitNow carries a kong exit (--help) out of the parser.
type exitNow struct{}

// report prints an error as people read it; a problem of the API by its code
// first.
func report(w io.Writer, err error) int {
	var usage usageError
	if errors.As(err, &usage) {
		fmt.Fprintln(w, "graphtide:", err)
		return exitUsage
	}
	var e *graph.Error
	if errors.As(err, &e) {
		fmt.Fprintf(w, "graphtide: %s: %s\n", e.Code, e.Message)
		if e.HasPath && e.Path != "" {
			fmt.Fprintf(w, "  at %s\n", e.Path)
		}
		for _, v := range e.Errors {
			if v.Path != "" {
				fmt.Fprintf(w, "  %s: %s\n", v.Path, v.Message)
			} else {
				fmt.Fprintf(w, "  %s\n", v.Message)
			}
		}
		if e.Err != nil {
			fmt.Fprintf(w, "  cause: %v\n", e.Err)
		}
		return exitFailed
	}
	fmt.Fprintln(w, "graphtide:", err)
	return exitFailed
}
