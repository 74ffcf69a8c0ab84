package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sort"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/memstore"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/patch/pipeline"
	"github.com/graphtide/graphtide/schema"
)

// stageCosts prints what each stage of the write path costs per commit: a
// one-field change of a 300-byte object, by one writer, on a store in memory so
// that nothing but the pipeline is measured. Allocations are counted in a run of
// their own, since counting them stops the world.
func stageCosts(ctx context.Context, w io.Writer, n int) error {
	fmt.Fprintf(w, "\nper commit by stage, %d one-field changes of 300 bytes, store in memory\n", n)
	times := map[string]time.Duration{}
	if err := stageRun(ctx, n, func(stage string) func() {
		began := time.Now()
		return func() { times[stage] += time.Since(began) }
	}); err != nil {
		return err
	}
	allocs := map[string]uint64{}
	if err := stageRun(ctx, n/10, func(stage string) func() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		return func() {
			runtime.ReadMemStats(&after)
			allocs[stage] += after.Mallocs - before.Mallocs
		}
	}); err != nil {
		return err
	}
	names := make([]string, 0, len(times))
	for name := range times {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool { return times[names[i]] > times[names[j]] })
	var total time.Duration
	for _, name := range names {
		total += times[name]
		fmt.Fprintf(w, "  %-14s %8.2f µs %8.1f allocations\n", name, float64(times[name].Nanoseconds())/1e3/float64(n), float64(allocs[name])/float64(n/10))
	}
	fmt.Fprintf(w, "  %-14s %8.2f µs\n", "all stages", float64(total.Nanoseconds())/1e3/float64(n))
	return nil
}

func stageRun(ctx context.Context, n int, observe func(string) func()) error {
	store := memstore.New()
	live := schema.NewLive(store)
	set := replica.New(replica.Config{Store: store, Log: slog.New(slog.DiscardHandler)})
	if err := set.Start(ctx); err != nil {
		return err
	}
	defer set.Stop(context.Background())
	measuring := false
	p := pipeline.New(pipeline.Config{Store: store, Replicas: set, Live: live, Observe: func(stage string) func() {
		if !measuring {
			return nil
		}
		return observe(stage)
	}})
	defer p.Stop()
	root := graph.Principal{User: "root", Admin: true, Graphs: []string{"*"}}
	if _, err := p.PutSchema(ctx, &root, "bench.yaml", []byte(benchSchema), false); err != nil {
		return err
	}
	if _, _, err := store.EnsureGraph(ctx, graph.MainGraph); err != nil {
		return err
	}
	who := graph.Principal{User: "bench"}
	send := func(text string) error {
		_, err := p.Submit(ctx, graph.MainGraph, &graph.Mutation{Author: who, Patch: []byte(text)})
		return err
	}
	if err := send(fmt.Sprintf(`[{"op":"add","path":"/objects/%s","value":{"type":"Book","body":{}}},{"op":"add","path":"/objects/%s","value":{"type":"Item","body":%s}},
		{"op":"add","path":"/edges/%s","value":{"label":"book","from":"%s","to":"%s"}}]`, book, small[0], body, small[1], small[0], book)); err != nil {
		return err
	}
	measuring = true
	for i := range n {
		if err := send(fmt.Sprintf(`[{"op":"replace","path":"/objects/%s/body/n","value":%d}]`, small[0], i+2)); err != nil {
			return err
		}
	}
	return nil
}
