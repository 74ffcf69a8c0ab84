package torture

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/graphtide/graphtide/systest/plain"
)

// judge replays the log and holds against it all that clients were told.
type judge struct {
	w      *world
	model  *model
	at     map[string]int // version by mutation
	in     map[string]int // the mutations of the log since the last round, with their versions
	trail  trail
	walks  map[walked]*result
	graves map[string]grave // of what was deleted
	past   annals
	// touched has what each version touched, by part and id.
	touched map[int][]string
	// fired has what the rule was to run for, due that of which it is not known yet,
	// states how the runs stood when they were last looked at.
	fired, due map[firing]bool
	law        int // the schema of the last commit, and the generation of its sheets
	generation int
	states     map[firing]string
}

type walked struct{ who, query int }

func newJudge(w *world) *judge {
	return &judge{w: w, model: newModel(), at: map[string]int{}, trail: trail{}, graves: map[string]grave{}, past: annals{}, touched: map[int][]string{},
		fired: map[firing]bool{}, due: map[firing]bool{}, states: map[firing]string{}}
}

// claim is something that a state between two versions must bear out.
type claim struct {
	lo, hi int
	holds  func() bool // asked of the model at each version
	broken func()
}

// round judges what has come since the last one. All writers are at rest, and
// the log has been read to its head.
func (j *judge) round() {
	w := j.w
	commits := w.log.take()
	copies, sightings, leavings := w.notes.take()
	sort.SliceStable(copies, func(a, b int) bool { return copies[a].at < copies[b].at })
	j.in = map[string]int{}
	for _, c := range commits {
		j.in[c.mutation] = c.version
	}
	windows := j.windows(sightings, func(lo int, by time.Time) int {
		// Times of commits do not go back, so that those made by then come first.
		n := sort.Search(len(commits), func(i int) bool { return commits[i].time.After(by) })
		return max(lo, j.model.version+n)
	})
	windows = append(windows, j.leavings(leavings)...)
	sort.SliceStable(windows, func(a, b int) bool { return windows[a].lo < windows[b].lo })
	var open []claim
	look := func() {
		v := j.model.version
		for len(windows) > 0 && windows[0].lo <= v {
			open = append(open, windows[0])
			windows = windows[1:]
		}
		open = slices.DeleteFunc(open, func(x claim) bool {
			if x.holds() {
				return true
			}
			if x.hi <= v {
				x.broken()
				return true
			}
			return false
		})
		j.walks = map[walked]*result{}
		for len(copies) > 0 && copies[0].at <= v {
			if copies[0].at == v {
				j.copy(&copies[0])
			} // older ones were judged in the round before: nothing has changed since
			copies = copies[1:]
		}
	}
	look()
	for _, c := range commits {
		then := j.commit(c)
		j.trail.add(c, j.model)
		j.bury(c)
		j.fires(c)
		if err := j.model.apply(c); err != nil {
			w.violate("W4 strict order", "the log cannot be replayed at version %d: %v", c.version, err)
			return
		}
		w.count(cCommits, 1)
		j.touched[c.version] = j.past.add(c, j.model)
		j.lawful(c)
		if then != nil {
			then()
		}
		look()
	}
	for _, x := range append(open, windows...) {
		if !x.holds() {
			x.broken()
		}
	}
	for _, c := range copies {
		w.violate("S1 ordered", "%s was told of version %d; the log ends at %d", c.source, c.at, j.model.version)
	}
	j.records()
}

// copy judges what a client held of a query.
func (j *judge) copy(c *copied) {
	var want *result
	for _, who := range c.who {
		k := walked{who, c.query}
		if j.walks[k] == nil {
			j.walks[k] = j.model.walk(j.w.notes.people[who], j.w.things.queries[c.query])
		}
		want = j.walks[k]
		if want.sum() == c.sum {
			return
		}
	}
	what := "the same versions with other contents"
	if d := want.digest(); d != c.digest {
		what = fmt.Sprintf("the digest %d instead of %d", c.digest, d)
	}
	j.w.violate("S7 convergent", "at version %d %s held of query %d as %s %s%s", c.at, c.source, c.query, j.w.notes.people[c.who[0]], what, j.difference(want, c))
}

