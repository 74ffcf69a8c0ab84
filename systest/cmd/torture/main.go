// Command torture breaks a deployment of Graphtide for as long as one likes, and
// judges it: see systest/torture. Its exit status is 0 for a sound program, 1 for
// a broken guarantee, 2 where there is no verdict.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/graphtide/graphtide/internal/sabotage"
	"github.com/graphtide/graphtide/systest/torture"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx)
	stop()
	os.Exit(code)
}

func run(ctx context.Context) int {
	var o torture.Options
	flag.Uint64Var(&o.Seed, "seed", 0, "of all that is left to chance; 0: another one each time")
	flag.DurationVar(&o.For, "for", 2*time.Minute, "chaos in all")
	flag.DurationVar(&o.Round, "round", 0, "chaos between two judgements (default 45s)")
	flag.Float64Var(&o.Rate, "rate", 0, "faults a second (default 1)")
	flag.IntVar(&o.Writers, "writers", 0, "writers over HTTP (default 20)")
	flag.IntVar(&o.Readers, "readers", 0, "readers over websockets (default 16)")
	flag.DurationVar(&o.Pace, "pace", 0, "mean pause of a writer (default 250ms)")
	flag.IntVar(&o.Slack, "slack", 0, "how many times as long as promised everything may take, on a machine with other things to do (default 1)")
	flag.BoolVar(&o.Detail, "detail", false, "keep what copies held, to explain violations")
	flag.StringVar(&o.Binary, "binary", "", "the program to torture (default: built from this tree)")
	flag.StringVar(&o.Break, "break", "", "the promise that a sabotaged program breaks")
	broken := flag.String("sabotage", "", "torture a program for each of these breaks, or all, and see that they are noticed")
	flag.Parse()
	o.Out = os.Stdout
	if o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	if o.Binary == "" {
		dir, err := os.MkdirTemp("", "gt-torture-bin-")
		if err != nil {
			return failed(err)
		}
		defer os.RemoveAll(dir)
		var tags []string
		if *broken != "" || o.Break != "" {
			tags = []string{"-tags", "sabotage"}
		}
		if o.Binary, err = build(ctx, dir, tags...); err != nil {
			return failed(err)
		}
	}
	if *broken != "" {
		return seeWhatIsNoticed(ctx, o, *broken)
	}
	v, err := torture.Run(ctx, o)
	if v != nil {
		v.Print(os.Stdout)
	}
	switch {
	case err != nil:
		return failed(err)
	case !v.Good():
		return 1
	}
	return 0
}

// seeWhatIsNoticed tortures broken programs. What happens in them is told apart
// from the table, which stands on standard output alone.
func seeWhatIsNoticed(ctx context.Context, o torture.Options, names string) int {
	breaks := sabotage.Breaks
	if names != "all" {
		breaks = nil
		for n := range strings.SplitSeq(names, ",") {
			if !slices.Contains(sabotage.Breaks, sabotage.Break(n)) {
				return failed(fmt.Errorf("there is no break %q; there are %v", n, sabotage.Breaks))
			}
			breaks = append(breaks, sabotage.Break(n))
		}
	}
	if !isSet("for") {
		o.For = 0 // as long as it takes, within a bound
	}
	o.Out = os.Stderr
	_, bad, err := torture.Sabotage(ctx, o, breaks, os.Stdout)
	if err != nil {
		return failed(err)
	}
	if bad > 0 {
		fmt.Printf("%d not as they should be; again with SEED=%d\n", bad, o.Seed)
		return 1
	}
	return 0
}

func isSet(name string) (set bool) {
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

func failed(err error) int {
	fmt.Fprintln(os.Stderr, "torture:", err)
	return 2
}

// build makes the program from the tree that this is run in.
func build(ctx context.Context, dir string, args ...string) (string, error) {
	path := filepath.Join(dir, "graphtide")
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build"}, args...), "-o", path, "github.com/graphtide/graphtide/cmd/graphtide")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}
