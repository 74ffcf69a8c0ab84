package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/archive"
	"github.com/graphtide/graphtide/graph/memstore"
	"github.com/graphtide/graphtide/graph/pgstore"
	"github.com/graphtide/graphtide/graph/storetest"
	"github.com/graphtide/graphtide/internal/testdb"
	"github.com/graphtide/graphtide/patch"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// anything is the law of tests: it refuses what a body or a label says, and at
// the end an object without an edge, if asked to.
type anything struct {
	lonely  graph.ObjectID
	objects int
	edges   int
	linked  bool
}

func (l *anything) Object(o *graph.Object) error {
	if l.edges > 0 {
		return errors.New("an object comes after an edge")
	}
	l.objects++
	if strings.Contains(string(o.Body), "unlawful") {
		return errors.New("it is unlawful")
	}
	return nil
}

func (l *anything) Edge(e *graph.Edge) error {
	l.edges++
	if e.Label == "unlawful" {
		return errors.New("it is unlawful")
	}
	l.linked = l.linked || e.From == l.lonely || e.To == l.lonely
	return nil
}

func (l *anything) End() (graph.Ref, error) {
	if !l.lonely.IsZero() && !l.linked {
		return graph.ObjectRef(l.lonely), errors.New("it is lonely")
	}
	return graph.Ref{}, nil
}

// onBoth runs a test on both stores.
func onBoth(t *testing.T, fn func(t *testing.T, s archive.Store, runs graph.RunStore)) {
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		s := memstore.New()
		fn(t, s, memstore.NewRuns(s))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		s := testdb.Store(t)
		fn(t, s, pgstore.NewRuns(s.Pool()))
	})
}

// lived gives a graph with some of everything: changes, removals with edges, a
// revival, and texts that are easily broken.
func lived(t *testing.T, s archive.Store) *storetest.World {
	t.Helper()
	w := storetest.NewWorld(t, s)
	var a, b, c, d graph.ObjectID
	var e graph.EdgeID
	w.Commit(func(x *storetest.Draft) {
		a, b = x.Create(`{"n":12345678901234567890,"x":0.10}`), x.Create(`{"text":"<b>&amp; \u2028 ümlaut 😀 \"q\""}`)
		x.Note, x.Group, x.Session = "a \"note\"", uuid.NewString(), uuid.NewString()
	})
	w.Commit(func(x *storetest.Draft) { e = x.Link("l", a, b, `{"rank":1}`); c = x.Create(`{}`) })
	w.Commit(func(x *storetest.Draft) { x.Set(a, `{"n":2}`); x.Share(b, `{"read":{"inherit":{"l":true}}}`) })
	w.Commit(func(x *storetest.Draft) {
		x.SetEdge(e, `{"rank":2}`)
		x.Cause = graph.Cause{Kind: graph.CauseRun, Version: 2, Run: uuid.NewString()}
		x.Depth = 1
	})
	w.Commit(func(x *storetest.Draft) { d = x.Create(`{"v":0}`); x.Link("m", d, c, `{}`); x.Link("m", d, d, `{}`) })
	last := w.Now().Objects[c]
	w.Commit(func(x *storetest.Draft) { x.Delete(c) })
	w.Commit(func(x *storetest.Draft) { x.Revive(last); x.Cause = graph.Cause{Kind: graph.CauseRevert, Version: 6} })
	w.Commit(func(x *storetest.Draft) { x.Delete(a) })
	for i := range 6 {
		w.Commit(func(x *storetest.Draft) { x.Set(d, fmt.Sprintf(`{"v":%d}`, i+1)) })
	}
	return w
}

