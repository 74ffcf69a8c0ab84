package pipeline_test

import (
	"fmt"
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch/pipeline"
)

// watched is a pipeline beside that of s which calls meanwhile in the middle of
// each of its dry runs.
func (s *system) watched(meanwhile func()) *pipeline.Pipeline {
	p := pipeline.New(pipeline.Config{Store: s.store, Replicas: s.set, Live: s.live, Observe: func(stage string) func() {
		if stage == "snapshot" {
			meanwhile()
		}
		return nil
	}})
	s.t.Cleanup(p.Stop)
	return p
}

func TestADryRunHoldsUpNobody(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds, other := s.dataStore(), s.dataStore()
	written := false
	p := s.watched(func() {
		s.do(ann, fmt.Sprintf(`[{"op":"replace","path":"/objects/%s/body/name","value":"meanwhile"}]`, other))
		written = true
	})
	res, err := p.DryRun(t.Context(), s.graph, &graph.Mutation{Author: ann, Patch: []byte(`[{"op":"replace","path":"/objects/` + ds + `/body/name","value":"x"}]`)})
	if err != nil || !res.OK || !written {
		t.Errorf("%+v, %v; written meanwhile: %v", res, err, written)
	}
}

func TestADryRunAnswersForOneVersion(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds := s.dataStore()
	change := func(name string) {
		s.do(ann, fmt.Sprintf(`[{"op":"replace","path":"/objects/%s/body/name","value":"%s"}]`, ds, name))
	}
	test := &graph.Mutation{Author: ann, Patch: []byte(`[{"op":"test","path":"/objects/` + ds + `/body/name","value":"n"},{"op":"replace","path":"/objects/` + ds + `/body/size","value":7}]`)}

	once := false
	p := s.watched(func() {
		if !once {
			once = true
			change("other")
		}
	})
	res, err := p.DryRun(t.Context(), s.graph, test)
	if err != nil || res.OK || len(res.Problems) != 1 || res.Problems[0].Code != graph.CodeTestFailed {
		t.Errorf("what was read has changed: %+v, %v", res, err)
	}

	change("n")
	n := 0
	p = s.watched(func() {
		n++
		s.do(ann, fmt.Sprintf(`[{"op":"replace","path":"/objects/%s/body/size","value":%d}]`, ds, 100+n))
	})
	if _, err = p.DryRun(t.Context(), s.graph, test); graph.CodeOf(err) != graph.CodeUnavailable {
		t.Errorf("a graph that never holds still: %v", err)
	}
}

func TestADryRunMissesARequiredEdgeThatWasTakenFromWhatGoes(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds := s.dataStore()
	rec, edge := s.record(ds)
	for _, text := range []string{
		`[{"op":"remove","path":"/edges/` + edge + `"},{"op":"remove","path":"/objects/` + ds + `"}]`,
		`[{"op":"remove","path":"/objects/` + ds + `"},{"op":"remove","path":"/edges/` + edge + `"}]`,
	} {
		s.refused(admin, "edge-required /objects/"+rec, text)
		res, err := s.DryRun(t.Context(), s.graph, &graph.Mutation{Author: admin, Patch: []byte(text)})
		if err != nil || res.OK || len(res.Problems) != 1 || res.Problems[0].Code != graph.CodeEdgeRequired {
			t.Errorf("%s: a dry run says %+v, %v", text, res, err)
		}
	}
}