// difference explains, where details were kept.
func (j *judge) difference(want *result, c *copied) string {
	if c.detail == nil {
		return " (run with -detail to see which)"
	}
	out := ""
	for _, all := range []map[string]*entity{want.objects, want.edges} {
		for id, e := range all {
			if have, ok := c.detail[id]; !ok {
				out += fmt.Sprintf("; %s is missing", id)
			} else if have != e.meta.version {
				out += fmt.Sprintf("; %s is at %d, not %d", id, have, e.meta.version)
			}
		}
	}
	for id := range c.detail {
		if want.objects[id] == nil && want.edges[id] == nil {
			out += fmt.Sprintf("; %s should not be there", id)
		}
	}
	if len(out) > 600 {
		out = out[:600] + "…"
	}
	return out
}

// windows gives what sightings and refusals claim.
func (j *judge) windows(sightings []sighting, until func(lo int, by time.Time) int) (out []claim) {
	w := j.w
	for i := range sightings {
		s := &sightings[i]
		w.count(cSightings, 1)
		hi := s.lo
		if !s.by.IsZero() {
			hi = until(s.lo, s.by)
		}
		readable := func(part, id string) bool {
			return slices.ContainsFunc(s.who, func(who int) bool { return j.model.reads(w.notes.people[who], part, id) })
		}
		// Each entity for itself: one may have become readable, another not.
		claims := map[string][]string{"objects": s.objects, "edges": s.edges}
		for part, ids := range claims {
			left := slices.Compact(slices.Sorted(slices.Values(ids)))
			if len(left) == 0 {
				continue
			}
			out = append(out, claim{s.lo, hi, func() bool {
				left = slices.DeleteFunc(left, func(id string) bool { return readable(part, id) })
				return len(left) == 0
			}, func() {
				w.count(cLeaks, 1)
				w.violate("S12 no leak", "%s told %s of %s %v, which nobody of that name might read from version %d to %d",
					s.source, w.notes.people[s.who[0]], part, left, s.lo, hi)
			}})
		}
	}
	w.journal.mu.Lock()
	defer w.journal.mu.Unlock()
	for _, r := range w.journal.records {
		j.resolve(r)
		out = append(out, j.idles(r)...)
		for _, x := range r.refusals {
			hi := until(x.lo, x.by)
			out = append(out, claim{x.lo, hi, func() bool {
				if j.justified(r, x) {
					w.count(cRefused, 1)
					if x.code == "undo-conflict" {
						w.count(cConflicts, 1)
					}
					return true
				}
				return false
			}, func() {
				w.count(cUnjust, 1)
				check := "W6 justified"
				if !possible(r, x.code) {
					check = "W7 neighbours"
				}
				w.violate(check, "%s of %s was refused with %s (op %d), which no state from version %d to %d justifies: %v%s; at %d %s",
					r.id, x.who, x.code, x.op, x.lo, hi, r.patch, j.undoSaid(r, x), j.model.version, j.grounds(r))
			}})
		}
	}
	return out
}

