package postprocess

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// back is within what time the work of a node that died goes on elsewhere.
const back = 10 * time.Second

// P9, by the clock alone: with the pauses that a server has unless told
// otherwise, and without any help from a queue. How fast the machine is does not
// matter here; systest kills real processes.
func TestP9TheWorkOfADeadNodeGoesOnWithinTenSeconds(t *testing.T) {
	t.Parallel()
	ownPauses := func(c *Config) { c.Lease, c.Sweep, c.RetryDelay = 0, 0, 0 }
	type call struct {
		node string
		at   time.Time
	}
	// The first node holds the cursor, and what first does is its own.
	world := func(t *testing.T, first func(s *system, calls chan call)) (*system, chan call) {
		calls := make(chan call, 100)
		handler := func(node string) map[string]GoHandler {
			return map[string]GoHandler{"work": func(ctx context.Context, c *Call) (json.RawMessage, error) {
				calls <- call{node, time.Now()}
				if node == "n1" { // it dies with the run in its hands
					<-ctx.Done()
				}
				return nil, nil
			}}
		}
		s := setup(t, rules(oneRule), handler("n1"), ownPauses)
		first(s, calls)
		s.node("n2", handler("n2"), ownPauses).start()
		return s, calls
	}
	begin := func(s *system, calls chan call) {
		s.create("Thing", `{}`)
		take(s.t, calls)
	}
	heir := func(t *testing.T, calls chan call, died time.Time) {
		t.Helper()
		c := take(t, calls)
		took := c.at.Sub(died)
		t.Logf("it went on after %v", took)
		if c.node != "n2" || took > back {
			t.Errorf("it went on on %s after %v", c.node, took)
		}
	}
	t.Run("a run in its hands", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s, calls := world(t, begin)
			// Its lease has just been prolonged: no other is longer in the way.
			pause(t.Context(), DefaultLease/4)
			synctest.Wait()
			s.first.runs.cut.Store(true)
			heir(t, calls, time.Now())
			s.waitState("work", graph.RunSucceeded)
		})
	})
	t.Run("a commit that nobody matched", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			// The cursor is its own, and was moved a moment ago.
			s, calls := world(t, begin)
			s.first.runs.cut.Store(true)
			died := time.Now()
			s.create("Thing", `{}`)
			for range 2 { // of the first Thing and of this one, in any order
				heir(t, calls, died)
			}
			s.waitState("work", graph.RunSucceeded, graph.RunSucceeded)
		})
	})
	t.Run("a run that the queue lost", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s, calls := world(t, func(s *system, _ chan call) {
				s.first.runs.idle.Store(true) // it matches, and nobody begins what it found
				s.create("Thing", `{}`)
				s.waitState("work", graph.RunPending)
			})
			heir(t, calls, time.Now())
			s.waitState("work", graph.RunSucceeded)
		})
	})
}
