package schema_test

import (
	"strings"
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/schema"
)

func TestAnEdgeNeedsBothSides(t *testing.T) {
	t.Parallel()
	r := compile(t, `
types:
  Base: {edges: {in: {likes: {from: [A, C], as: fans}}}}
  B: {extends: Base}
  A: {edges: {out: {likes: {to: Base}, hates: {to: B}, owns: {to: [B, C]}}}}
  A2: {extends: A}
  C: {edges: {in: {owns: {from: A2}, hates: {from: B}}}}
`)
	for edge, side := range map[string]string{
		"likes A Base": "", "likes A B": "", "likes A2 B": "", // subtypes on both ends
		"likes C B":                 "from", // C is welcome, but does not declare it
		"likes A C":                 "both",
		"hates A B":                 "to",
		"hates A C":                 "both", // each side declares the label, for others
		"owns A2 C":                 "",
		"owns A C":                  "to",
		"owns A2 B":                 "to",
		"owns B C":                  "both",
		"x A B":                     "both",
		"likes A X":                 "both",
		"target OperationRequest B": "",
		"target A B":                "both",
	} {
		p := strings.Fields(edge)
		out, in, err := r.EdgeBetween(p[0], p[1], p[2])
		switch {
		case side == "" && (err != nil || out == nil || in == nil):
			t.Errorf("%s: %v", edge, err)
		case side != "" && (err == nil || err.Code != graph.CodeEdgeNotAllowed || err.Side != side || out != nil || in != nil):
			t.Errorf("%s: got %v, want side %s", edge, err, side)
		}
	}
}

func TestEdgeDeclarationsAreComplete(t *testing.T) {
	t.Parallel()
	r := workbook(t)
	out, in, err := r.EdgeBetween("dataStore", "Record", "DataStore")
	if err != nil {
		t.Fatal(err)
	}
	if out.Max != 1 || !out.Required || out.OnDelete != schema.Cascade || out.Needs != "write" || out.Owner != "Record" || out.As != "" || out.HasBody {
		t.Errorf("got %+v", out)
	}
	if in.Max != 0 || in.Required || in.OnDelete != schema.Unlink || in.Needs != "write" || in.As != "records" {
		t.Errorf("got %+v", in)
	}
	if req := r.TypeOf("Record").Required; len(req) != 1 || req[0] != out {
		t.Errorf("the required edges of Record are %v", req)
	}
	_, in, err = r.EdgeBetween("about", "Comment", "DataStore")
	if err != nil || in.Needs != "comment" {
		t.Errorf("got %+v, %v", in, err)
	}
}

func TestChildrenNarrowEdges(t *testing.T) {
	t.Parallel()
	r := compile(t, `
types:
  B: {edges: {in: {x: {from: P}}}}
  B2: {extends: B}
  P: {edges: {out: {x: {to: B, max: 3, whenFull: replace}}}}
  C: {extends: P, edges: {out: {x: {to: B2, max: 1, required: true, onDelete: restrict}}}}
`)
	if _, _, err := r.EdgeBetween("x", "C", "B"); err == nil || err.Side != "from" {
		t.Errorf("got %v", err)
	}
	out, _, err := r.EdgeBetween("x", "C", "B2")
	if err != nil || out.Max != 1 || !out.Required || out.Replace || out.OnDelete != schema.Restrict {
		t.Errorf("got %+v, %v", out, err)
	}
	if out, _, _ = r.EdgeBetween("x", "P", "B"); out == nil || out.Max != 3 || !out.Replace {
		t.Errorf("got %+v", out)
	}
}

