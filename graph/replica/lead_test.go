package replica_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/graphtide/graphtide/graph/replica"
)

func TestHintsAreLeftToWhoLeads(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		w, h := newWorld(t), &hints{}
		_, r := w.open(t, replica.Config{Hints: h, Poll: time.Hour})
		synctest.Wait()
		before := r.Head()
		end := r.Lead()
		second := r.Lead()
		w.commit(t, addThing)
		h.Announce(w.info.Key, w.head.Epoch, w.head.Version)
		synctest.Wait()
		if r.Head() != before {
			t.Errorf("the follower read what another was about to bring: %+v", r.Head())
		}
		end()
		end()
		synctest.Wait()
		if r.Head() != before {
			t.Errorf("the follower read what the other was about to bring: %+v", r.Head())
		}
		second() // without having brought it
		synctest.Wait()
		if r.Head() != w.head {
			t.Errorf("at %+v, want %+v", r.Head(), w.head)
		}
		w.commit(t, addThing)
		h.Announce(w.info.Key, w.head.Epoch, w.head.Version)
		synctest.Wait()
		if r.Head() != w.head {
			t.Errorf("with nobody leading: %+v, want %+v", r.Head(), w.head)
		}
	})
}
