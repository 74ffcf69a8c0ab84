package main

import (
	"io"
	"log/slog"

	"github.com/alecthomas/kong"

	"github.com/graphtide/graphtide/server"
)

// envPrefix begins the name of every variable that sets an option.
const envPrefix = "GRAPHTIDE"

// cli is the whole command line. Help texts stand here and in the Help methods
// of the commands; docs/configuration.md lists the options and is checked
// against this.
type cli struct {
	Dev    devCmd    `cmd:"" group:"run" help:"Everything in one process tree, with nothing to set up: private Postgres, Redis, server, example."`
	Serve  serveCmd  `cmd:"" group:"run" help:"The server, on a Postgres and a Redis of yours; any number of them share one database."`
	Worker workerCmd `cmd:"" group:"run" help:"Post-processing alone: rules and operations."`

	Migrate migrateCmd `cmd:"" group:"database" help:"Bring the database up to this program's version."`
	Verify  verifyCmd  `cmd:"" group:"database" help:"Check a graph's invariants in the database."`
	Export  exportCmd  `cmd:"" group:"database" help:"Write a graph to standard output, as JSON Lines."`
	Import  importCmd  `cmd:"" group:"database" help:"Fill an absent or empty graph from an export."`
	Compact compactCmd `cmd:"" group:"database" help:"Apply the retention policies of the schema to history."`
	Epoch   epochCmd   `cmd:"" group:"database" help:"Print a graph's epoch, or give it a new one."`
	Doctor  doctorCmd  `cmd:"" group:"database" help:"Say what is wrong with the set-up, and the mend."`

	Schema schemaCmd `cmd:"" group:"schema" help:"Check, compare, apply or translate a schema."`

	Token   tokenCmd   `cmd:"" group:"api" help:"Mint a token with the server's secret."`
	Load    loadCmd    `cmd:"" group:"api" help:"Load a projection: JSON from FILE or standard input."`
	Patch   patchCmd   `cmd:"" group:"api" help:"Send a transaction: a JSON Patch from FILE or standard input."`
	Log     logCmd     `cmd:"" group:"api" help:"Print a graph's log, one commit a line."`
	History historyCmd `cmd:"" group:"api" help:"Print the versions of one object or edge, newest first."`
	Trace   traceCmd   `cmd:"" group:"api" help:"Print what caused a commit, and what it caused."`
	Revert  revertCmd  `cmd:"" group:"api" help:"Undo commits, as a new commit."`
	Rules   rulesCmd   `cmd:"" group:"api" help:"List, pause, test and replay rules; what may fire what."`

	Version versionCmd `cmd:"" group:"more" help:"Print the program's version."`

	Config  string     `group:"general" help:"Configuration file (default: graphtide.yaml in the working folder, where there is one)." placeholder:"FILE" type:"path"`
	Logging logOptions `embed:"" group:"general" prefix:"log-"`
}

const description = "Graphtide keeps a graph of objects and edges, with its whole history, and shows every client its part of it, live. " +
	"New here? Type: graphtide dev\n\n" +
	"Every flag of a command is also an environment variable (GRAPHTIDE_DATABASE_URL for --database-url) and a key of graphtide.yaml (database-url: …). " +
	"A flag wins over the environment, the environment over the file. Keep secrets in the last two: everybody on a machine can read a process's flags.\n\n" +
	"Exit status: 0 well, 1 failed, 2 wrong usage."

// groups are the headings of the help, for commands and for flags.
var groups = []kong.Group{
	{Key: "run", Title: "Run:"},
	{Key: "schema", Title: "Schema:"},
	{Key: "api", Title: "The API from a shell:"},
	{Key: "database", Title: "Database and set-up:"},
	{Key: "more", Title: "More:"},
	{Key: "remote", Title: "Which server, and as whom:"},
	{Key: "stores", Title: "Postgres and Redis:"},
	{Key: "tokens", Title: "Tokens:"},
	{Key: "rules", Title: "Rules and operations:"},
	{Key: "limits", Title: "Limits:"},
	{Key: "general", Title: "General:"},
}

// options are what makes a parser of a cli, without its surroundings.
func options() []kong.Option {
	return []kong.Option{
		kong.Name("graphtide"),
		kong.Description(description),
		kong.ExplicitGroups(groups),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 100}),
		// Without the name of its variable behind each flag: one rule says it.
		kong.ValueFormatter(func(v *kong.Value) string { return v.Help }),
		kong.DefaultEnvars(envPrefix),
		kong.Vars{"listen": server.DefaultListen, "url": "http://" + server.DefaultListen},
	}
}

// asFlags turns what people try (`help`, `help log`, `--version`, nothing at
// all) into what the parser knows.
func asFlags(args []string) []string {
	switch {
	case len(args) == 0:
		return []string{"--help"}
	case args[0] == "help":
		return append(append([]string{}, args[1:]...), "--help")
	case args[0] == "--version":
		return []string{"version"}
	}
	return args
}

type logOptions struct {
	Format string `help:"Log format: ${enum}." enum:"text,json" default:"text"`
	Level  string `help:"Least level that is logged: ${enum}." enum:"debug,info,warn,error" default:"info"`
}

// logger writes to w.
func (o logOptions) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.Level)); err != nil {
		level = slog.LevelInfo // not reached: the parser lets only known levels through
	}
	opts := &slog.HandlerOptions{Level: level}
	if o.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

type versionCmd struct{}
