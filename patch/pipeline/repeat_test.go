package pipeline_test

import (
	"context"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/memstore"
)

// A client may write a patch anew from what it holds: another JSON library,
// another notation, the same patch.
func TestAKeyKnowsItsPatchInAnyNotation(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ds := id()
	p := `[{"op":"add","path":"/objects/` + ds + `","value":{"type":"DataStore","body":{"name":"é","size":1}}}]`
	v := s.do(ann, p, key("k"))
	same := map[string]string{
		"white space":       strings.ReplaceAll(p, ":", " :\n"),
		"escapes":           strings.ReplaceAll(p, "é", `\u00e9`),
		"an escaped slash":  strings.ReplaceAll(p, "/objects", `\/objects`),
		"a number":          strings.ReplaceAll(p, `"size":1`, `"size":10.0e-1`),
		"order":             `[{"value":{"body":{"size":1,"name":"é"},"type":"DataStore"},"path":"/objects/` + ds + `","op":"add"}]`,
		"an ignored member": strings.ReplaceAll(p, `"op"`, `"from":"/x","note":[1],"op"`),
		"the id in capital": strings.ReplaceAll(p, ds, strings.ToUpper(ds)),
	}
	for what, text := range same {
		if r, err := s.try(ann, text, key("k")); err != nil || !r.Replayed || r.Version != v {
			t.Errorf("%s: %+v %v", what, r, err)
		}
	}
	entity := func(m *graph.Mutation) { m.Key, m.Prefix = "k", "/objects/"+ds }
	if r, err := s.try(ann, strings.ReplaceAll(p, "/objects/"+ds, ""), entity); err != nil || !r.Replayed {
		t.Errorf("by the object's own route: %+v %v", r, err)
	}
	for what, text := range map[string]string{
		"a number":     strings.ReplaceAll(p, `"size":1`, `"size":2`),
		"a type":       strings.ReplaceAll(p, `"size":1`, `"size":"1"`),
		"a string":     strings.ReplaceAll(p, "é", "e"),
		"one op more":  p[:len(p)-1] + "," + p[1:],
		"another path": strings.ReplaceAll(p, ds, id()),
		"nothing":      `[]`,
	} {
		if err := s.refused(ann, "mutation-conflict", text, key("k")); err == nil {
			t.Errorf("%s is taken for the same patch", what)
		}
	}
}

// older keeps with a key what servers kept before: the hash of the patch's text.
type older struct{ graph.Store }

func (o older) Append(ctx context.Context, b *graph.Batch) (graph.AppendResult, error) {
	for _, c := range b.Commits {
		sum := sha256.Sum256(append([]byte{0}, c.Asked...))
		c.Hash = sum[:16]
	}
	return o.Store.Append(ctx, b)
}

func TestAKeyOfAnOlderServerKnowsItsPatch(t *testing.T) {
	t.Parallel()
	s := setupOn(t, older{memstore.New()}, graph.Limits{})
	p := `[{"op":"add","path":"/objects/` + id() + `","value":{"type":"DataStore","body":{"name":"a"}}}]`
	v := s.do(ann, p, key("k"))
	if r, err := s.try(ann, p, key("k")); err != nil || !r.Replayed || r.Version != v {
		t.Errorf("%+v %v", r, err)
	}
	s.refused(ann, "mutation-conflict", strings.ReplaceAll(p, `"a"`, `"b"`), key("k"))
}