// justified reports whether the model's present state refuses a mutation so.
func (j *judge) justified(r *record, x refused) bool {
	if r.undo != nil {
		return j.undoJustified(r, x)
	}
	m := j.model
	gone := func(part, id string) bool { return m.of(part)[id] == nil || !m.reads(x.who, part, id) }
	made := map[string]bool{}
	for _, raw := range r.patch {
		op := raw.(map[string]any)
		part, id, rest, _ := split(op["path"])
		value, _ := op["value"].(map[string]any)
		creates := rest == "" && op["op"] == "add"
		var ends []string
		if part == "edges" {
			e := value
			if !creates && m.edges[id] != nil {
				e = m.edges[id].doc
			}
			for _, end := range []string{"from", "to"} {
				if s, ok := e[end].(string); ok && !made[s] {
					ends = append(ends, s)
				}
			}
		}
		switch x.code {
		case "not-found":
			if !creates && !made[id] && gone(part, id) || slices.ContainsFunc(ends, func(s string) bool { return gone("objects", s) }) {
				return true
			}
		case "forbidden":
			targets := ends
			if part == "objects" && !creates {
				targets = []string{id}
			}
			right := "write"
			if strings.HasPrefix(rest, "/access") {
				right = "manage"
			}
			if slices.ContainsFunc(targets, func(s string) bool { return !made[s] && !m.holds(x.who, s, right) }) {
				return true
			}
		case "test-failed":
			if op["op"] == "test" && m.objects[id] != nil {
				have, ok := plain.At(m.objects[id].doc, rest)
				if !ok || !plain.Equal(have, op["value"]) {
					return true
				}
			}
		case "path-missing":
			if o := m.objects[id]; o != nil && op["op"] != "add" {
				if _, ok := plain.At(o.doc, rest); !ok {
					return true
				}
			}
		case "edge-exists":
			if part == "edges" && creates && m.joined(value) {
				return true
			}
		case "cardinality":
			if part == "edges" && creates && value["label"] == "on" {
				from, _ := value["from"].(string)
				for _, e := range m.out[from] {
					if e.str("label") == "on" {
						return true
					}
				}
			}
		case "exists":
			if creates && m.taken[id] {
				return true
			}
		case "unknown-type":
			if creates && value["type"] == "Nothing" {
				return true
			}
		case "schema":
			if creates && value["type"] == "Strict" || j.unlawful(rest, r, x) {
				return true
			}
		case "edge-not-allowed":
			if from, _ := value["from"].(string); creates && part == "edges" && m.objects[from] != nil && m.objects[from].str("type") == "Twin" {
				return true
			}
		}
		if creates {
			made[id] = true
		}
	}
	return false
}

// possible reports whether there is any state in which a mutation is refused with
// the code; if there is none, it is another one's refusal.
func possible(r *record, code string) bool {
	if r.undo != nil {
		return true
	}
	has := func(ask func(op, part, rest string, value map[string]any) bool) bool {
		return slices.ContainsFunc(r.patch, func(raw any) bool {
			op := raw.(map[string]any)
			part, _, rest, _ := split(op["path"])
			name, _ := op["op"].(string)
			value, _ := op["value"].(map[string]any)
			return ask(name, part, rest, value)
		})
	}
	switch code {
	case "test-failed":
		return has(func(op, _, _ string, _ map[string]any) bool { return op == "test" })
	case "path-missing":
		return has(func(_, _, rest string, _ map[string]any) bool { return rest == "/body/missing" })
	case "edge-exists", "cardinality", "edge-not-allowed":
		return has(func(_, part, rest string, _ map[string]any) bool { return part == "edges" && rest == "" })
	case "schema", "unknown-type":
		return has(func(op, part, rest string, value map[string]any) bool {
			return strings.HasPrefix(rest, "/body/t") || rest == "" && (value["type"] == "Strict" || value["type"] == "Nothing")
		})
	}
	return true
}

// joined reports whether there is an edge of the same label and ends.
func (m *model) joined(edge map[string]any) bool {
	from, _ := edge["from"].(string)
	for _, e := range m.out[from] {
		if e.str("label") == edge["label"] && e.str("to") == edge["to"] {
			return true
		}
	}
	return false
}

