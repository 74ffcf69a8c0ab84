package fanout

import (
	"encoding/json"
	"slices"
	"testing"
)

// A delta names the commits that it is due to, those too that touched nothing in it: whoever
// made one of them drops it from what he shows ahead in the same step.
func TestADeltaNamesTheCommitThatTookARightAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.commit("ann", w.object(oid(1), "Node", `{}`, everybody), w.object(oid(3), "Node", `{}`, everybody),
		w.object(oid(2), "Node", `{}`, `{"read":{"inherit":{"up":true}}}`),
		edge(eid(1), "child", oid(2), oid(1)), edge(eid(2), "up", oid(2), oid(3)))
	c := w.connect(bob)
	c.sub("s1", childrenOf1)
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	made := w.commit("bob", grant(oid(3), `{"manage":{"users":{"ann":true}}}`))
	c.s.relay.settle()
	var told []string
	for _, p := range c.s.collect().parts {
		for _, text := range p.texts {
			var m frameMessage
			if err := json.Unmarshal(text, &m); err != nil {
				t.Fatal(err)
			}
			told = append(told, m.Mutations...)
		}
	}
	if want := []string{made.Mutation}; !slices.Equal(told, want) {
		t.Errorf("told of %v, want %v", told, want)
	}
}
