package pipeline_test

import (
	"testing"

	"github.com/graphtide/graphtide/graph"
)

// A body, or an access, may be away between two operations: what counts is the
// state after the last one.
func TestAPartThatIsRemovedAndAddedAgain(t *testing.T) {
	t.Parallel()
	s := setup(t)
	const types = "  Free: {open: true, access: {read: [public], write: [public]}, edges: {out: {k: {to: Free, body: {properties: {n: {type: integer}}}}}, in: {k: {from: Free, as: ks}}}}\n"
	s.put(types)
	o := s.create(ann, "Free", `{"a":1,"b":{"c":2}}`)
	e := s.join("k", o, o)
	at, edge := "/objects/"+o, "/edges/"+e
	remove := func(path string) string { return `{"op":"remove","path":"` + path + `"}` }
	add := func(path, value string) string {
		return `{"op":"add","path":"` + path + `","value":` + value + `}`
	}
	seen := s.head()
	for _, mode := range [][]mutate{nil, {base(seen)}} {
		for _, c := range []struct{ ops, want string }{
			{remove(at + "/body"), "schema " + at + "/body"},
			{remove(edge + "/body"), "schema " + edge + "/body"},
			{remove(at + "/access"), "schema " + at + "/access"},
			{add(at+"/body", `{}`) + "," + remove(at+"/body"), "schema " + at + "/body"},
			{remove(at+"/body") + "," + add(at+"/body/a", "1"), "path-missing"},
			{remove(at+"/body") + `,{"op":"replace","path":"` + at + `/body","value":{}}`, "path-missing " + at + "/body"},
			{remove(at+"/body") + `,{"op":"test","path":"` + at + `/body","value":{}}`, "path-missing " + at + "/body"},
			{remove(at+"/body") + `,{"op":"copy","from":"` + at + `/body","path":"` + at + `/body"}`, "path-missing"},
			{remove(at+"/body") + "," + remove(at+"/body"), "path-missing " + at + "/body"},
			{remove(at+"/body") + "," + add(at+"/body", "1"), "schema " + at + "/body"},
			{remove(at+"/access") + "," + add(at+"/access", `{"none":{}}`), "schema " + at + "/access/none"},
		} {
			s.refused(ann, c.want, "["+c.ops+"]", mode...)
			res, err := s.DryRun(t.Context(), s.graph, &graph.Mutation{Author: ann, Patch: []byte("[" + c.ops + "]")})
			if err != nil || res.OK || len(res.Problems) != 1 {
				t.Errorf("%s: a dry run tells %v %v", c.ops, res.Problems, err)
			}
		}
	}
	s.do(ann, "["+add(at+"/body/z", "0")+","+remove(at+"/body")+","+add(at+"/body", `{"d":4}`)+","+add(at+"/body/e", "5")+"]")
	if got := string(s.object(o).Body); got != `{"d":4,"e":5}` {
		t.Errorf("body %s", got)
	}
	s.do(ann, "["+remove(at+"/body")+","+add(at+"/body", `{"d":5}`)+"]", base(s.head()))
	if got := string(s.object(o).Body); got != `{"d":5}` {
		t.Errorf("body %s", got)
	}
	s.do(ann, "["+remove(edge+"/body")+","+remove(at+"/access")+","+add(edge+"/body", `{"n":1}`)+","+
		add(at+"/access", `{"read":{"public":true},"manage":{"users":{"ann":true}}}`)+"]")
	if got := string(s.edge(e).Body); got != `{"n":1}` {
		t.Errorf("body of the edge %s", got)
	}
	if got := string(s.object(o).Access.Raw); got != `{"read":{"public":true},"manage":{"users":{"ann":true}}}` {
		t.Errorf("access %s", got)
	}
	head := s.head()
	s.do(ann, "["+remove(at+"/body")+","+add(at+"/body", `{"d":5.0}`)+"]")
	if s.head() != head {
		t.Error("the same body again made a commit")
	}
	s.do(ann, "["+remove(at+"/body")+","+remove(at)+"]")
	s.replays()
}