// commit judges a commit by the state before it. What it gives judges it by the
// state after it; nil: nothing is left to say.
func (j *judge) commit(c *commit) (then func()) {
	w := j.w
	if c.cause == "schema" {
		return j.migrates(c)
	}
	w.journal.mu.Lock()
	r := w.journal.records[c.mutation]
	w.journal.mu.Unlock()
	if r == nil {
		w.count(cDuplicated, 1)
		w.violate("W3 exactly once", "version %d has the mutation %q, which nobody sent: %v", c.version, c.mutation, c.patch)
		return nil
	}
	if before, again := j.at[c.mutation]; again {
		w.count(cDuplicated, 1)
		w.violate("W3 exactly once", "%s is in the log at %d and at %d", c.mutation, before, c.version)
	}
	j.at[c.mutation] = c.version
	if r.always {
		w.violate("W6 justified", "%s, which no state allows, was committed at %d: %v", r.id, c.version, r.patch)
	}
	if c.by != r.user {
		w.violate("W4 strict order", "version %d is by %s; %s sent it", c.version, c.by, r.user)
	}
	if !r.sentAs(c.author) {
		w.violate("W4 strict order", "version %d is recorded as %s; %s was sent as %v", c.version, c.author, r.id, r.sent)
	}
	if c.version <= r.floor {
		w.violate("W4 strict order", "%s was first sent when %d was acknowledged, and is at %d", r.id, r.floor, c.version)
	}
	if c.author.String() != r.sent[0].who.String() {
		w.count(cRetokened, 1)
	}
	lacks := j.lacks
	if r.undo != nil {
		lacks = func(c *commit, _ *record) *need { return j.undoLacks(c) }
	}
	if n := lacks(c, r); n != nil {
		w.violate("W4 strict order", "version %d by %s does with %s what needs the right to %s there, which is missing: %s",
			c.version, c.author, n.id, n.right, j.told(c, r, n.id))
		return nil
	}
	if r.undo != nil {
		expected := j.undoing(r.undo)
		return func() { j.undid(c, r, expected) }
	}
	j.follows(c, r)
	return nil
}

// follows holds a commit to what was asked for: the tests in it hold in the
// state before it, and it did just that.
func (j *judge) follows(c *commit, r *record) {
	m, w := j.model, j.w
	docs, was := map[string]any{}, map[string]any{}
	entity := func(part, id string) any {
		if d, ok := docs[part+id]; ok {
			return d
		}
		if e := m.of(part)[id]; e != nil {
			docs[part+id], was[part+id] = plain.Copy(e.doc), e.doc
			return docs[part+id]
		}
		return nil
	}
	for i, raw := range r.patch {
		op := raw.(map[string]any)
		part, id, rest, _ := split(op["path"])
		if rest == "" {
			continue
		}
		doc := entity(part, id)
		if doc == nil {
			continue // made by this transaction
		}
		next, err := plain.Apply(doc, []any{map[string]any{"op": op["op"], "path": rest, "value": plain.Copy(op["value"])}})
		if err != nil {
			w.violate("W4 strict order", "version %d does not follow from the state before it: operation %d of %s: %v", c.version, i, r.id, err)
			return
		}
		docs[part+id] = next
	}
	done := map[string]any{}
	for _, raw := range c.patch {
		op := raw.(map[string]any)
		part, id, rest, _ := split(op["path"])
		if rest == "" {
			continue
		}
		if done[part+id] == nil {
			e := m.of(part)[id]
			if e == nil {
				continue
			}
			done[part+id] = plain.Copy(e.doc)
		}
		next, err := plain.Apply(done[part+id], []any{map[string]any{"op": op["op"], "path": rest, "value": plain.Copy(op["value"])}})
		if err != nil {
			return // apply will tell
		}
		done[part+id] = next
	}
	for k, doc := range docs {
		have, ok := done[k]
		if !ok {
			have = was[k] // the log leaves out what changed nothing
		}
		if !plain.Equal(doc, have) {
			w.violate("W4 strict order", "version %d made another thing of %s than %s asked for: %v instead of %v", c.version, k, r.id, have, doc)
			return
		}
	}
}

// records judges the answers to all mutations, and forgets them.
func (j *judge) records() {
	w := j.w
	w.journal.mu.Lock()
	defer w.journal.mu.Unlock()
	for id, r := range w.journal.records {
		at, committed := j.at[id]
		for _, v := range r.acks {
			switch {
			case !committed && r.undo != nil: // it changed nothing: see idles
			case !committed:
				w.count(cLost, 1)
				w.violate("W2 durable", "%s was acknowledged at %d and is not in the log: %v", id, v, r.patch)
			case v != at:
				w.violate("W2 durable", "%s was acknowledged at %d and is at %d", id, v, at)
			}
		}
		if committed && len(r.acks) == 0 && len(r.refusals) > 0 && !r.open {
			w.violate("W6 justified", "%s was refused (%v), and is in the log at %d", id, r.refusals, at)
		}
		if len(r.acks)+len(r.refusals) == 0 {
			w.violate("W8 known outcome", "nobody knows what became of %s", id)
		}
		delete(w.journal.records, id)
	}
}
