package torture

import (
	"testing"
	"time"
)

const paper = "00000000-0000-7000-8000-00000000000a"

// enacted puts a commit that a new schema made into the log.
func (x *trial) enacted(law, generation int, patch string) {
	x.n++
	x.w.log.commits = append(x.w.log.commits, &commit{version: x.n, at: at(x.n).Format(time.RFC3339), time: at(x.n), by: "root", mutation: newID(),
		patch: decoded(x.t, patch), author: root, cause: "schema", law: law, generation: generation})
}

// under says of the last commit which schema it was made under.
func (x *trial) under(law, generation int) {
	c := x.w.log.commits[len(x.w.log.commits)-1]
	c.law, c.generation = law, generation
}

func TestWhatASchemaMakesOfWhatIsStored(t *testing.T) {
	t.Parallel()
	const (
		mapped = `[{"op":"remove","path":"/objects/` + paper + `/body/t0"},{"op":"add","path":"/objects/` + paper + `/body/t1","value":"x"},
			{"op":"remove","path":"/objects/` + paper + `/body/d0"},{"op":"add","path":"/objects/` + paper + `/body/d1","value":1}]`
		other = `[{"op":"remove","path":"/objects/` + paper + `/body/t0"},{"op":"add","path":"/objects/` + paper + `/body/t1","value":"y"},
			{"op":"remove","path":"/objects/` + paper + `/body/d0"},{"op":"add","path":"/objects/` + paper + `/body/d1","value":1}]`
		half = `[{"op":"remove","path":"/objects/` + paper + `/body/d0"},{"op":"add","path":"/objects/` + paper + `/body/d1","value":1}]`
	)
	for _, c := range []struct {
		name, patch string
		law         int // of the commit after it
		broken      bool
	}{
		{"as it says", mapped, 2, false},
		{"with another value", other, 2, true},
		{"in part", half, 2, true},
		{"and then the old schema", mapped, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x := newTrial(t)
			x.commit(root, `[{"op":"add","path":"/objects/`+paper+`","value":{"type":"Sheet","body":{"l":[],"t0":"x","d0":0},"access":{"read":{"public":true}}}}]`)
			x.under(1, 0)
			x.enacted(2, 1, c.patch)
			x.commit(root, set(1))
			x.under(c.law, c.law-1)
			if c.broken {
				x.judged("F20 schema under load")
			} else {
				x.judged()
			}
		})
	}
}

// A property that the schema does not have is refused while it does not have it.
func TestARefusalByASchemaThatWasNot(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := newLaws()
	l.spans = []span{{0, time.Time{}, now}, {1, now.Add(2 * time.Second), time.Time{}}}
	for _, c := range []struct {
		generation int
		from, to   time.Duration
		want       bool
	}{
		{0, -2 * time.Second, -time.Second, true}, {0, -time.Second, time.Second, false}, {0, time.Second, time.Second, false},
		{1, time.Second, 3 * time.Second, false}, {1, 3 * time.Second, 4 * time.Second, true}, {1, -time.Second, 3 * time.Second, false}, {2, -time.Second, 0, false},
	} {
		if got := l.alone(c.generation, now.Add(c.from), now.Add(c.to)); got != c.want {
			t.Errorf("generation %d held alone from %s to %s: %v", c.generation, c.from, c.to, got)
		}
	}
}
