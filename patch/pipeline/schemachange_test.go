package pipeline_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/graphtide/graphtide/graph"
)

// types puts a schema of these types in place of the present one.
func (s *system) types(types string) *graph.Error {
	s.t.Helper()
	_, err := s.PutSchema(context.Background(), &admin, "app.yaml", []byte("graphtide: 1\ntypes:\n"+types), false)
	if err == nil {
		return nil
	}
	e := graph.AsError(err)
	if e.Code != graph.CodeSchemaInUse {
		s.t.Fatalf("%v %v", e, e.Errors)
	}
	return e
}

// put is types where it must be taken.
func (s *system) put(types string) {
	s.t.Helper()
	if err := s.types(types); err != nil {
		s.t.Fatalf("%v %v", err, err.Objects)
	}
}

// inUse wants the schema refused for one object, with these paths.
func (s *system) inUse(types, object string, paths ...string) {
	s.t.Helper()
	before := s.live.Current().Version
	err := s.types(types)
	if err == nil {
		s.t.Fatalf("taken, though it breaks %s:\n%s", object, types)
	}
	if err.Count != 1 || len(err.Objects) != 1 || err.Objects[0].ID != object {
		s.t.Fatalf("got %d: %+v, want %s", err.Count, err.Objects, object)
	}
	var got []string
	for _, v := range err.Objects[0].Errors {
		got = append(got, v.Path)
	}
	if strings.Join(got, " ") != strings.Join(paths, " ") {
		s.t.Fatalf("paths %v, want %v", got, paths)
	}
	if now := s.live.Current().Version; now != before {
		s.t.Fatalf("a refusal moved the schema from %d to %d", before, now)
	}
}

func (s *system) create(who graph.Principal, typ, body string) string {
	s.t.Helper()
	o := id()
	s.do(who, fmt.Sprintf(`[{"op":"add","path":"/objects/%s","value":{"type":%q,"body":%s}}]`, o, typ, body))
	return o
}

func (s *system) join(label, from, to string) string {
	s.t.Helper()
	e := id()
	s.do(admin, fmt.Sprintf(`[{"op":"add","path":"/edges/%s","value":{"label":%q,"from":%q,"to":%q}}]`, e, label, from, to))
	return e
}

// A reader must not gain write because the edge that rights flow through asks
// less than before.
func TestANewSchemaKeepsStoredAccessValid(t *testing.T) {
	t.Parallel()
	const far = "  Far: {open: true, access: {read: [public], write: [user]}, edges: {in: {p: {from: Near, as: nears, needs: read}}}}\n"
	for _, c := range []struct {
		name, before, after string
		paths               []string
	}{
		{"an edge that rights flow through asks less", far + "  Near: {open: true, access: {inherit: p}, edges: {out: {p: {to: Far, max: 1}}}}\n",
			far + "  Near: {open: true, access: {read: [public]}, edges: {out: {p: {to: Far, max: 1, needs: read}}}}\n",
			[]string{"/access/manage/inherit/p", "/access/read/inherit/p", "/access/write/inherit/p"}},
		{"an edge that rights flow through is gone", far + "  Near: {open: true, access: {read: [{inherit: p}]}, edges: {out: {p: {to: Far, max: 1}}}}\n",
			"  Far: {open: true}\n  Near: {open: true}\n",
			[]string{"/access/read/inherit/p"}},
		{"a right is gone", "  Near: {open: true, access: {read: [public], foo: [public]}}\n",
			"  Near: {open: true, access: {read: [public]}}\n",
			[]string{"/access/foo"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.put(c.before)
			near := s.create(ann, "Near", "{}")
			s.inUse(c.after, near, c.paths...)
			s.do(admin, `[{"op":"replace","path":"/objects/`+near+`/access","value":{"read":{"public":true}}}]`)
			s.put(c.after)
		})
	}
}

// What a deleted object was allowed is judged when an undo brings it back.
func TestARevivedObjectsAccessIsJudgedByTheSchemaOfNow(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.put("  Near: {open: true, access: {read: [public], foo: [public]}}\n")
	near := s.create(ann, "Near", "{}")
	last := s.object(near)
	s.do(ann, `[{"op":"remove","path":"/objects/`+near+`"}]`)
	s.put("  Near: {open: true, access: {read: [public]}}\n")
	revert := func(m *graph.Mutation) {
		ref := graph.ObjectRef(last.ID)
		m.Revert = &graph.Revert{Revived: map[graph.Ref]graph.Snapshot{ref: {Object: last}}}
	}
	s.refused(admin, "schema /objects/"+near+"/access/foo",
		fmt.Sprintf(`[{"op":"add","path":"/objects/%s","value":{"type":"Near","body":{}}}]`, near), revert)
}

