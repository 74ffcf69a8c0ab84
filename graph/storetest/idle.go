package storetest

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
)

// idle gives the key of a transaction of ann's without effect.
func idle(key string) graph.IdleKey {
	return graph.IdleKey{MutationKey: graph.MutationKey{Author: "ann", Key: key}, Hash: []byte{1, 2, 3}, Cause: graph.CauseRevert}
}

func (w *World) remember(keys ...graph.IdleKey) map[graph.MutationKey]graph.Recorded {
	w.T.Helper()
	used, err := w.Store.RememberIdle(w.T.Context(), w.Info.Key, w.Head.Version, keys)
	if err != nil {
		w.T.Fatal(err)
	}
	return used
}

// keysWithoutEffectStandInTheWay: an append with such a key is a repeat, by every
// way in which an append is written.
func keysWithoutEffectStandInTheWay(t *testing.T, s Suite) {
	w := s.world(t)
	var a graph.ObjectID
	first := w.Commit(func(d *Draft) { a = d.Create(`{}`) })
	if used := w.remember(idle("k"), idle("l")); len(used) != 0 {
		t.Errorf("new keys were in use: %v", used)
	}
	w.Commit(func(d *Draft) { d.Set(a, `{"n":1}`) })

	k, l, c := idle("k").MutationKey, idle("l").MutationKey, graph.MutationKey{Author: "ann", Key: first.Mutation}
	other := idle("k")
	other.Hash = []byte{9}
	used := w.remember(other, graph.IdleKey{MutationKey: c, Hash: []byte{8}, Cause: graph.CauseClient}, idle("m"))
	if len(used) != 2 || used[k].Version != 1 || string(used[k].Hash) != "\x01\x02\x03" || used[c].Version != 1 || string(used[c].Hash) != string(first.Hash) {
		t.Errorf("keys that are in use: %v", used)
	}
	found, err := w.Store.Recorded(t.Context(), w.Info.Key, []graph.MutationKey{k, l, c, {Author: "bob", Key: "k"}})
	want := map[graph.MutationKey]graph.Recorded{
		k: {Version: 1, Hash: []byte{1, 2, 3}, Cause: graph.CauseRevert, Idle: true},
		l: {Version: 1, Hash: []byte{1, 2, 3}, Cause: graph.CauseRevert, Idle: true},
		c: {Version: 1, Hash: first.Hash, Cause: first.Cause.Kind},
	}
	if d := cmp.Diff(want, found); err != nil || d != "" {
		t.Errorf("recorded (-want +got):\n%s %v", d, err)
	}

	for name, build := range map[string]func(*Draft){
		"change": func(d *Draft) { d.Set(a, `{"n":2}`) },
		"create": func(d *Draft) { d.Create(`{}`) },
		"link":   func(d *Draft) { d.Link("l", a, d.Create(`{}`), `{}`) },
	} {
		w.Build(func(d *Draft) { build(d); d.Mutation = "k" })
		res, err := w.Store.Append(t.Context(), w.Batch())
		if err != nil || len(res.Hits) != 1 || res.Hits[0].Kind != graph.HitMutation || res.Hits[0].Version != 1 || string(res.Hits[0].Hash) != "\x01\x02\x03" {
			t.Errorf("%s: %+v, %v", name, res, err)
		}
		w.Forget()
	}
	// Bob's is another key.
	w.Commit(func(d *Draft) { d.Author = graph.Principal{User: "bob"}; d.Set(a, `{"n":3}`); d.Mutation = "k" })
	w.CheckAll()
	if versions, err := w.Store.Named(t.Context(), w.Info.Key, "l"); err != nil || len(versions) != 0 {
		t.Errorf("a key without effect names commits: %v, %v", versions, err)
	}
	if err := w.Store.DeleteGraph(t.Context(), w.Info.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Store.RememberIdle(t.Context(), w.Info.Key, 1, []graph.IdleKey{idle("n")}); graph.CodeOf(err) != graph.CodeNotFound {
		t.Errorf("a graph that is gone: %v", err)
	}
}

// keyIsUsedOnceByAppendOrWithoutEffect: of an append and a transaction without
// effect that have one key at one time, one finds the other.
func keyIsUsedOnceByAppendOrWithoutEffect(t *testing.T, s Suite) {
	w := s.world(t)
	var a graph.ObjectID
	w.Commit(func(d *Draft) { a = d.Create(`{}`) })
	for range 60 {
		key := uuid.NewString()
		w.Build(func(d *Draft) { d.Set(a, `{"by":"`+key+`"}`); d.Mutation = key })
		var appended graph.AppendResult
		var used map[graph.MutationKey]graph.Recorded
		var failed [2]error
		var both sync.WaitGroup
		both.Go(func() { appended, failed[0] = w.Store.Append(t.Context(), w.Batch()) })
		both.Go(func() {
			used, failed[1] = w.Store.RememberIdle(t.Context(), w.Info.Key, w.Head.Version, []graph.IdleKey{idle(key)})
		})
		both.Wait()
		if failed[0] != nil || failed[1] != nil || appended.Moved {
			t.Fatal(failed, appended)
		}
		if (len(appended.Hits) == 0) != (len(used) == 1) {
			t.Fatalf("the append found %+v, the transaction without effect %v", appended.Hits, used)
		}
		if len(used) == 1 {
			w.Settled()
		} else {
			w.Forget()
		}
	}
}

// keyOfAnAttemptThatIsOverIsNotKept: what it would have done, the attempt that
// took over may do.
func keyOfAnAttemptThatIsOverIsNotKept(t *testing.T, s Suite) {
	w := s.world(t)
	w.Commit(func(d *Draft) { d.Create(`{}`) })
	k := idle("k")
	k.Fence = &graph.Fence{Run: uuid.NewString(), Attempt: 1}
	w.remember(k)
	found, err := w.Store.Recorded(t.Context(), w.Info.Key, []graph.MutationKey{k.MutationKey})
	if err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
}
