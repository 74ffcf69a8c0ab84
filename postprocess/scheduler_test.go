package postprocess

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/graphtide/graphtide/graph"
)

// stage is a scheduler whose runs end when the test says so.
type stage struct {
	*scheduler
	mu      sync.Mutex
	running map[string]chan struct{}
	drains  int
}

func newStage(slots int) *stage {
	s := &stage{running: map[string]chan struct{}{}}
	s.scheduler = newScheduler(slots, func(ref graph.RunRef) {
		ch := make(chan struct{})
		s.mu.Lock()
		s.running[ref.Run] = ch
		s.mu.Unlock()
		<-ch
	}, func() {
		s.mu.Lock()
		s.drains++
		s.mu.Unlock()
	})
	return s
}

func (s *stage) finish(run string) {
	synctest.Wait()
	s.mu.Lock()
	ch := s.running[run]
	delete(s.running, run)
	s.mu.Unlock()
	close(ch)
	synctest.Wait()
}

func (s *stage) is(run string) bool {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running[run] != nil
}

func refOf(rule string, n int) graph.RunRef {
	return graph.RunRef{Graph: 1, Rule: rule, Run: fmt.Sprintf("%s%d", rule, n)}
}

func TestSlotsAreSharedByRule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(4)
		for i := range 10 {
			s.offer(refOf("a", i))
		}
		s.offer(refOf("b", 0))
		if !s.is("a0") || !s.is("a1") || s.is("a2") || !s.is("b0") {
			t.Fatal("a rule has more than half of the slots, or another none")
		}
		if s.now(refOf("a", 99)) != roomRule || s.now(refOf("b", 1)) != roomTaken || s.now(refOf("c", 1)) != roomNone || s.now(refOf("a", 5)) != roomTaken {
			t.Fatal("the room is wrong")
		}
		freed := s.freed()
		s.finish("a0")
		if !s.is("a2") {
			t.Fatal("the next of the rule did not begin")
		}
		select {
		case <-freed:
			t.Fatal("no slot is free")
		default:
		}
		s.finish("b0")
		<-freed
		for _, r := range []string{"b1", "a1", "a2"} {
			s.finish(r)
		}
		if !s.is("a3") || !s.is("a4") {
			t.Fatal("the line stopped")
		}
		s.close()
		s.finish("a3")
		s.finish("a4")
		if s.is("a5") || s.offer(refOf("d", 1)) || s.now(refOf("d", 1)) != roomNone {
			t.Fatal("a closed scheduler began something")
		}
		s.wait()
	})
}

func TestWhatFindsNoRoomIsLookedForWhenThereIsSome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(1)
		accepted := 0
		for i := range waitingPerRule + 10 {
			if s.offer(refOf("a", i)) {
				accepted++
			}
		}
		if accepted != waitingPerRule+1 {
			t.Fatalf("%d were taken", accepted)
		}
		if !s.offer(refOf("a", 3)) {
			t.Fatal("one that waits already was turned away")
		}
		for i := range waitingPerRule + 1 {
			s.finish(refOf("a", i).Run)
		}
		if s.drains != 1 {
			t.Fatalf("looked %d times", s.drains)
		}
		s.wait()
	})
}
