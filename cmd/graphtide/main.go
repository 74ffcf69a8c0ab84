// Command graphtide is the server, its tools, and its API from a shell.
//
// It holds no logic of its own: flags, environment and graphtide.yaml become a
// configuration, the parts are wired, and run. What it promises is how it ends:
// status 0 well, 1 failed, 2 wrong usage; answers on standard output, and
// everything else, a problem's code first, on standard error.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/graphtide/graphtide/graph"
)

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// app is what a command gets.
type app struct {
	ctx    context.Context // ends with the first signal
	hurry  context.Context // ends with the second: what drains is cut
	log    *slog.Logger
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

func main() {
	forgetEmptyVariables()
	ctx, hurry := onSignals()
	a := &app{ctx: ctx, hurry: hurry, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(a.run(os.Args[1:]))
}

// forgetEmptyVariables makes an empty variable as good as none: a line such as
// `GRAPHTIDE_RATE=` in a compose file means nothing, rather than a number that
// cannot be read.
func forgetEmptyVariables() {
	for _, kv := range os.Environ() {
		if name, value, _ := strings.Cut(kv, "="); value == "" && strings.HasPrefix(name, envPrefix+"_") {
			os.Unsetenv(name)
		}
	}
}

// usageError is a wrong use of the command line: exit status 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func wrongUsage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run parses the arguments, runs the command and gives the exit status.
func (a *app) run(args []string) (status int) {
	settings, err := readSettings(args)
	if err != nil {
		return report(a.stderr, usageError{err})
	}
	var c cli
	exited := exitOK
	parser, err := kong.New(&c, append(options(),
		kong.Resolvers(settings),
		kong.Writers(a.stdout, a.stderr),
		kong.Exit(func(code int) { exited = code; panic(exitNow{}) }),
	)...)
	if err != nil {
		return report(a.stderr, err)
	}
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(exitNow); !ok {
				panic(r)
			}
			status = exited
		}
	}()
	chosen, err := parser.Parse(asFlags(args))
	if err != nil {
		report(a.stderr, usageError{settings.explain(err)})
		fmt.Fprintf(a.stderr, "Try: %s --help\n", commandOf(err))
		return exitUsage
	}
	a.log = c.Logging.logger(a.stderr)
	if err := chosen.Run(a); err != nil {
		if a.ctx.Err() != nil { // whatever it failed at, it was the signal
			err = errors.New("interrupted")
		}
		return report(a.stderr, err)
	}
	return exitOK
}

// exitNow carries a kong exit (--help) out of the parser.
type exitNow struct{}

// commandOf names the command that was parsed when err came up.
func commandOf(err error) string {
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		if cmd := parse.Context.Selected(); cmd != nil {
			return cmd.FullPath()
		}
	}
	return "graphtide"
}

// report prints an error as people read it, a problem of the API by its code
// first, and gives the exit status.
func report(w io.Writer, err error) int {
	var usage usageError
	if errors.As(err, &usage) {
		fmt.Fprintln(w, "graphtide:", err)
		return exitUsage
	}
	var e *graph.Error
	if !errors.As(err, &e) {
		fmt.Fprintln(w, "graphtide:", err)
		return exitFailed
	}
	if len(e.Errors) > 0 && strings.HasPrefix(e.Errors[0].Message, e.Message) {
		// The message is the first fault's, which follows with all of it.
		fmt.Fprintf(w, "graphtide: %s: %d fault(s)\n", e.Code, len(e.Errors))
	} else {
		fmt.Fprintf(w, "graphtide: %s: %s\n", e.Code, e.Message)
		if e.HasPath && e.Path != "" {
			fmt.Fprintf(w, "  at %s\n", e.Path)
		}
	}
	reportViolations(w, "  ", e.Errors)
	for _, o := range e.Objects {
		fmt.Fprintf(w, "  %s %s in graph %s\n", o.Type, o.ID, o.Graph)
		reportViolations(w, "    ", o.Errors)
	}
	for _, c := range e.Conflicts {
		fmt.Fprintf(w, "  %s: changed since, by version %d\n", c.Path, c.Version)
	}
	if e.Err != nil {
		fmt.Fprintf(w, "  cause: %v\n", e.Err)
	}
	return exitFailed
}

// reportViolations prints one fault a line. A fault of a schema begins with its
// own place, file and line, which says more than the pointer.
func reportViolations(w io.Writer, indent string, faults []graph.Violation) {
	for _, v := range faults {
		text := strings.ReplaceAll(v.Message, "\n", "\n"+indent)
		if v.Path != "" && !strings.Contains(v.Message, "\n") {
			text = v.Path + ": " + text
		}
		fmt.Fprintf(w, "%s%s\n", indent, text)
	}
}
