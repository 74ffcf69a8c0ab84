package patch

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
)

// sharedCase is one of testdata/cases.json, which the tests of the JavaScript
// client read too. Exact marks those that a client with doubles cannot tell.
type sharedCase struct {
	Comment  string
	Doc      json.RawMessage
	Patch    json.RawMessage
	Expected json.RawMessage
	Error    string
	Exact    bool
}

func sharedCases(t testing.TB) []sharedCase {
	t.Helper()
	text, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	if e := Check(text, JSONLimits{}); e != nil {
		t.Fatal(e)
	}
	// Decoding by hand keeps a `null` document apart from none.
	var raw []map[string]json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	cases := make([]sharedCase, len(raw))
	for i, m := range raw {
		c := sharedCase{Doc: Compact(m["doc"]), Patch: m["patch"], Expected: m["expected"], Exact: m["exact"] != nil}
		if err := json.Unmarshal(m["comment"], &c.Comment); err != nil {
			t.Fatal(err)
		}
		if m["error"] != nil {
			if err := json.Unmarshal(m["error"], &c.Error); err != nil {
				t.Fatal(err)
			}
		}
		if (c.Error == "") == (c.Expected == nil) {
			t.Fatalf("%s: has to have expected or error", c.Comment)
		}
		cases[i] = c
	}
	return cases
}

func TestSharedCases(t *testing.T) {
	t.Parallel()
	ways := map[string]func([]byte, []Op, JSONLimits) ([]byte, *Error){
		"apply": Apply, "splice": applySplice, "tree": applyTree,
	}
	for _, c := range sharedCases(t) {
		t.Run(c.Comment, func(t *testing.T) {
			t.Parallel()
			ops, perr := Parse(c.Patch, 0)
			for name, apply := range ways {
				if perr == nil && len(ops) == 0 && name != "apply" {
					continue // nothing to do is decided before the ways part
				}
				doc := bytes.Clone(c.Doc)
				var got []byte
				e := perr
				if e == nil {
					got, e = apply(doc, ops, JSONLimits{})
				}
				if !bytes.Equal(doc, c.Doc) {
					t.Errorf("%s changed its input: %s", name, doc)
				}
				if c.Error != "" {
					if e == nil || e.Reason.String() != c.Error {
						t.Errorf("%s: got %s, %v, want %s", name, got, e, c.Error)
					}
					continue
				}
				if e != nil {
					t.Errorf("%s: %v", name, e)
					continue
				}
				if !Equal(got, c.Expected) {
					t.Errorf("%s: got %s, want %s", name, got, c.Expected)
				}
				if e := Check(got, JSONLimits{}); e != nil {
					t.Errorf("%s: result is refused: %v", name, e)
				}
				if c := Compact(got); !bytes.Equal(c, got) {
					t.Errorf("%s: result is not compact: %s", name, got)
				}
			}
		})
	}
}
