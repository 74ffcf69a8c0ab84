package replica_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/graphtide/graphtide/graph/memstore"
	"github.com/graphtide/graphtide/graph/replica"
)

// What a graph held is not kept once the graph is no more: neither by a node that has
// it open, nor by one that had it open once. What a node left behind that was killed
// while it wrote goes as well, and nothing else.
func TestImagesEndWithTheirGraphs(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		store, dir := memstore.New(), t.TempDir()
		files := func() (names []string) {
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				names = append(names, e.Name())
			}
			return names
		}
		is := func(when string, want ...string) {
			t.Helper()
			slices.Sort(want)
			if got := files(); !slices.Equal(got, want) {
				t.Errorf("%s there are %q, want %q", when, got, want)
			}
		}
		image := map[string]string{}
		for _, name := range []string{"kept", "open", "closed", "late"} {
			w := worldIn(t, store, name)
			w.commit(t, addThing)
			image[name] = fmt.Sprintf("graph-%d.image", w.info.Key)
		}
		serve := func(names ...string) *replica.Set {
			set := replica.New(replica.Config{Store: store, ImageDir: dir, Poll: time.Hour, Log: quiet})
			if err := set.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				if _, err := set.Open(t.Context(), name); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			return set
		}
		stop := func(set *replica.Set) {
			if err := set.Stop(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		gone := func(name string) {
			if err := store.DeleteGraph(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		stop(serve("kept", "open", "closed", "late"))
		is("after a stop", image["kept"], image["open"], image["closed"], image["late"])

		set := serve("kept", "open")
		gone("open")
		if err := set.Refresh(t.Context(), "open"); err != nil {
			t.Fatal(err)
		}
		is("after a deletion", image["kept"], image["closed"], image["late"])
		gone("late")
		time.Sleep(10 * time.Minute) // fake time
		synctest.Wait()
		is("a while after a deletion", image["kept"], image["closed"])
		stop(set)

		gone("closed")
		for _, name := range []string{image["kept"] + ".123.part", "notes.part", "graph-x.image"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		stop(serve("kept"))
		is("after another start", image["kept"], "notes.part", "graph-x.image")
	})
}
