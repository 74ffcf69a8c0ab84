package pgstore_test

import (
	"math/rand/v2"
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/pgstore"
	"github.com/graphtide/graphtide/graph/storetest"
	"github.com/graphtide/graphtide/internal/testdb"
)

// written gives a graph with some of everything in its history.
func written(t *testing.T) (*storetest.World, *pgstore.Store) {
	t.Helper()
	s := testdb.Store(t)
	w := storetest.NewWorld(t, s)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 10 {
		w.Build(func(d *storetest.Draft) { storetest.RandomChanges(rng, d) })
		w.Build(func(d *storetest.Draft) { storetest.RandomChanges(rng, d) })
		w.Append()
	}
	var a, b graph.ObjectID
	w.Commit(func(d *storetest.Draft) { a, b = d.Create(`{"n":1.10}`), d.Create(`{}`) })
	w.Commit(func(d *storetest.Draft) { d.Link("l", a, b, `{"w":1}`) })
	w.Commit(func(d *storetest.Draft) { d.Set(a, `{"n":2}`); d.Share(b, `{"read":{"public":true}}`) })
	w.Commit(func(d *storetest.Draft) { d.Delete(b) })
	return w, s
}

func TestVerifyFindsNothingWrongWithWhatWasWritten(t *testing.T) {
	t.Parallel()
	w, s := written(t)
	r, err := s.Verify(t.Context(), w.Info.Name)
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() || r.Version != w.Head.Version || r.Commits != int64(w.Head.Version) {
		t.Errorf("%+v", r)
	}
}

func TestVerifyFindsEachKindOfDamage(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]string{
		"a commit is lost":             `DELETE FROM commits WHERE graph = $1 AND version = 5`,
		"the last commits are lost":    `DELETE FROM commits WHERE graph = $1 AND version > 20`,
		"a row of history is lost":     `DELETE FROM history WHERE graph = $1 AND version = 22 AND ord = 0`,
		"a snapshot was altered":       `UPDATE history SET body = '{"n":3}' WHERE graph = $1 AND version = 23 AND ord = 0`,
		"an access was altered":        `UPDATE history SET access = '{"read":{"users":{"eve":true}}}' WHERE graph = $1 AND version = 23 AND ord = 1`,
		"a patch was altered":          `UPDATE commits SET done = '[]' WHERE graph = $1 AND version = 23`,
		"a present body was altered":   `UPDATE objects SET body = '{"n":3}' WHERE graph = $1 AND version = 23`,
		"a present access was altered": `UPDATE objects SET access = '{}' WHERE graph = $1 AND version = 23`,
		"a present row is lost":        `DELETE FROM objects WHERE graph = $1 AND version = 23`,
		"a deleted object came back":   `UPDATE objects SET deleted = false, body = '{}' WHERE graph = $1 AND version = 24`,
		"a deleted edge came back":     `UPDATE edges SET deleted = false, body = '{}' WHERE graph = $1 AND version = 24`,
		"an end was altered":           `UPDATE history SET to_id = from_id WHERE graph = $1 AND version = 22`,
		"a type was altered":           `UPDATE history SET type = 'U' WHERE graph = $1 AND version = 21`,
		"time runs back":               `UPDATE commits SET at = at - interval '1 day' WHERE graph = $1 AND version = 9`,
		"the head is another":          `UPDATE graphs SET version = version + 1 WHERE key = $1`,
		"a count is wrong":             `UPDATE graphs SET edges = edges + 1 WHERE key = $1`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, s := written(t)
			tag, err := s.Pool().Exec(t.Context(), damage, w.Info.Key)
			if err != nil || tag.RowsAffected() == 0 {
				t.Fatalf("%d rows damaged, %v", tag.RowsAffected(), err)
			}
			r, err := s.Verify(t.Context(), w.Info.Name)
			if err == nil && r.OK() {
				t.Errorf("nothing was found: %+v", r)
			}
		})
	}
}
