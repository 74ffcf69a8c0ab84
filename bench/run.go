package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// row is one measure. run measures one round on one target and gives figures:
// always the same ones in the same order, whichever the target is.
type row struct {
	name   string
	run    func(ctx context.Context, t *target, o options) ([]figure, error)
	only   string        // "node": there is no floor for it
	rounds int           // 0: those of the options. Rows that compare within themselves need one
	limit  time.Duration // of one round; 0: roundLimit
}

// roundLimit bounds a round of a row that names no limit of its own. What takes
// longer hangs.
const roundLimit = 90 * time.Second

// longLimit is for rows that first make a hundred thousand of something.
const longLimit = 3 * time.Minute

// selected says whether a row is asked for.
func (o options) selected(name string) bool {
	if o.rows == "" {
		return true
	}
	for part := range strings.SplitSeq(o.rows, ";") {
		if part != "" && strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// measure runs the rows asked for. A row that fails is told of at the end, and
// does not keep the others from being measured.
func measure(ctx context.Context, w io.Writer, o options) error {
	began := time.Now()
	fmt.Fprintf(w, "%s/%s, %d cores, %s\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	remove, err := makeFolder()
	if err != nil {
		return err
	}
	defer remove()
	ring, err := os.CreateTemp("", "ring-")
	if err != nil {
		return err
	}
	ring.Close()
	os.Setenv("GRAPHTIDE_BENCH_RING", ring.Name()) // the children inherit it
	var targets []*target
	for _, name := range []string{"floor", "node"} {
		t, err := start(ctx, name, o)
		if err != nil {
			return err
		}
		defer t.stop()
		if err := seed(ctx, t); err != nil {
			return fmt.Errorf("seed the %s: %w", t.name, err)
		}
		targets = append(targets, t)
	}
	fmt.Fprintf(w, "Postgres %d; medians of %d rounds, the two in turn\n\n", targets[0].pg.Binaries().Major, o.rounds)
	printHead(w)
	if o.profile != "" {
		if err := os.MkdirAll(o.profile, 0o755); err != nil {
			return err
		}
	}
	var all []outcome
	var faults []error
	chosen := slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return !o.selected(r.name) })
	for i, r := range chosen {
		paced := o.paced(time.Since(began), float64(i)/float64(len(chosen)))
		if paced.scale != o.scale {
			r.name += " (quick)"
		}
		floor, node, err := r.measure(ctx, targets, paced)
		if err != nil {
			faults = append(faults, err)
			fmt.Fprintln(w, err)
		}
		if ctx.Err() != nil {
			break
		}
		for _, out := range outcomes(r, floor, node) {
			printOutcome(w, out)
			all = append(all, out)
		}
	}
	fmt.Fprintf(w, "\n%s%s\n", verdict(all), time.Since(began).Round(time.Second))
	if o.selected("stages") {
		faults = append(faults, stageCosts(ctx, w, o.pick(5000, 2000, 20)))
	}
	if o.json != "" {
		faults = append(faults, writeJSON(o.json, all))
	}
	return errors.Join(append(faults, ctx.Err())...)
}

// paced gives what is left to a row of which this share of all rows came before:
// a machine with other work is not to make hours of minutes.
func (o options) paced(elapsed time.Duration, share float64) options {
	switch {
	case o.within == 0 || elapsed <= time.Duration(share*float64(o.within)):
	case elapsed <= o.within || o.scale != full:
		o.rounds = 1
	default:
		late := options{scale: quick}.withDefaults()
		o.scale, o.rounds, o.span, o.sessions = late.scale, late.rounds, min(o.span, late.span), min(o.sessions, late.sessions)
	}
	return o
}

// measure runs the rounds of a row, the targets in turn.
func (r *row) measure(ctx context.Context, targets []*target, o options) (floor, node [][]figure, err error) {
	rounds := o.rounds
	if r.rounds > 0 {
		rounds = min(rounds, r.rounds)
	}
	for round := range rounds {
		for _, t := range targets {
			if r.only != "" && r.only != t.name {
				continue
			}
			got, err := r.once(ctx, t, o, round)
			if err != nil {
				return nil, nil, fmt.Errorf("%s on the %s: %w", r.name, t.name, err)
			}
			if t.name == "floor" {
				floor = append(floor, got)
			} else {
				node = append(node, got)
			}
		}
	}
	return floor, node, nil
}

func (r *row) once(ctx context.Context, t *target, o options, round int) (_ []figure, err error) {
	limit := r.limit
	if limit == 0 {
		limit = roundLimit
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done after %s", limit))
	defer cancel()
	defer t.hangUp()
	stop := context.AfterFunc(ctx, t.hangUp) // so that nobody waits for a message any longer
	defer stop()
	if o.profile != "" {
		name := strings.NewReplacer(" ", "-", ",", "", ":", "").Replace(r.name)
		if err := t.profile(ctx, filepath.Join(o.profile, fmt.Sprintf("%s.%s.%d.pprof", name, t.name, round))); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, t.profile(context.WithoutCancel(ctx), "")) }()
	}
	got, err := r.run(ctx, t, o)
	if err != nil && ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	return got, err
}
