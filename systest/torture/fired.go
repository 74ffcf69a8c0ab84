package torture

import (
	"context"
	"fmt"
	"time"
)

// ruleName is the rule of the schema: it fires for each new cell, on a worker that
// does nothing else.
const ruleName = "seen"

// firing is what has the rule run: a cell that a commit made.
type firing struct {
	entity  string
	version int
}

// fires notes what a commit has the rule do.
func (j *judge) fires(c *commit) {
	for _, raw := range c.patch {
		op, _ := raw.(map[string]any)
		part, id, rest, _ := split(op["path"])
		value, _ := op["value"].(map[string]any)
		if part == "objects" && rest == "" && op["op"] == "add" && value["type"] == "Cell" {
			f := firing{id, c.version}
			j.fired[f], j.due[f] = true, true
		}
	}
}

// fireTime is how long after a death a rule may take to fire again.
const fireTime = 10 * time.Second

// fire waits until the rule has run for all that was committed, and judges when
// that was. All has worked again since healed.
func (w *world) fire(ctx context.Context, j *judge, node int, healed time.Time) {
	late := false
	for ctx.Err() == nil {
		err := w.ran(ctx, j, node)
		if err == nil && len(j.due) == 0 {
			return
		}
		since := time.Since(healed)
		if since > w.patience(fireTime) && !late {
			late = true
			w.violate("P9 latency after a death", "%s after everything works again %s (%v)", since.Round(time.Millisecond), j.open(), err)
		}
		if since > w.patience(healTime) {
			w.violate("P1 at least once", "%s after everything works again %s (%v)", since.Round(time.Millisecond), j.open(), err)
			clear(j.due) // told once
			return
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// open says what the rule has not run for.
func (j *judge) open() string {
	for f := range j.due {
		return fmt.Sprintf("the rule has not run for %d of %d new cells, such as %s of version %d, whose run is %q", len(j.due), len(j.fired), f.entity, f.version, j.states[f])
	}
	return "its runs cannot be read"
}

// ran takes those off what is due for which the rule has run.
func (w *world) ran(ctx context.Context, j *judge, node int) error {
	tok := token(principalOf("root", nil))
	path := fmt.Sprintf("/runs?rule=%s&limit=%d", ruleName, page)
	for before := ""; ; {
		a, err := w.request(ctx, node, "GET", w.path(path+before), tok, "")
		if err != nil {
			return err
		}
		list, ok := a.doc["runs"].([]any)
		if a.status != 200 || !ok {
			return fmt.Errorf("the runs are answered with %d %.300s", a.status, a.body)
		}
		for _, raw := range list {
			run, _ := raw.(map[string]any)
			f := firing{text(run["entity"]), toInt(run["version"])}
			j.states[f] = text(run["state"])
			if !j.fired[f] {
				w.violate("P3 no rule without a commit", "a run %v of %s at version %d, which made no cell", run["id"], f.entity, f.version)
				j.fired[f] = true // told once
			}
			if j.due[f] && run["state"] == "succeeded" {
				w.count(cRuns, 1)
				delete(j.due, f)
			}
			before = "&before=" + text(run["id"])
		}
		if len(list) < page {
			return nil
		}
	}
}
