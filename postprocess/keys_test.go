package postprocess

import (
	"strings"
	"testing"

	"github.com/graphtide/graphtide/graph"
)

// In one attempt a key stands for one patch: a second one is not dropped without
// a word. The next attempt may come with another patch; the first one counts.
func TestAKeyStandsForOnePatchOfAnAttempt(t *testing.T) {
	t.Parallel()
	s := setup(t, `graphtide: 1
types:
  Thing: {open: true, access: {read: [public], write: [public]}}
rules:
  twice:
    on: {object: Thing, events: [create]}
    handler: {script: h.js}
    retries: 1
scripts:
  h.js: |
    export default (e, graph) => {
      const set = (name, value) => [{op: 'add', path: '/objects/' + e.entity + '/body/' + name, value}]
      graph.patch(set('a', e.attempt), {key: 'k'})
      if (e.attempt === 1) {
        graph.patch(set('a', 1), {key: 'k'})
        graph.patch(set('b', 1), {key: 'k'})
      }
      return {patch: set('done', true)}
    }
`, nil)
	id, _ := s.create("Thing", `{}`)
	body := s.waitBody(id, func(b map[string]any) bool { return b["done"] == true })
	if body["a"] != 1.0 || body["b"] != nil {
		t.Errorf("the object is %v; want what the first attempt wrote first", body)
	}
	runs := s.waitState("twice", graph.RunSucceeded)
	_, hops, err := s.runs.Run(t.Context(), runs[0].Graph, runs[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hops {
		if h.Error != nil && strings.Contains(h.Error.Message, "used for another patch") {
			return
		}
	}
	t.Errorf("no attempt was told of the key: %+v", hops)
}
