package postprocess

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

func TestAChangeAlwaysNamesTheSameRun(t *testing.T) {
	t.Parallel()
	ref := graph.ObjectRef(graph.ObjectID{1})
	base := runID(1, "e", 5, graph.RunRule, "r", ref)
	if base != runID(1, "e", 5, graph.RunRule, "r", ref) {
		t.Fatal("the id differs from call to call")
	}
	for name, other := range map[string]string{
		"graph": runID(2, "e", 5, graph.RunRule, "r", ref), "epoch": runID(1, "f", 5, graph.RunRule, "r", ref),
		"version": runID(1, "e", 6, graph.RunRule, "r", ref), "kind": runID(1, "e", 5, graph.RunOperation, "r", ref),
		"rule": runID(1, "e", 5, graph.RunRule, "q", ref), "entity": runID(1, "e", 5, graph.RunRule, "r", graph.EdgeRef(graph.EdgeID{1})),
	} {
		if other == base {
			t.Errorf("another %s gives the same run", name)
		}
	}
	if k := writeKey(base, "1"); k == base || k != writeKey(base, "1") || k == writeKey(base, "2") {
		t.Error("the keys of a run's transactions are not told apart")
	}
}

func TestTokensNameTheirRunAndCannotBeGuessed(t *testing.T) {
	t.Parallel()
	run := runID(1, "e", 5, graph.RunRule, "r", graph.ObjectRef(graph.ObjectID{1}))
	a, hashA := newToken(run)
	b, hashB := newToken(run)
	got, hash, ok := tokenRun(a)
	if !ok || got != run || !sameHash(hash, hashA) || sameHash(hash, hashB) || a == b || sameHash(nil, nil) {
		t.Fatalf("token %s names %s", a, got)
	}
}

func FuzzTokenRun(f *testing.F) {
	tok, _ := newToken("6b1c1f0e-6f0a-5f5e-9d0c-9a6a1b8f3d57")
	f.Add(tok)
	f.Add(graph.RunTokenPrefix)
	f.Fuzz(func(t *testing.T, s string) {
		run, hash, ok := tokenRun(s)
		if !ok {
			return
		}
		if _, isID := graph.ParseObjectID(run); !isID || len(hash) != 32 {
			t.Fatalf("%q names %q", s, run)
		}
	})
}

func FuzzReadReport(f *testing.F) {
	f.Add([]byte(`{"status":{"message":"a","progress":0.5}}`))
	f.Add([]byte(`{"complete":{"result":null,"patch":[]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		rep, err := readReport(body)
		if err == nil && rep.Status == nil && rep.Warn == nil && rep.Fail == nil && rep.Complete == nil {
			t.Fatalf("%q says nothing", body)
		}
		if err != nil && graph.CodeOf(err) == graph.CodeInternal {
			t.Fatalf("%q gave %v", body, err)
		}
	})
}

func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte(`{"patch":[{"op":"test"}],"result":1}`))
	f.Add([]byte("\xff\x00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		out, err := readAnswer(raw)
		if err == nil && out.patch != nil && out.patch[0] != '[' {
			t.Fatalf("%q gave the patch %s", raw, out.patch)
		}
		if out.raw != nil && !json.Valid(out.raw) {
			t.Fatalf("%q is recorded as %q", raw, out.raw)
		}
	})
}

func TestWhatIsRecordedIsStorable(t *testing.T) {
	t.Parallel()
	long := `"` + strings.Repeat("x", recordBytes) + `"`
	for _, raw := range []string{`{"a":1}`, `"\u0000"`, "\x00\xff", `{"a":1,"a":2}`, `"\ud800"`, long, `not json`} {
		got := storable([]byte(raw))
		if err := patch.Check(got, patch.JSONLimits{}); err != nil || len(got) > 2*recordBytes {
			t.Errorf("%.20q is recorded as %.40q (%d bytes): %v", raw, got, len(got), err)
		}
	}
	if storable(nil) != nil {
		t.Error("nothing is recorded as something")
	}
}

func TestRetriesComeAtDoublingTimes(t *testing.T) {
	t.Parallel()
	s := &Service{cfg: Config{RetryDelay: time.Second}}
	for left, want := range map[int]time.Duration{5: time.Second, 4: 2 * time.Second, 3: 4 * time.Second, 2: 8 * time.Second, 1: 16 * time.Second} {
		d := s.delay(&graph.Run{Retries: 5, RetriesLeft: left})
		if d < want || d > want+want/10+1 {
			t.Errorf("with %d retries left the pause is %v, want %v and a little", left, d, want)
		}
	}
	if d := s.delay(&graph.Run{Retries: 100}); d > maxDelay+maxDelay/10+1 {
		t.Errorf("the pause grows to %v", d)
	}
}

func TestImportedCommitsFireNothing(t *testing.T) {
	t.Parallel()
	m := &matcher{}
	got, err := m.match(t.Context(), []*graph.Commit{{Version: 1, SchemaVer: 1, Cause: graph.Cause{Kind: graph.CauseImport}}})
	if err != nil || len(got.runs) != 0 {
		t.Fatalf("matched %v, %v", got, err)
	}
}
