package torture

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/graphtide/graphtide/systest/plain"
)

// trial is a world without a deployment: a log, and what clients say of it.
type trial struct {
	t *testing.T
	w *world
	j *judge
	n int // commits so far
}

var root, ann = principal{user: "root", admin: true}, principal{user: "ann", org: "acme"}

// board and cell are the objects of a trial: the cell takes its rights from the board.
const (
	board = "00000000-0000-7000-8000-00000000000b"
	inner = "00000000-0000-7000-8000-00000000000c"
	edge  = "00000000-0000-7000-8000-00000000000e"
)

func newTrial(t *testing.T) *trial {
	t.Helper()
	j, err := newJournal(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.file.Close() })
	w := &world{graph: graphName, laws: newLaws(), ledger: newLedger(), journal: j, notes: newNotes()}
	w.log = &collector{w: w}
	w.things = newThings(w)
	w.things.queries = []query{newQuery(`{"root":{"type":"Board"},"in":{"on":{}}}`)}
	x := &trial{t: t, w: w, j: newJudge(w)}
	x.commit(root, `[{"op":"add","path":"/objects/`+board+`","value":{"type":"Board","body":{"n":0},"access":{"read":{"orgs":{"acme":true}},"write":{"public":true}}}},
		{"op":"add","path":"/objects/`+inner+`","value":{"type":"Cell","body":{"n":0},"access":{"read":{"inherit":{"on":true}}}}},
		{"op":"add","path":"/edges/`+edge+`","value":{"label":"on","from":"`+inner+`","to":"`+board+`"}}]`)
	return x
}

// at is the time of a version.
func at(v int) time.Time {
	return time.Unix(1_800_000_000, 0).Add(time.Duration(v) * time.Second).UTC()
}

func decoded(t *testing.T, text string) []any {
	t.Helper()
	v, err := plain.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v.([]any)
}

// commit has somebody ask for a transaction, puts it into the log, and tells.
func (x *trial) commit(who principal, patch string) *record {
	x.t.Helper()
	r := x.asked(who, patch)
	x.logged(r, decoded(x.t, patch))
	x.w.journal.acknowledged(r, x.n)
	return r
}

func (x *trial) asked(who principal, patch string) *record {
	x.t.Helper()
	r := x.w.journal.begins(newID(), who.user, op{text: patch, patch: decoded(x.t, patch)}, x.n)
	x.w.journal.sends(r, who, 0)
	return r
}

func (x *trial) logged(r *record, patch []any) {
	x.loggedAs(r.sent[0].who, r, patch)
}

// loggedAs has the database say who the author was.
func (x *trial) loggedAs(who principal, r *record, patch []any) {
	x.n++
	x.w.log.commits = append(x.w.log.commits, &commit{version: x.n, at: at(x.n).Format(time.RFC3339), time: at(x.n), by: r.user, mutation: r.id, patch: patch, author: who})
}

// judged gives the guarantees that the judge finds broken.
func (x *trial) judged(want ...string) {
	x.t.Helper()
	x.j.round()
	v := x.w.verdict(0)
	if got := v.Broken(); !slices.Equal(got, want) {
		x.t.Errorf("found %q, want %q: %v", got, want, v.Violations)
	}
}

func set(n int) string {
	return fmt.Sprintf(`[{"op":"replace","path":"/objects/%s/body/n","value":%d}]`, board, n)
}

func tested(n int) string {
	return fmt.Sprintf(`[{"op":"test","path":"/objects/%[1]s/body/n","value":%[2]d},{"op":"replace","path":"/objects/%[1]s/body/n","value":%[3]d}]`, board, n, n+1)
}

func TestASoundLogIsFoundSound(t *testing.T) {
	t.Parallel()
	x := newTrial(t)
	x.commit(root, tested(0))
	x.commit(ann, tested(1))
	r := x.asked(ann, tested(1))
	x.w.journal.refusedWith(r, refused{ann, "test-failed", 0, 2, at(3), nil})
	x.judged()
}

