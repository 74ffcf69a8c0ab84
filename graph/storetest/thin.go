package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// thinner is a store that can keep a part of the history as differences. One that
// cannot keeps every snapshot whole; readers cannot tell.
type thinner interface {
	Thin(ctx context.Context, every map[string]int, grace time.Duration) error
}

// thinnedHistoryReadsAndMovesWhole: what is kept as differences reads as it was written,
// and the log of such a graph makes the same graph elsewhere, as an export and import do.
func thinnedHistoryReadsAndMovesWhole(t *testing.T, s Suite) {
	store := archiveOf(t, s)
	w := NewWorld(t, store)
	var id, gone graph.ObjectID
	w.Build(func(d *Draft) { id, gone = d.Create(`{"status":[]}`), d.Create(`{"status":["first"]}`) })
	var entries []string
	for i := range 40 {
		entries = append(entries, fmt.Sprintf(`"step %d, töld ☂"`, i))
		w.Build(func(d *Draft) { d.Set(id, `{"status":[`+strings.Join(entries, ",")+`]}`) })
		if i%3 == 0 {
			w.Build(func(d *Draft) { d.Set(gone, fmt.Sprintf(`{"status":["first",%d]}`, i)) })
		}
	}
	every := map[string]int{w.Now().Objects[id].Type: 7}
	w.Build(func(d *Draft) { d.Delete(gone) })
	w.Append()
	thin := func() {
		if store, ok := store.(thinner); ok {
			if err := store.Thin(t.Context(), every, -time.Hour); err != nil {
				t.Fatal(err)
			}
		}
	}
	thin()
	w.CheckAll()

	log, err := store.Log(t.Context(), w.Info.Key, 0, len(w.Log))
	if err != nil {
		t.Fatal(err)
	}
	name := newName()
	moved := prepare(t, store, name)
	for _, c := range log {
		c.Epoch = moved.Head.Epoch
	}
	moved.Log, moved.states, moved.now = log, w.states, w.now
	moved.Append()
	if err := store.Publish(t.Context(), moved.Info.Key, name); err != nil {
		t.Fatal(err)
	}
	moved.Info.Name = name
	moved.CheckAll()
	thin()
	moved.CheckAll()
	moved.Commit(func(d *Draft) { d.Set(id, `{"status":["the last"]}`) })
	moved.CheckAll()
}
