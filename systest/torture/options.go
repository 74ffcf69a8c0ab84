package torture

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"time"
)

// Options say what to run. The zero value of a field is its default.
type Options struct {
	Binary string        // the program graphtide; needed
	Seed   uint64        // of all that is left to chance
	For    time.Duration // chaos in all; default 90 s
	Round  time.Duration // chaos between two judgements; default 45 s
	Rate   float64       // faults a second; default 1
	// Writers and Readers are how many clients write and watch; defaults 20 and
	// 16. Every second reader writes as well.
	Writers, Readers int
	// Pace is the mean pause of a writer between two transactions; default 250 ms.
	Pace time.Duration
	// Slack is how many times as long as promised everything may take, for a
	// machine with other things to do; default 1.
	Slack int
	// Enough, if set, is asked after the last round whether what happened is enough
	// to judge by; rounds go on until it is, for at most five times as long.
	Enough func(*Verdict) bool
	// Break names the break of a sabotaged program; "" for a sound one.
	Break string
	// Detail keeps what each copy held, so that a violation can be explained;
	// it takes memory.
	Detail bool
	Out    io.Writer // what happens, as it happens; nil: nothing is told
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		p *time.Duration
		v time.Duration
	}{{&o.For, 90 * time.Second}, {&o.Round, 45 * time.Second}, {&o.Pace, 250 * time.Millisecond}} {
		if *d.p <= 0 {
			*d.p = d.v
		}
	}
	if o.Rate <= 0 {
		o.Rate = 1
	}
	if o.Writers <= 0 {
		o.Writers = 20
	}
	if o.Readers <= 0 {
		o.Readers = 16
	}
	if o.Slack <= 0 {
		o.Slack = 1
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	return o
}

// plan is what the seed decides before anything runs.
type plan struct {
	Poll       time.Duration // of the nodes
	Boards     int
	Cells      int // at the start
	Twins      int // pairs
	Duplicates float64
	Queries    [][]int // of each reader
	Users      []string
	Weights    map[string]int // of faults
}

// planOf derives the plan.
func planOf(o Options) plan {
	rng := rand.New(rand.NewPCG(o.Seed, 0))
	p := plan{
		Poll:       []time.Duration{200 * time.Millisecond, 500 * time.Millisecond, time.Second}[rng.IntN(3)],
		Boards:     4 + rng.IntN(3),
		Cells:      16 + rng.IntN(16),
		Twins:      2 + rng.IntN(3),
		Duplicates: 0.1 + 0.3*rng.Float64(),
		Weights:    map[string]int{},
	}
	for _, f := range faults {
		p.Weights[f.name] = max(1, f.weight*(50+rng.IntN(101))/100)
	}
	for i := range o.Readers {
		n := 2 + rng.IntN(2)
		if i%5 == 4 {
			n = 1
		}
		p.Users = append(p.Users, users[i%len(users)])
		p.Queries = append(p.Queries, rng.Perm(queryKinds)[:n])
	}
	return p
}

func (p plan) print(o Options) {
	fmt.Fprintf(o.Out, "torture seed=%d for=%s round=%s rate=%g writers=%d readers=%d pace=%s break=%q processors=%d\n",
		o.Seed, o.For, o.Round, o.Rate, o.Writers, o.Readers, o.Pace, o.Break, runtime.GOMAXPROCS(0))
	fmt.Fprintf(o.Out, "  nodes=2 poll=%s boards=%d cells=%d twins=%d duplicates=%.2f\n", p.Poll, p.Boards, p.Cells, p.Twins, p.Duplicates)
	fmt.Fprintf(o.Out, "  readers:")
	for i, u := range p.Users {
		fmt.Fprintf(o.Out, " %s%v", u, p.Queries[i])
	}
	fmt.Fprintf(o.Out, "\n  weights of faults:")
	for _, f := range faults {
		fmt.Fprintf(o.Out, " %s=%d", f.name, p.Weights[f.name])
	}
	fmt.Fprintln(o.Out)
}