func TestWhatWasAcknowledgedAndIsMissing(t *testing.T) {
	t.Parallel()
	x := newTrial(t)
	x.w.journal.acknowledged(x.asked(root, set(1)), 2)
	x.judged("W2 durable")
}

func TestAnAnswerThatNamesAnotherVersion(t *testing.T) {
	t.Parallel()
	x := newTrial(t)
	x.w.journal.acknowledged(x.commit(root, set(1)), 3)
	x.judged("W2 durable")
}

func TestAKeyThatCommitsTwice(t *testing.T) {
	t.Parallel()
	x := newTrial(t)
	r := x.commit(root, set(1))
	x.logged(r, r.patch)
	x.judged("W3 exactly once", "W2 durable")
}

func TestACommitThatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	x := newTrial(t)
	x.logged(&record{id: newID(), user: "root", sent: []sending{{who: root}}}, decoded(t, set(1)))
	x.judged("W3 exactly once")
}

func TestALostUpdate(t *testing.T) {
	t.Parallel()
	x := newTrial(t)
	x.commit(root, tested(0))
	x.commit(ann, tested(0))
	x.judged("W4 strict order")
}

func TestACommitThatDidSomethingElse(t *testing.T) {
	t.Parallel()
	x := newTrial(t)
	r := x.asked(root, set(1))
	x.logged(r, decoded(t, set(2)))
	x.w.journal.acknowledged(r, x.n)
	x.judged("W4 strict order")
}

func TestAVersionBelowOneThatWasAcknowledgedBefore(t *testing.T) {
	t.Parallel()
	x := newTrial(t)
	r := x.asked(root, set(1))
	r.floor = 2
	x.logged(r, r.patch)
	x.w.journal.acknowledged(r, x.n)
	x.judged("W4 strict order")
}

func TestARefusalThatOnlyAnOldStateJustifies(t *testing.T) {
	t.Parallel()
	x := newTrial(t)
	x.commit(root, set(1))
	x.w.journal.refusedWith(x.asked(ann, tested(1)), refused{ann, "test-failed", 0, 2, at(2), nil})
	x.judged("W6 justified")
}

func TestARefusalOfAnotherKind(t *testing.T) {
	t.Parallel()
	x := newTrial(t)
	x.w.journal.refusedWith(x.asked(root, set(1)), refused{root, "test-failed", 0, 1, at(1), nil})
	x.judged("W7 neighbours")
}

func TestARefusalThatWasCommitted(t *testing.T) {
	t.Parallel()
	x := newTrial(t)
	r := x.asked(root, tested(7))
	x.w.journal.refusedWith(r, refused{root, "test-failed", 0, 1, at(1), nil})
	r.patch = decoded(t, tested(0))
	x.logged(r, r.patch)
	x.judged("W6 justified")
}

func TestAnAnswerThatNeverCame(t *testing.T) {
	t.Parallel()
	x := newTrial(t)
	x.asked(root, set(1))
	x.judged("W8 known outcome")
}

// revoked takes ann's right to read the board, and so the cell, at version 2.
func (x *trial) revoked() {
	x.commit(root, `[{"op":"add","path":"/objects/`+board+`/access/read","value":{"orgs":{"other":true}}}]`)
}

func TestWhatIsSeenAfterARevocation(t *testing.T) {
	t.Parallel()
	x := newTrial(t)
	x.revoked()
	who := []int{x.w.notes.as(ann)}
	x.w.notes.seen(sighting{lo: 1, who: who, objects: []string{board, inner}, edges: []string{edge}})
	x.judged()
	x = newTrial(t)
	x.revoked()
	who = []int{x.w.notes.as(ann)}
	x.w.notes.seen(sighting{lo: 2, who: who, objects: []string{inner}})
	x.judged("S12 no leak")
	x = newTrial(t)
	x.revoked()
	who = []int{x.w.notes.as(ann)}
	x.w.notes.seen(sighting{lo: 2, by: at(2), who: who, edges: []string{edge}})
	x.judged("S12 no leak")
}