func export(t *testing.T, s archive.Store, name string, history bool) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := archive.Export(t.Context(), s, name, history, &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func options(t *testing.T, s archive.Store) archive.Options {
	t.Helper()
	version, _, err := s.Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return archive.Options{Law: &anything{}, SchemaVer: version}
}

func imported(t *testing.T, s archive.Store, text []byte) (archive.Result, string) {
	t.Helper()
	name := "t-" + uuid.NewString()
	res, err := archive.Import(t.Context(), s, name, bytes.NewReader(text), options(t, s))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return res, name
}

// afterHeader cuts off the first line, which names the graph and its epoch.
func afterHeader(text []byte) string {
	_, rest, _ := bytes.Cut(text, []byte("\n"))
	return string(rest)
}

func TestHistoryComesBackAsItWas(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s archive.Store, runs graph.RunStore) {
		w := lived(t, s)
		text := export(t, s, w.Info.Name, true)
		res, name := imported(t, s, text)
		if res.Version != w.Head.Version || res.Epoch == w.Head.Epoch || res.Graph != name {
			t.Errorf("%+v", res)
		}
		if again := export(t, s, name, true); afterHeader(again) != afterHeader(text) {
			t.Errorf("exported again:\n%s\nwant\n%s", again, text)
		}
		if got, want := export(t, s, name, false), export(t, s, w.Info.Name, false); afterHeader(got) != afterHeader(want) {
			t.Errorf("the state:\n%s\nwant\n%s", got, want)
		}
		// The graph is one as any other: what was built for the first fits it.
		info, err := s.Graph(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range w.Log {
			c.Epoch = info.Head.Epoch
		}
		w.Info, w.Head.Epoch = info, info.Head.Epoch
		w.CheckAll()
		if c, err := runs.Cursor(t.Context(), info.Key); err != nil || c.Version != info.Head.Version {
			t.Errorf("rules will look at what was imported: %+v, %v", c, err)
		}
		verify(t, s, name)
	})
}

func verify(t *testing.T, s archive.Store, name string) {
	t.Helper()
	pg, ok := s.(*pgstore.Store)
	if !ok {
		return
	}
	if r, err := pg.Verify(t.Context(), name); err != nil || !r.OK() {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestStateComesBackInCommitsOfAnImport(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s archive.Store, _ graph.RunStore) {
		w := lived(t, s)
		text := export(t, s, w.Info.Name, false)
		opt := options(t, s)
		opt.Touched = 2
		opt.By = "root"
		name := "t-" + uuid.NewString()
		res, err := archive.Import(t.Context(), s, name, bytes.NewReader(text), opt)
		if err != nil {
			t.Fatal(err)
		}
		if n := res.Objects + res.Edges; res.Version != graph.Version((n+1)/2) || res.Objects != 3 || res.Edges != 1 {
			t.Errorf("%+v", res)
		}
		info, err := s.Graph(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		log, err := s.Log(t.Context(), info.Key, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range log {
			if c.Cause.Kind != graph.CauseImport || c.Author.User != "root" || len(c.Changes) > 2 {
				t.Errorf("version %d: %+v", c.Version, c)
			}
		}
		was := w.Now()
		_, err = s.State(t.Context(), info.Key, func(objects []*graph.Object, edges []*graph.Edge) error {
			for _, o := range objects {
				want := was.Objects[o.ID]
				if want == nil || o.Type != want.Type || string(o.Body) != string(want.Body) || string(o.Access.Raw) != string(want.Access.Raw) ||
					!o.Meta.CreatedAt.Equal(want.Meta.CreatedAt) || o.Meta.CreatedBy != want.Meta.CreatedBy || o.Meta.UpdatedBy != "root" {
					t.Errorf("object %+v, want %+v", o, want)
				}
			}
			for _, e := range edges {
				want := was.Edges[e.ID]
				if want == nil || e.Label != want.Label || e.From != want.From || e.To != want.To || string(e.Body) != string(want.Body) ||
					!e.Meta.CreatedAt.Equal(want.Meta.CreatedAt) || e.Meta.CreatedBy != want.Meta.CreatedBy {
					t.Errorf("edge %+v, want %+v", e, want)
				}
			}
			return nil
		})
		if err != nil || info.Objects != int64(len(was.Objects)) || info.Edges != int64(len(was.Edges)) {
			t.Errorf("%+v, %v", info, err)
		}
		verify(t, s, name)
	})
}

func TestCompactedGraphComesBackWithItsFloor(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s archive.Store, runs graph.RunStore) {
		w := lived(t, s)
		if _, err := runs.Dispatch(t.Context(), &graph.Dispatch{Graph: w.Info.Key, Node: "n", Lease: time.Minute, To: w.Head.Version, Epoch: w.Head.Epoch}); err != nil {
			t.Fatal(err)
		}
		out, err := s.(graph.Compactor).Compact(t.Context(), w.Info.Name, map[string]graph.Keep{"T": {Versions: 3}}, 0)
		if err != nil || out.Floor == 0 {
			t.Fatalf("%+v, %v", out, err)
		}
		idle := graph.IdleKey{MutationKey: graph.MutationKey{Author: "ann", Key: "without effect"}, Hash: []byte{7}, Cause: graph.CauseClient}
		if _, err := s.RememberIdle(t.Context(), w.Info.Key, w.Head.Version, []graph.IdleKey{idle}); err != nil {
			t.Fatal(err)
		}
		text := export(t, s, w.Info.Name, true)
		_, name := imported(t, s, text)
		if again := export(t, s, name, true); afterHeader(again) != afterHeader(text) {
			t.Errorf("exported again:\n%s\nwant\n%s", again, text)
		}
		info, err := s.Graph(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		keys := []graph.MutationKey{idle.MutationKey}
		if found, err := s.Recorded(t.Context(), info.Key, keys); err != nil || !found[keys[0]].Idle || found[keys[0]].Version != w.Head.Version {
			t.Errorf("the key of a transaction without effect: %v, %v", found, err)
		}
		if floor, err := s.Floor(t.Context(), info.Key); err != nil || floor != out.Floor {
			t.Errorf("floor %d, want %d, %v", floor, out.Floor, err)
		}
		for _, c := range w.Log {
			key := graph.MutationKey{Author: c.Author.User, Key: c.Mutation}
			if found, err := s.Recorded(t.Context(), info.Key, []graph.MutationKey{key}); err != nil || found[key].Version != c.Version {
				t.Errorf("the key of version %d: %v, %v", c.Version, found, err)
			}
		}
		verify(t, s, name)
	})
}

func TestArchivesMoveBetweenStores(t *testing.T) {
	t.Parallel()
	memory := memstore.New()
	w := lived(t, memory)
	text := export(t, memory, w.Info.Name, true)
	pg := testdb.Store(t)
	_, name := imported(t, pg, text)
	if again := export(t, pg, name, true); afterHeader(again) != afterHeader(text) {
		t.Errorf("exported again:\n%s\nwant\n%s", again, text)
	}
	verify(t, pg, name)
}

func TestEmptyGraphsComeBack(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s archive.Store, _ graph.RunStore) {
		w := storetest.NewWorld(t, s)
		for _, history := range []bool{false, true} {
			res, _ := imported(t, s, export(t, s, w.Info.Name, history))
			if res.Version != 0 || res.Epoch == w.Head.Epoch {
				t.Errorf("%+v", res)
			}
		}
	})
}

