package fanout

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"
)

// Whoever is let go by a draining node comes back at a time of his own, whatever the
// graphs are that are open: a crowd that comes at one moment is one too many.
func TestADrainingNodeSpreadsAllSessionsOverAllGraphs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		graphs, sessions int
		last             time.Duration
	}{
		{1, 1, spreadFirst},
		{1, 10, spreadFirst + 9*spreadEach},
		{1, 5000, spreadMax},
		{200, 1000, spreadFirst + 999*spreadEach},
		{200, 5000, spreadMax},
	} {
		t.Run(fmt.Sprint(c.graphs, c.sessions), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			var all []*session
			for i := range c.graphs {
				r := newRelay(w.hub, w.replica)
				w.hub.mu.Lock()
				w.hub.relays[fmt.Sprint(i)] = r
				w.hub.mu.Unlock()
				for range c.sessions / c.graphs {
					s := &session{hub: w.hub, relay: r, conn: &connection{socket: &silent{}}, wake: make(chan struct{}, 1)}
					r.join(s)
					all = append(all, s)
				}
			}
			if err := w.hub.Drain(context.Background()); err != nil {
				t.Fatal(err)
			}
			var times []time.Duration
			for _, s := range all {
				s.mu.Lock()
				text := s.items[0].text
				s.mu.Unlock()
				var bye struct{ RetryAfterMs int }
				if err := json.Unmarshal(text, &bye); err != nil {
					t.Fatal(err)
				}
				times = append(times, time.Duration(bye.RetryAfterMs)*time.Millisecond)
			}
			slices.Sort(times)
			if n := len(slices.Compact(slices.Clone(times))); n != len(times) {
				t.Errorf("%d sessions come back at %d times", len(times), n)
			}
			if last := times[len(times)-1]; last > c.last || last < c.last-spreadEach {
				t.Errorf("the last comes back after %v, want %v", last, c.last)
			}
		})
	}
}
