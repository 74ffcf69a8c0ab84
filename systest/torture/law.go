package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/graphtide/graphtide/systest/plain"
)

// laws are the schemas that the server had. They differ in the type Sheet, whose
// properties have the name of a generation: t0 and d0, then t1 and d1.
type laws struct {
	told atomic.Int64 // the highest schema version that a PUT was answered with

	mu    sync.Mutex // guards the fields below
	spans []span
	more  int // properties that were added without a new generation
}

// span is a time in which one generation alone held, for certain.
type span struct {
	generation int
	from, to   time.Time // to is zero until another one is asked for
}

func newLaws() *laws { return &laws{spans: []span{{}}} }

// generation gives the newest that was asked for.
func (l *laws) generation() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.spans[len(l.spans)-1].generation
}

// alone reports whether a generation held alone during all of a time.
func (l *laws) alone(generation int, from, to time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.spans, func(s span) bool {
		return s.generation == generation && s.from.Before(from) && (s.to.IsZero() || s.to.After(to))
	})
}

// sheet declares the type of a generation, which maps what is stored of the one before.
func sheet(generation, more int) string {
	props := fmt.Sprintf("l: {type: array}, t%d: {type: string}, d%d: {type: number}", generation, generation)
	for i := range more {
		props += fmt.Sprintf(", x%d: {type: string}", i)
	}
	out := "  Sheet:\n    properties: {" + props + "}\n    required: [l]\n    access: {read: [public], write: [public]}\n"
	if generation > 0 {
		out += fmt.Sprintf("    migrate: {rename: {t%d: t%d}, drop: [d%d], default: {d%d: %d}}\n", generation-1, generation, generation-1, generation, generation)
	}
	return out
}

// schemaOf gives the whole schema.
func schemaOf(generation, more int) string {
	return strings.Replace(schema, "rules:\n", sheet(generation, more)+"rules:\n", 1)
}

// changeSchema replaces the schema under everybody's eyes: by one that maps what is
// stored, by one that adds, or by one that stored data forbids.
func (t *tormentor) changeSchema() error {
	kind := t.rng.IntN(5)
	rng := rand.New(rand.NewPCG(t.rng.Uint64(), 0))
	return t.breaks("the schema", 0, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), t.w.patience(startTime))
		defer cancel()
		switch kind {
		case 0:
			broken := strings.Replace(sheet(t.w.laws.generation(), t.w.laws.more), "required: [l]", "required: [l, never]", 1)
			broken = strings.Replace(broken, "properties: {", "properties: {never: {type: string}, ", 1)
			return t.w.put(ctx, rng, strings.Replace(schema, "rules:\n", broken+"rules:\n", 1), "schema-in-use")
		case 1:
			t.w.laws.more++ // one change at a time: nobody else looks at it
			return t.w.put(ctx, rng, schemaOf(t.w.laws.generation(), t.w.laws.more), "")
		}
		return t.w.nextGeneration(ctx, rng)
	})
}

func (w *world) nextGeneration(ctx context.Context, rng *rand.Rand) error {
	l := w.laws
	l.mu.Lock()
	last := &l.spans[len(l.spans)-1]
	last.to = time.Now()
	next := last.generation + 1
	l.mu.Unlock()
	if err := w.put(ctx, rng, schemaOf(next, l.more), ""); err != nil {
		return err
	}
	l.mu.Lock()
	l.spans = append(l.spans, span{generation: next, from: time.Now()})
	l.mu.Unlock()
	w.count(cLaws, 1)
	return nil
}

// put asks for a schema until it is answered, with a refusal where one is wanted.
func (w *world) put(ctx context.Context, rng *rand.Rand, doc, refusal string) error {
	for {
		a, err := w.request(ctx, rng.IntN(2), "PUT", "/v1/schema", governor(), doc, "Content-Type", "application/yaml")
		switch {
		case err != nil || a.status == 503 || a.status == 429:
		case a.status == 200 && refusal == "":
			raise(&w.laws.told, a.int("version"))
			return nil
		case refusal != "" && a.str("code") == refusal:
			w.count(cUnlawful, 1)
			return nil
		default:
			w.violate("F20 schema under load", "a schema that should be answered with %q is answered %d %.600s", refusal, a.status, a.body)
			return nil
		}
		pause(ctx, rng, 100*time.Millisecond)
		if ctx.Err() != nil {
			return fmt.Errorf("the schema is not answered: %v %w", a, ctx.Err())
		}
	}
}

var sheetProperty = regexp.MustCompile(`"t(\d+)": ?\{`)

// generationOf reads a schema's generation.
func generationOf(doc []byte) (int, error) {
	m := sheetProperty.FindSubmatch(doc)
	if m == nil {
		return 0, fmt.Errorf("a schema without sheets: %.300s", doc)
	}
	return strconv.Atoi(string(m[1]))
}

// lawful judges a commit by the schema that it is recorded under, once the model has it.
func (j *judge) lawful(c *commit) {
	w := j.w
	if c.law < j.law {
		w.violate("F20 schema under load", "version %d was made under schema %d, one before under %d", c.version, c.law, j.law)
	}
	j.law = max(j.law, c.law)
	touched := j.touched[c.version]
	if c.generation != j.generation && c.cause != "schema" { // all has been mapped by now
		j.generation = c.generation
		for id := range j.model.ofType["Sheet"] {
			touched = append(slices.Clone(touched), "objects/"+id)
		}
	}
	for _, k := range touched {
		part, id, _ := strings.Cut(k, "/")
		e := j.model.of(part)[id]
		if e == nil || e.str("type") != "Sheet" {
			continue
		}
		for name := range e.body() {
			if strings.HasPrefix(name, "t") && name != fmt.Sprint("t", c.generation) || strings.HasPrefix(name, "d") && name != fmt.Sprint("d", c.generation) {
				w.violate("F20 schema under load", "at version %d, under schema %d of generation %d, %s has the property %s: %v", c.version, c.law, c.generation, k, name, e.body())
				return
			}
		}
	}
}

// migrates judges a commit that a new schema made, by the state before it; what it
// gives, by that after it.
func (j *judge) migrates(c *commit) func() {
	want := map[string]any{}
	for id, e := range j.model.ofType["Sheet"] {
		body, _ := plain.Copy(e.body()).(map[string]any)
		for n := range c.generation { // whatever it was before
			if v, ok := body[fmt.Sprint("t", n)]; ok {
				delete(body, fmt.Sprint("t", n))
				body[fmt.Sprint("t", c.generation)] = v
			}
			delete(body, fmt.Sprint("d", n))
		}
		if own := fmt.Sprint("d", c.generation); body[own] == nil {
			body[own] = json.Number(strconv.Itoa(c.generation))
		}
		want["objects/"+id] = body
	}
	return func() {
		j.w.count(cMigrated, 1)
		for _, k := range j.touched[c.version] {
			_, id, _ := strings.Cut(k, "/")
			e := j.model.objects[id]
			if e == nil || want[k] == nil || !plain.Equal(e.body(), want[k]) {
				j.w.violate("F20 schema under load", "version %d, which a schema of generation %d made, leaves %s otherwise than %v: %v", c.version, c.generation, k, want[k], c.patch)
				return
			}
		}
	}
}

// unlawful reports whether an operation names a property that was not that of the one
// generation in force, at some moment between a request and its answer.
func (j *judge) unlawful(rest string, r *record, x refused) bool {
	n, err := strconv.Atoi(strings.TrimPrefix(rest, "/body/t"))
	return err == nil && strings.HasPrefix(rest, "/body/t") && !j.w.laws.alone(n, r.begun, x.by)
}
