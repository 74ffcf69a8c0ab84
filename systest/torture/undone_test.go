package torture

import (
	"fmt"
	"slices"
	"testing"
)

const (
	removed  = `[{"op":"remove","path":"/edges/` + edge + `"},{"op":"remove","path":"/objects/` + inner + `"}]`
	restored = `[{"op":"add","path":"/objects/` + inner + `","value":{"type":"Cell","body":{"n":0},"access":{"read":{"inherit":{"on":true}}}}},
		{"op":"add","path":"/edges/` + edge + `","value":{"label":"on","from":"` + inner + `","to":"` + board + `"}}]`
)

// undoneBy has somebody undo versions: as patch says, or without a commit where that
// is "".
func (x *trial) undoneBy(who principal, patch string, versions ...int) *record {
	x.t.Helper()
	r := x.w.journal.begins(newID(), who.user, op{text: "{}", undo: versions}, x.n)
	x.w.journal.sends(r, who, 0)
	if patch != "" {
		x.logged(r, decoded(x.t, patch))
		c := x.w.log.commits[len(x.w.log.commits)-1]
		c.cause, c.causedBy = "revert", versions[0]
	}
	x.w.journal.acknowledged(r, x.n)
	return r
}

func TestWhatAnUndoMayDo(t *testing.T) {
	t.Parallel()
	rank := func(n int) string {
		return fmt.Sprintf(`[{"op":"add","path":"/objects/%s/body/rank","value":%d}]`, board, n)
	}
	unranked := `[{"op":"remove","path":"/objects/` + board + `/body/rank"}]`
	for _, c := range []struct {
		name    string
		commits []string // from version 2
		patch   string   // of the undo of version 2
		broken  string
	}{
		{"a removal comes back", []string{removed}, restored, ""},
		{"a removal comes back in part", []string{removed}, restored[:len(restored)-len(`,
		{"op":"add","path":"/edges/`+edge+`","value":{"label":"on","from":"`+inner+`","to":"`+board+`"}}]`)] + "]", "H4 undo"},
		{"a change is taken back", []string{set(1)}, set(0), ""},
		{"a change is taken back to something else", []string{set(1)}, set(7), "H4 undo"},
		{"what others did beside it stays", []string{set(1), rank(4)}, set(0), ""},
		{"what others did beside it goes as well", []string{set(1), rank(4)}, set(0)[:len(set(0))-1] + "," + unranked[1:], "H4 undo"},
		{"what others did to it is overwritten", []string{set(1), set(2)}, set(0), "H4 undo"},
		{"what others did to it and took back", []string{set(1), set(2), set(1)}, set(0), ""},
		{"what was added is taken out", []string{rank(4)}, unranked, ""},
		{"others did it before, and it is told as done", []string{set(1), set(0)}, "", "W2 durable"},
		{"something to undo, and nothing done", []string{set(1)}, "", "W2 durable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x := newTrial(t)
			for _, p := range c.commits {
				x.commit(root, p)
			}
			x.undoneBy(root, c.patch, 2)
			x.j.round()
			var want []string
			if c.broken != "" {
				want = []string{c.broken}
			}
			v := x.w.verdict(0)
			if got := v.Broken(); !slices.Equal(got, want) {
				t.Errorf("found %q, want %q: %v", got, want, v.Violations)
			}
		})
	}
}

func TestAnUndoOfNothing(t *testing.T) {
	t.Parallel()
	x := newTrial(t)
	x.commit(root, restoredAs(newID()))
	made := x.w.log.commits[1].patch[0].(map[string]any)["path"].(string)
	x.commit(root, `[{"op":"remove","path":"`+made+`"}]`)
	x.undoneBy(root, "", 2)
	x.judged()
}

func restoredAs(id string) string {
	return `[{"op":"add","path":"/objects/` + id + `","value":{"type":"Board","body":{},"access":{"read":{"public":true}}}}]`
}

// A conflict names a later version that did something to what is to be undone.
func TestAConflictThatIsNone(t *testing.T) {
	t.Parallel()
	path := "/objects/" + board + "/body/n"
	for name, c := range map[string]struct {
		conflict conflict
		broken   bool
	}{
		"the one":                  {conflict{path, 3}, false},
		"above it":                 {conflict{"/objects/" + board + "/body", 3}, false},
		"what is to be undone":     {conflict{path, 2}, true},
		"what did something else":  {conflict{path, 4}, true},
		"another object":           {conflict{"/objects/" + inner, 3}, true},
		"another place":            {conflict{"/objects/" + board + "/body/rank", 4}, true},
		"a version that never was": {conflict{path, 9}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newTrial(t)
			x.commit(root, set(1))
			x.commit(ann, set(2))
			x.commit(ann, `[{"op":"add","path":"/objects/`+board+`/body/rank","value":1}]`)
			r := x.w.journal.begins(newID(), "root", op{text: "{}", undo: []int{2}}, x.n)
			x.w.journal.sends(r, root, 0)
			x.w.journal.refusedWith(r, refused{root, "undo-conflict", -1, 4, at(4), []conflict{c.conflict}})
			if c.broken {
				x.judged("W6 justified")
			} else {
				x.judged()
			}
		})
	}
}

func TestAnUndoByWhoHadNoRightToIt(t *testing.T) {
	t.Parallel()
	x := newTrial(t)
	x.commit(root, removed)
	x.undoneBy(ann, restored, 2)
	x.judged("W4 strict order")
}

// A transaction without effect was answered with the version of another.
func TestAnUndoThatNamesWhatHadNoEffect(t *testing.T) {
	t.Parallel()
	for code, broken := range map[string]bool{"not-found": false, "forbidden": true} {
		for _, mine := range []bool{false, true} {
			t.Run(fmt.Sprint(code, mine), func(t *testing.T) {
				t.Parallel()
				x := newTrial(t)
				c := x.commit(root, set(1))
				name := newID()
				if mine {
					name = c.id
				}
				r := x.w.journal.begins(newID(), "root", op{text: "{}", undo: []int{2}, named: []string{name}}, x.n)
				x.w.journal.sends(r, root, 0)
				x.w.journal.refusedWith(r, refused{root, code, -1, 2, at(2), nil})
				if broken || mine {
					x.judged("W6 justified")
				} else {
					x.judged()
				}
			})
		}
	}
}
