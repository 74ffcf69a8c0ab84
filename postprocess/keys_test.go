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

// What changed nothing is no commit, so the next attempt's write under the same
// key is not taken for a repetition; nor does a refusal use a key up.
func TestAWriteWithoutEffectAndARefusalUseNoKeyUp(t *testing.T) {
	t.Parallel()
	s := setup(t, `graphtide: 1
types:
  Thing: {open: true, access: {read: [public], write: [public]}}
rules:
  again:
    on: {object: Thing, events: [create]}
    handler: {script: h.js}
    retries: 1
scripts:
  h.js: |
    export default (e, graph) => {
      const at = '/objects/' + e.entity + '/body/total'
      if (e.attempt === 1) {
        graph.patch([{op: 'replace', path: at, value: 5}], {key: 'sum'})
        throw new Error('once more')
      }
      graph.patch([{op: 'replace', path: at, value: 7}], {key: 'sum'})
      try {
        graph.patch([{op: 'test', path: at, value: 1}, {op: 'replace', path: at, value: 8}], {key: 'guarded'})
      } catch (refused) {
        graph.patch([{op: 'replace', path: at, value: 9}], {key: 'guarded'})
      }
    }
`, nil)
	id, _ := s.create("Thing", `{"total":5}`)
	s.waitState("again", graph.RunSucceeded)
	if body := s.body(id); body["total"] != 9.0 {
		t.Errorf("the object is %v", body)
	}
	var values []string
	for _, c := range s.log()[1:] {
		values = append(values, string(c.Done))
	}
	if len(values) != 2 || !strings.Contains(values[0], "7") || !strings.Contains(values[1], "9") {
		t.Errorf("the commits are %v", values)
	}
}