// Stored bodies are judged as they are: a default would not be in them.
func TestADefaultDoesNotMakeStoredDataValid(t *testing.T) {
	t.Parallel()
	const edge = "  K: {open: true, edges: {out: {k: {to: K%s}}, in: {k: {from: K, as: ks}}}}\n"
	for _, c := range []struct {
		name, before, body, after, path string
		migrated                        string // `migrate` that maps it, "" for none
	}{
		{"required", "  K: {properties: {a: {type: string}}}\n", `{"a":"x"}`,
			"  K: {properties: {a: {type: string}, n: {type: number, default: 3}}, required: [n]%s}\n", "/body/n", "{default: {n: 4}}"},
		{"nested", "  K: {properties: {c: {type: object}}}\n", `{"c":{}}`,
			"  K: {properties: {c: {type: object, properties: {d: {type: string, default: x}}, required: [d]}}%s}\n", "/body/c/d", ""},
		{"dependentRequired", "  K: {properties: {a: {type: string}, b: {type: string}}}\n", `{"a":"x"}`,
			"  K: {properties: {a: {type: string}, b: {type: string, default: y}}, schema: {dependentRequired: {a: [b]}}%s}\n", "/body/b", "{default: {b: z}}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.put(c.before)
			k := s.create(ann, "K", c.body)
			err := s.types(fmt.Sprintf(c.after, ""))
			if err == nil {
				t.Fatalf("taken, with %s stored", s.object(k).Body)
			}
			if len(err.Objects) != 1 || err.Objects[0].ID != k {
				t.Fatalf("got %+v", err.Objects)
			}
			if c.migrated == "" {
				return
			}
			s.put(fmt.Sprintf(c.after, ", migrate: "+c.migrated))
			if err := s.rep().CatchUp(context.Background()); err != nil {
				t.Fatal(err)
			}
			o := s.object(k)
			if v := s.live.Current().TypeOf("K").Validate(o.Body, nil); len(v) > 0 {
				t.Errorf("stored %s: %v", o.Body, v)
			}
			s.replays()
		})
	}
	t.Run("of an edge", func(t *testing.T) {
		t.Parallel()
		s := setup(t)
		s.put(fmt.Sprintf(edge, ""))
		a, b := s.create(ann, "K", "{}"), s.create(ann, "K", "{}")
		e := s.join("k", a, b)
		s.inUse(fmt.Sprintf(edge, ", body: {properties: {n: {type: number, default: 3}}, required: [n]}"), a, "/edges/"+e+"/body/n")
	})
}

// A migration writes bodies, which have a bound.
func TestAMigrationKeepsBodiesWithinTheirBound(t *testing.T) {
	t.Parallel()
	s := setup(t)
	limit := graph.Limits{}.WithDefaults().BodyBytes
	const before = "  K: {properties: {a: {type: string}}}\n"
	s.put(before)
	k := s.create(ann, "K", fmt.Sprintf(`{"a":%q}`, strings.Repeat("x", limit-100)))
	after := func(n int) string {
		return "  K: {properties: {a: {type: string}, b: {type: string}}, migrate: {default: {b: " + strings.Repeat("y", n) + "}}}\n"
	}
	s.inUse(after(200), k, "/body")
	s.put(after(20))
	if err := s.rep().CatchUp(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := len(s.object(k).Body); n > limit || n <= limit-100 {
		t.Errorf("the body has %d bytes after the migration", n)
	}
	s.replays()
}

// A default that came with a newer schema is filled in where a body is changed,
// and a transaction that changes nothing makes no commit.
func TestDefaultsAreFilledInOnlyWhereABodyChanges(t *testing.T) {
	t.Parallel()
	s := setup(t)
	const edges = ", edges: {out: {k: {to: K%s}}, in: {k: {from: K, as: ks}}}"
	s.put("  K: {properties: {a: {type: string}}" + fmt.Sprintf(edges, ", body: {properties: {a: {type: string}}}") + "}\n")
	k := s.create(ann, "K", `{"a":"x"}`)
	e := s.join("k", k, k)
	s.put("  K: {properties: {a: {type: string}, n: {type: number, default: 3}}" +
		fmt.Sprintf(edges, ", body: {properties: {a: {type: string}, n: {type: number, default: 3}}}") + "}\n")
	head := s.head()
	for _, idle := range []string{
		`[{"op":"replace","path":"/objects/` + k + `/body/a","value":"x"}]`,
		`[{"op":"add","path":"/objects/` + k + `/body/a","value":"y"},{"op":"add","path":"/objects/` + k + `/body/a","value":"x"}]`,
		`[{"op":"replace","path":"/edges/` + e + `/body","value":{}}]`,
	} {
		if v := s.do(ann, idle); v != head || s.head() != head {
			t.Fatalf("%s made commit %d", idle, v)
		}
	}
	s.do(ann, `[{"op":"add","path":"/objects/`+k+`/access/read/public","value":true},{"op":"replace","path":"/objects/`+k+`/body/a","value":"x"}]`)
	if got := string(s.object(k).Body); got != `{"a":"x"}` {
		t.Errorf("a change of access alone made the body %s", got)
	}
	s.do(ann, `[{"op":"replace","path":"/objects/`+k+`/body/a","value":"z"}]`)
	if got := string(s.object(k).Body); got != `{"a":"z","n":3}` {
		t.Errorf("body %s", got)
	}
	s.do(ann, `[{"op":"add","path":"/edges/`+e+`/body/a","value":"z"}]`)
	if got := string(s.edge(e).Body); got != `{"a":"z","n":3}` {
		t.Errorf("body of the edge %s", got)
	}
	s.replays()
}
