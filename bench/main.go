// Command bench measures the whole server, each row beside its physical limit
// in the same run: the floor, the least honest server for the work (floor.go).
// Figures are medians over rounds that alternate between the two, printed with
// their ratio and their goal. Nothing is asserted: machines differ, ratios speak.
//
//	go run ./bench                      all rows
//	go run ./bench -rows "write;load"   the rows whose name contains one of these
//	go run ./bench -quick               smaller and shorter: minutes become seconds
//	go run ./bench -json figures.json   every figure of every round as well
//	go run ./bench -profile /tmp/p -rows load   a CPU profile of the server for each row
//
// Every row and every server is a process or a file of its own: a row is a
// function in a file named for it, listed in rows.go; the servers under
// measurement are children of this process with a Postgres of their own each.
// docs/benchmarks.md says what each row means.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are what a run is made with.
type options struct {
	rows        string
	rounds      int
	span        time.Duration // of one round of a throughput row
	sessions    int           // of the rows with a crowd
	commitDelay int
	json        string
	profile     string
	within      time.Duration // what the whole run may take, about
	scale       scale
}

// scale is how large the rows are.
type scale int

const (
	full  scale = iota // what docs/benchmarks.md reports
	quick              // for a look while working
	tiny               // for the test that keeps the rows from rotting
)

// pick gives a size by scale.
func (o options) pick(atFull, atQuick, atTiny int) int {
	return [...]int{atFull, atQuick, atTiny}[o.scale]
}

func main() {
	var o options
	flag.StringVar(&o.rows, "rows", "", "only rows whose name contains one of these, with semicolons between")
	flag.IntVar(&o.rounds, "rounds", 0, "rounds of each row; medians are printed (default 3, with -quick 1)")
	flag.DurationVar(&o.span, "span", 0, "length of one round of a throughput row (default 3s, with -quick 1s)")
	flag.IntVar(&o.sessions, "sessions", 0, "sessions of the delivery row (default 1000, with -quick 200)")
	flag.IntVar(&o.commitDelay, "commit-delay", 0, "Postgres's commit_delay in microseconds (with commit_siblings = 0)")
	flag.StringVar(&o.json, "json", "", "write all figures to this file")
	flag.StringVar(&o.profile, "profile", "", "write CPU profiles of the servers into this folder, one a row and server")
	flag.DurationVar(&o.within, "within", 11*time.Minute, "what the run may take, about: rows that come late get one round, later ones are as with -quick")
	short := flag.Bool("quick", false, "smaller and shorter rows")
	child := flag.String("child", "", "run as the server of a measurement: floor or node")
	db := flag.String("db", "", "database of the child")
	redis := flag.String("redis", "", "Redis of the child")
	images := flag.String("images", "", "folder for the images of a child's replicas")
	flag.Parse()
	if *short {
		o.scale = quick
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *child != "" {
		ctx = withParent(ctx, os.Stdin)
	}
	var err error
	switch *child {
	case "":
		err = measure(ctx, os.Stdout, o.withDefaults())
	case "floor":
		err = runFloor(ctx, *db, announce)
	case "node":
		err = runNode(ctx, *db, *redis, *images)
	default:
		err = fmt.Errorf("unknown child %q", *child)
	}
	if context.Cause(ctx) == errOrphan {
		err = errors.Join(err, clearUp(os.Getenv(folderVar), 20*time.Second))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (o options) withDefaults() options {
	if o.rounds == 0 {
		o.rounds = o.pick(3, 1, 1)
	}
	if o.span == 0 {
		o.span = time.Duration(o.pick(3000, 1000, 50)) * time.Millisecond
	}
	if o.sessions == 0 {
		o.sessions = o.pick(1000, 200, 5)
	}
	return o
}
