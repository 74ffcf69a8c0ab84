package fanout

import (
	"testing"

	"github.com/graphtide/graphtide/graph"
)

func TestTheLimitOnCandidatesHoldsForAViewThatGrows(t *testing.T) {
	t.Parallel()
	const limit = 10
	parent := func(w *world) []edit { return []edit{w.object(oid(1), "Node", `{}`, everybody)} }
	for _, c := range []struct{ name, projection, body, other string }{
		{"roots, where", `{"root":{"type":"Node","where":{"n":{"gte":0}}}}`, `{"n":1}`, ""},
		{"roots, where, most do not meet it", `{"root":{"type":"Node","where":{"n":{"gte":0}}}}`, `{"n":1}`, `{"n":-1}`},
		{"roots, equality", `{"root":{"type":"Node","where":{"n":1}}}`, `{"n":1}`, ""},
		{"roots, equality, most do not meet it", `{"root":{"type":"Node","where":{"n":1}}}`, `{"n":1}`, `{"n":-1}`},
		{"roots, equality, none meets it", `{"root":{"type":"Node","where":{"n":1}}}`, `{"n":-1}`, ""},
		{"roots, equality, subtypes", `{"root":{"type":"Object","where":{"n":1}}}`, `{"n":-1}`, ""},
		{"roots, no value", `{"root":{"type":"Node","where":{"n":{"in":[]}}}}`, `{"n":-1}`, ""},
		{"step, equality", `{"root":"` + oid(1).String() + `","in":{"child":{"where":{"n":1}}}}`, `{"n":-1}`, ""},
		{"step, two equalities", `{"root":"` + oid(1).String() + `","in":{"child":{"where":{"n":1},"in":{"child":{"where":{"n":2}}}}}}`, `{"n":-1}`, ""},
		{"roots, order", `{"root":{"type":"Node","order":["/body/n"],"limit":2}}`, `{"n":1}`, ""},
		{"roots, subtypes", `{"root":{"type":"Object","order":["/body/n"],"limit":2}}`, `{"n":1}`, ""},
		{"step, where", `{"root":"` + oid(1).String() + `","in":{"child":{"where":{"n":{"gte":0}}}}}`, `{"n":1}`, `{"n":-1}`},
		{"step, order", `{"root":"` + oid(1).String() + `","in":{"child":{"order":["/body/n"],"limit":2}}}`, `{"n":1}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(cfg *Config) { cfg.Limits.Candidates = limit })
			w.commit("ann", parent(w)...)
			s := w.connect(graph.Principal{User: "bob"})
			s.sub("s", c.projection)
			if err := s.drain(); err != nil {
				t.Fatal(err)
			}
			candidates := w.present(c.projection)
			add := func(n int, access string) {
				body := c.body
				if c.other != "" && n%2 == 0 {
					body = c.other
				}
				w.commit("ann", w.object(oid(n), "Node", body, access), edge(eid(n), "child", oid(n), oid(1)))
			}
			// What the user may not read does not count, and what goes makes room.
			for n := 100; n < 100+2*limit; n++ {
				add(n, `{"read":{"users":{"ann":true}}}`)
			}
			for n := 200; n < 200+2*limit; n++ {
				add(n, everybody)
				w.commit("ann", remove(graph.EdgeRef(eid(n))), remove(graph.ObjectRef(oid(n))))
			}
			for n := 300; n < 300+limit-candidates; n++ {
				add(n, everybody)
			}
			if err := s.drain(); err != nil || s.errors["s"] != "" {
				t.Fatalf("within the limit: %v, %v", err, s.errors["s"])
			}
			add(400, everybody)
			add(401, everybody)
			if err := s.drain(); err != nil {
				t.Fatal(err)
			}
			if s.errors["s"] != graph.CodeTooLarge {
				t.Errorf("over the limit the view says %q", s.errors["s"])
			}
			s.sub("again", c.projection)
			if err := s.drain(); err != nil || s.errors["again"] != graph.CodeTooLarge {
				t.Errorf("asked for anew it says %q, %v", s.errors["again"], err)
			}
		})
	}
}

// present gives how many candidates the world begins with: its one
// object, where the roots are of its type.
func (w *world) present(projection string) int {
	proj, err := graph.ParseProjection([]byte(projection))
	if err != nil {
		w.t.Fatal(err)
	}
	if proj.Type == nil {
		return 0
	}
	return 1
}
