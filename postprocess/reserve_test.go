package postprocess

import (
	"context"
	"encoding/json"
	"testing"
)

func TestARunWhoseDispatchWasNotAnsweredIsTriedAllTheSame(t *testing.T) {
	t.Parallel()
	calls := make(chan json.RawMessage, 4)
	s := setup(t, rules(oneRule+`
  retries: 0`), map[string]GoHandler{"work": func(_ context.Context, c *Call) (json.RawMessage, error) {
		calls <- c.Event
		return nil, nil
	}})
	s.first.runs.mute.Store(true)
	s.create("Thing", `{}`)
	if e := eventOf(t, take(t, calls)); e.Attempt != 1 || s.first.runs.mute.Load() {
		t.Errorf("it took attempt %d, or the answer came", e.Attempt)
	}
	s.create("Thing", `{}`) // the place is free again
	take(t, calls)
}