func TestEdgeBodiesAreThoseOfEitherSide(t *testing.T) {
	t.Parallel()
	r := compile(t, `
types:
  A: {edges: {out: {none: {to: B}, short: {to: B, body: {rank: {type: number, default: 1}}}, both: {to: B, body: {rank: {type: number}}}, free: {to: B, body: {open: true}}, shut: {to: B, body: {open: false}}}}}
  B:
    edges:
      in:
        none: {from: A}
        short: {from: A}
        free: {from: A}
        shut: {from: A}
        both: {from: A, body: {properties: {rank: {maximum: 5}, note: {type: string}}, required: [note]}}
`)
	for _, c := range []struct{ label, body, filled, want string }{
		{"none", ``, `{}`, ""},
		{"none", `{}`, `{}`, ""},
		{"none", `{"rank":1}`, `{"rank":1}`, "/rank"},
		{"short", ``, `{"rank":1}`, ""},
		{"short", `{"rank":"x"}`, `{"rank":"x"}`, "/rank"},
		{"short", `{"rnk":1}`, `{"rnk":1,"rank":1}`, "/rnk"},
		{"both", `{"rank":1,"note":"x"}`, `{"rank":1,"note":"x"}`, ""},
		{"both", `{"rank":9,"note":1}`, `{"rank":9,"note":1}`, "/rank /note"},
		{"both", `{}`, `{}`, "/note"},
		{"both", `[]`, `[]`, ""},
		{"free", `{"rank":1,"open":2}`, `{"rank":1,"open":2}`, ""},
		{"shut", `{"open":2}`, `{"open":2}`, "/open"},
	} {
		out, in, err := r.EdgeBetween(c.label, "A", "B")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time from the cache
			filled, _, violations := r.EdgeBody(out, in, []byte(c.body))
			var at []string
			for _, v := range violations {
				at = append(at, v.Path)
			}
			if string(filled) != c.filled || strings.Join(at, " ") != c.want || c.body == `[]` && len(violations) != 1 {
				t.Errorf("%s %s: got %s %v", c.label, c.body, filled, violations)
			}
		}
		if out.HasBody != (c.label != "none" && c.label != "shut") {
			t.Errorf("%s: HasBody is %t", c.label, out.HasBody)
		}
	}
}

func TestWhatIsHardlyMeantIsWarnedOf(t *testing.T) {
	t.Parallel()
	r := compile(t, `
types:
  A: {edges: {out: {x: {to: B}, z: {to: B, body: {rank: {type: number}, open: true}}}}}
  B: {edges: {in: {y: {from: A, needs: wirte}, z: {from: A, body: {open: {}}}}}}
rules:
  r: {on: {object: A}, handler: {script: a.js}}
projections:
  P: {args: {unused: {type: string}}, root: {type: A}}
`)
	var all []string
	for _, w := range r.Warnings {
		all = append(all, w.Path)
	}
	want := "/types/A/edges/out/x /types/A/edges/out/z/body/open /types/B/edges/in/y/needs /types/B/edges/in/y /rules/r/handler/script /projections/P/args/unused"
	got := strings.Join(all, " ")
	for _, path := range strings.Fields(want) {
		if !strings.Contains(" "+got+" ", " "+path+" ") {
			t.Errorf("no warning at %s; there are %s", path, got)
		}
	}
	if len(r.Warnings) != 6 {
		t.Errorf("%d warnings: %s", len(r.Warnings), got)
	}
	if w := workbook(t).Warnings; len(w) != 1 {
		t.Errorf("the example: %v", w)
	}
}

func TestTheBuiltInTypesOptInToTarget(t *testing.T) {
	t.Parallel()
	r := schema.Empty()
	o := r.TypeOf("OperationRequest")
	if r.Version != 0 || !r.TypeOf("Object").Abstract || o.Abstract || len(r.Types) != 2 {
		t.Fatalf("got %v", r.Types)
	}
	if o.Out["target"].Max != 1 || r.TypeOf("Object").In["target"].As != "operations" || r.TypeOf("Object").In["target"].Needs != "read" {
		t.Error("the target edge is wrong")
	}
	filled, _, err := o.FillDefaults([]byte(`{"operation":"x"}`))
	want := `{"operation":"x","params":{},"status":[],"progress":0,"done":false,"state":"pending","result":null,"error":null,"warnings":[],"cancel":false}`
	if err != nil || string(filled) != want {
		t.Errorf("got %s, %v", filled, err)
	}
	if v := o.Validate(filled, nil); v != nil {
		t.Errorf("got %v", v)
	}
	done := `{"operation":"x","params":{},"status":[{"at":"2026-01-01T00:00:00.000Z","level":"info","message":"m","progress":0.5}],"progress":null,"done":true,"state":"failed","result":[1],"error":{"code":"x"},"warnings":["w"],"cancel":true}`
	if v := o.Validate([]byte(done), nil); v != nil {
		t.Errorf("got %v", v)
	}
	if o.History.Snapshot != 20 {
		t.Errorf("history %+v", o.History)
	}
	acl, err := o.Access(nil, &graph.Principal{User: "ann"})
	if err != nil || !acl.Rights["read"].Users["ann"] || len(acl.Rights["read"].Inherit) != 2 || len(acl.Rights["write"].Inherit) != 2 {
		t.Errorf("got %s, %v", acl.Raw, err)
	}
}