func TestOnlyAbsentAndEmptyGraphsAreFilled(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s archive.Store, _ graph.RunStore) {
		w := lived(t, s)
		text := export(t, s, w.Info.Name, true)
		if _, err := archive.Import(t.Context(), s, w.Info.Name, bytes.NewReader(text), options(t, s)); graph.CodeOf(err) != graph.CodeExists {
			t.Errorf("into a graph that has content: %v", err)
		}
		w.CheckAll()
		empty := storetest.NewWorld(t, s)
		if _, err := archive.Import(t.Context(), s, empty.Info.Name, bytes.NewReader(text), options(t, s)); err != nil {
			t.Error(err)
		}
		opt := options(t, s)
		opt.SchemaVer++
		if _, err := archive.Import(t.Context(), s, "t-"+uuid.NewString(), bytes.NewReader(text), opt); graph.CodeOf(err) != graph.CodeVersionMismatch {
			t.Errorf("judged by another schema: %v", err)
		}
	})
}

func TestWhatCannotStayIsMendedByOneMoreCommit(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s archive.Store, _ graph.RunStore) {
		w := lived(t, s)
		for _, history := range []bool{true, false} {
			opt := options(t, s)
			opt.Mend = func(o *graph.Object) []patch.Op {
				if !strings.Contains(string(o.Body), `"v"`) {
					return nil
				}
				return []patch.Op{{Kind: patch.Add, Path: patch.Pointer{"body", "mended"}, Value: []byte("true")}}
			}
			name := "t-" + uuid.NewString()
			res, err := archive.Import(t.Context(), s, name, bytes.NewReader(export(t, s, w.Info.Name, history)), opt)
			if err != nil {
				t.Fatal(err)
			}
			info, err := s.Graph(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			log, err := s.Log(t.Context(), info.Key, res.Version-1, 1)
			if err != nil || len(log) != 1 || log[0].Cause.Kind != graph.CauseImport || len(log[0].Changes) != 1 {
				t.Fatalf("%+v, %v", log, err)
			}
			if got := string(log[0].Changes[0].ObjAfter.Body); got != `{"v":6,"mended":true}` {
				t.Errorf("mended to %s", got)
			}
			if history && res.Version != w.Head.Version+1 {
				t.Errorf("%+v", res)
			}
			verify(t, s, name)
		}
	})
}
