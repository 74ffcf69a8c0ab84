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
	s.scheduler = newScheduler(slots, func(ref graph.RunRef, vacate func()) {
		ch := make(chan struct{})
		s.mu.Lock()
		s.running[ref.Run] = ch
		s.mu.Unlock()
		for range ch {
			vacate()
		}
	}, func() {
		s.mu.Lock()
		s.drains++
		s.mu.Unlock()
	})
	return s
}

// stage gives the lock of what runs, which is not the scheduler's.
func (s *stage) stage() *sync.Mutex { return &s.mu }

func (s *stage) finish(run string) {
	synctest.Wait()
	s.mu.Lock()
	ch := s.running[run]
	delete(s.running, run)
	s.mu.Unlock()
	close(ch)
	synctest.Wait()
}

// leave makes a run give its slot up; it has not ended.
func (s *stage) leave(run string) {
	synctest.Wait()
	s.mu.Lock()
	ch := s.running[run]
	s.mu.Unlock()
	ch <- struct{}{}
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

func TestARunThatWasOfferedWhileAPlaceWasKeptHasItsTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(4)
		kept, begun := refOf("a", 0), refOf("b", 0)
		if !s.hold(kept) || !s.hold(begun) || s.hold(kept) || s.hold(refOf("c", 0)) != true || s.hold(refOf("a", 1)) {
			t.Fatal("places are kept twice, or not at all, or beyond a rule's share")
		}
		s.drop(refOf("c", 0))
		if !s.offer(kept) || s.is("a0") { // as who ends the run before it does
			t.Fatal("a run began that a place is kept for")
		}
		s.drop(kept)
		s.started(begun, s.start)
		if !s.is("a0") || !s.is("b0") || s.is("c0") {
			t.Fatalf("a run that was offered was forgotten, or one began that was not: %v", s.running)
		}
		s.finish("a0")
		s.finish("b0")
		if s.wait(); s.busy != 0 || len(s.rules) != 0 || len(s.known) != 0 || len(s.held) != 0 {
			t.Fatalf("%d busy, %d rules, %d known, %d held", s.busy, len(s.rules), len(s.known), len(s.held))
		}
	})
}

func TestASlotIsFreeOnceTheHandlerHasEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(2)
		for i := range 9 {
			s.offer(refOf("a", i))
		}
		// One of the two slots is the rule's; two may be ending besides.
		for i := range 2 {
			if !s.is(refOf("a", i).Run) || s.is(refOf("a", i+1).Run) {
				t.Fatalf("run %d has no slot, or the next one has", i)
			}
			s.leave(refOf("a", i).Run)
			s.leave(refOf("a", i).Run) // once is enough
		}
		if !s.is("a2") || s.is("a3") || s.now(refOf("a", 0)) != roomTaken {
			t.Fatal("a run that is ending is not known any more, or too many run")
		}
		s.leave("a2")
		if s.is("a3") {
			t.Fatal("too many are ending")
		}
		s.finish("a0")
		if s.is("a3") {
			t.Fatal("a slot was given twice")
		}
		s.leave("a2")
		if !s.is("a3") {
			t.Fatal("the slot of a run that is ending is not free")
		}
		for _, run := range []string{"a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8"} {
			s.finish(run)
		}
		if s.busy != 0 || s.ending != 0 || len(s.rules) != 0 || len(s.known) != 0 {
			t.Fatalf("%d busy, %d ending, %d rules, %d known", s.busy, s.ending, len(s.rules), len(s.known))
		}
	})
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
		if s.now(refOf("a", 99)) != roomRule || s.now(refOf("b", 1)) != roomRule || s.now(refOf("c", 1)) != roomTaken ||
			s.now(refOf("d", 1)) != roomNone || s.now(refOf("a", 5)) != roomWaits || s.now(refOf("a", 0)) != roomTaken || !s.waits(refOf("a", 5)) || s.waits(refOf("a", 0)) {
			t.Fatal("the room is wrong")
		}
		freed := s.freed()
		s.finish("c1")
		<-freed
		s.finish("a0")
		if s.is("a3") || !s.is("a2") && s.is("a1") && s.share(&laneState{busy: 1}) > 1 {
			t.Fatal("the line does not keep to the shares")
		}
		s.finish("b0")
		s.finish("a1")
		if !s.is("a2") || !s.is("a3") {
			t.Fatal("the line stopped")
		}
		s.close()
		s.finish("a2")
		s.finish("a3")
		if s.is("a4") || s.offer(refOf("d", 1)) || s.now(refOf("d", 1)) != roomNone {
			t.Fatal("a closed scheduler began something")
		}
		s.wait()
	})
}

// However many rules hang, the next one begins.
func TestRulesThatHangLeaveRoomForTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(32)
		var hang []string
		for _, rule := range []string{"a", "b", "c", "d", "e"} {
			for i := range 100 {
				s.offer(refOf(rule, i))
			}
			hang = append(hang, rule)
		}
		if s.now(refOf("fine", 1)) != roomTaken {
			t.Fatal("rules that hang have every slot")
		}
		for _, rule := range hang {
			if !s.is(rule + "0") {
				t.Errorf("%s has no slot", rule)
			}
		}
		s.close()
		for {
			synctest.Wait()
			s.stage().Lock()
			names := make([]string, 0, len(s.running))
			for name := range s.running {
				names = append(names, name)
			}
			s.stage().Unlock()
			if len(names) == 0 {
				break
			}
			for _, name := range names {
				s.finish(name)
			}
		}
		s.wait()
	})
}

// One rule alone has half of the slots, two rules have two thirds between them.
func TestSharesMeetWhereTheOthersLeaveAsMuch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(30)
		for i := range 100 {
			s.offer(refOf("a", i))
		}
		for i := range 100 {
			s.offer(refOf("b", i))
		}
		count := func() map[byte]int {
			s.stage().Lock()
			defer s.stage().Unlock()
			n := map[byte]int{}
			for name := range s.running {
				n[name[0]]++
			}
			return n
		}
		for i := range 40 {
			synctest.Wait()
			for _, rule := range []string{"a", "b"} {
				if run := fmt.Sprint(rule, i); s.is(run) {
					s.finish(run)
				}
			}
		}
		synctest.Wait()
		if n := count(); n['a'] < 9 || n['b'] < 9 || n['a']+n['b'] > 21 {
			t.Errorf("the slots are shared as %d and %d", n['a'], n['b'])
		}
		s.close()
		for len(count()) > 0 {
			s.stage().Lock()
			var name string
			for name = range s.running {
				break
			}
			s.stage().Unlock()
			s.finish(name)
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