func TestACopyThatIsNotWhatItsUserMaySee(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		at   int
		want []string
	}{{1, nil}, {2, []string{"S7 convergent"}}} {
		x := newTrial(t)
		x.revoked()
		m := newModel()
		if err := m.apply(x.w.log.commits[0]); err != nil {
			t.Fatal(err)
		}
		all := m.walk(ann, x.w.things.queries[0])
		if len(all.objects) != 2 || len(all.edges) != 1 {
			t.Fatalf("the model shows %v", all)
		}
		x.w.notes.copied(copied{at: c.at, who: []int{x.w.notes.as(ann)}, sum: all.sum(), digest: all.digest()})
		x.judged(c.want...)
	}
}

func TestAVersionBeyondTheLog(t *testing.T) {
	t.Parallel()
	x := newTrial(t)
	x.w.notes.copied(copied{at: 9, who: []int{x.w.notes.as(ann)}})
	x.judged("S1 ordered")
}

func TestWhatACopyRefusesToTake(t *testing.T) {
	t.Parallel()
	entity := func(v int) map[string]any {
		return map[string]any{"type": "Board", "body": map[string]any{}, "meta": map[string]any{"version": number(v)}}
	}
	change := func(was, to int) map[string]any {
		return map[string]any{"was": number(was), "version": number(to), "patch": []any{}, "meta": map[string]any{"version": number(to)}}
	}
	for name, c := range map[string]struct {
		id    string
		entry map[string]any
		want  string
	}{
		"the next":          {board, change(3, 5), ""},
		"one left out":      {board, change(4, 5), "S2 gap-free"},
		"one again":         {board, change(2, 3), "S3 unique"},
		"of one not held":   {inner, change(3, 5), "S2 gap-free"},
		"entered again":     {board, map[string]any{"enter": entity(5)}, "S3 unique"},
		"entered":           {inner, map[string]any{"enter": entity(5)}, ""},
		"left":              {board, map[string]any{"leave": "deleted"}, ""},
		"left, not held":    {inner, map[string]any{"leave": "deleted"}, "S3 unique"},
		"beyond its frame":  {board, change(3, 6), "S1 ordered"},
		"something unknown": {board, map[string]any{}, "S2 gap-free"},
	} {
		h := newHeld()
		h.put("objects", board, entity(3))
		got := ""
		if f := h.take("objects", c.id, c.entry, 5); f != nil {
			got = f.check
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestRightsOfTheModel(t *testing.T) {
	t.Parallel()
	x := newTrial(t)
	x.j.round()
	m := x.j.model
	stranger, creator := principal{user: "eve"}, principal{user: "root"}
	for _, c := range []struct {
		who       principal
		id, right string
		want      bool
	}{
		{root, board, "manage", true}, {ann, board, "read", true}, {ann, board, "write", true}, {ann, board, "manage", false},
		{ann, inner, "read", true}, {ann, inner, "write", false}, {stranger, board, "read", false}, {stranger, board, "write", false},
		{stranger, inner, "read", false}, {ann, edge, "read", false},
	} {
		if got := m.holds(c.who, c.id, c.right); got != c.want {
			t.Errorf("%s may %s %s: %v", c.who, c.right, c.id, got)
		}
	}
	// Where there is nothing to inherit from, the creator takes its place.
	m.put("edges", edge, nil)
	if !m.holds(creator, inner, "read") || m.holds(ann, inner, "read") {
		t.Error("an object without a parent is its creator's")
	}
}

func TestACommitWhoseAuthorHadNoRightToIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		who   principal
		patch string
	}{
		"a change":             {ann, set(1)},
		"a change of access":   {principal{user: "bob", org: "other"}, `[{"op":"add","path":"/objects/` + board + `/access/write","value":{}}]`},
		"the end of an object": {ann, `[{"op":"remove","path":"/objects/` + board + `"}]`},
		"the end of an edge":   {ann, `[{"op":"remove","path":"/edges/` + edge + `"}]`},
		"an edge to it":        {ann, `[{"op":"add","path":"/edges/` + newID() + `","value":{"label":"next","from":"` + board + `","to":"` + board + `"}}]`},
	} {
		x := newTrial(t)
		x.revoked()
		x.commit(c.who, c.patch)
		x.j.round()
		if got := x.w.verdict(0).Broken(); !slices.Equal(got, []string{"W4 strict order"}) {
			t.Errorf("%s: found %q", name, got)
		}
	}
}

// A reader whose token was renewed while a mutation of his was unanswered sends it
// again with the new one. What came in is judged by its own token.
func TestAMutationSentAgainWithAnotherToken(t *testing.T) {
	t.Parallel()
	moved := principal{user: "ann", org: "other"}
	for name, c := range map[string]struct {
		recorded principal
		want     []string
	}{
		"with the new one":          {moved, nil},
		"with the old one":          {ann, []string{"W4 strict order"}},
		"with one that was not his": {principal{user: "ann", org: "other", teams: []string{"red"}}, []string{"W4 strict order"}},
	} {
		x := newTrial(t)
		x.revoked()
		r := x.asked(ann, set(1))
		x.w.journal.sends(r, moved, 1)
		x.loggedAs(c.recorded, r, r.patch)
		x.w.journal.acknowledged(r, x.n)
		x.j.round()
		if got := x.w.verdict(0).Broken(); !slices.Equal(got, c.want) {
			t.Errorf("%s: found %q, want %q", name, got, c.want)
		}
	}
	x := newTrial(t)
	x.revoked()
	r := x.asked(moved, set(1))
	x.w.journal.sends(r, ann, 1)
	x.w.journal.refusedWith(r, refused{ann, "not-found", 0, 2, at(2), nil})
	x.judged()
}

// What leaves a view says why: it is not reached any more, is hidden, or is no more.
func TestAReasonForLeavingThatIsNone(t *testing.T) {
	t.Parallel()
	const (
		hide   = `[{"op":"replace","path":"/objects/` + board + `/access/read","value":{}}]`
		public = `[{"op":"replace","path":"/objects/` + board + `/access/read","value":{"public":true}}]`
		shown  = `[{"op":"replace","path":"/objects/` + inner + `/access/read","value":{"public":true}}]`
		unlink = `[{"op":"remove","path":"/edges/` + edge + `"}]`
		remove = `[{"op":"remove","path":"/objects/` + board + `"}]`
	)
	for _, c := range []struct {
		name, id, why string
		ops           []string
		broken        bool
	}{
		{"removed and said so", board, "deleted", []string{remove}, false},
		{"removed and said to be unreached", board, "unlinked", []string{remove}, true},
		{"hidden and said so", board, "forbidden", []string{hide}, false},
		{"hidden and said to be removed", board, "deleted", []string{hide}, true},
		{"unreached and said so", board, "unlinked", []string{unlink}, false},
		{"for all to read and said to be hidden", board, "forbidden", []string{public}, true},
		{"hidden, then removed, and not told", board, "forbidden", []string{hide, remove}, false},
		{"hidden, then removed, and told", board, "deleted", []string{hide, remove}, true},
		{"hidden and said to be unreached", board, "unlinked", []string{hide}, true},
		{"there to be read and said to be hidden", board, "forbidden", []string{unlink}, true},
		{"an edge that is no more, and said so", edge, "deleted", []string{unlink}, false},
		{"an edge that went while its end was hidden, seen again", edge, "deleted", []string{hide, unlink, public, shown}, false},
		{"an edge that went while its end was hidden, and is", edge, "deleted", []string{hide, unlink}, true},
		{"there and said to be removed", edge, "deleted", []string{hide}, true},
		{"no reason at all", board, "gone", []string{remove}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x := newTrial(t)
			for _, ops := range c.ops {
				r := x.asked(root, ops)
				patch := decoded(t, ops)
				if ops == remove { // with its edges
					patch = append(decoded(t, unlink), patch...)
				}
				x.logged(r, patch)
				x.w.journal.acknowledged(r, x.n)
			}
			part := map[string]string{board: "objects", edge: "edges"}[c.id]
			x.w.notes.left(leaving{2, x.n, []int{x.w.notes.as(ann)}, part, c.id, c.why, "delta"})
			if c.broken {
				x.judged("S7 convergent")
			} else {
				x.judged()
			}
		})
	}
}
