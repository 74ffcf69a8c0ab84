package fanout

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/graphtide/graphtide/graph"
)

// shown keeps what a client shows of presence: by object and session.
type shown map[string]map[string]string

// watch takes in what the client has been told since.
func (s shown) watch(t *testing.T, c *client) {
	t.Helper()
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	for _, m := range c.others {
		if string(m["t"]) != `"presence"` {
			continue
		}
		var on string
		var sessions map[string]json.RawMessage
		if err := json.Unmarshal(m["on"], &on); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(m["sessions"], &sessions); err != nil {
			t.Fatal(err)
		}
		for id, state := range sessions {
			if s[on] == nil {
				s[on] = map[string]string{}
			}
			if s[on][id] = string(state); string(state) == "null" {
				delete(s[on], id)
			}
		}
		if len(s[on]) == 0 {
			delete(s, on)
		}
	}
	c.others = nil
}

func rooted(n int) string { return `{"root":"` + oid(n).String() + `"}` }

func readers(users ...string) string {
	return `{"read":{"users":{"` + strings.Join(users, `":true,"`) + `":true}}}`
}

func TestPresenceEndsWithTheRightToReadTheObject(t *testing.T) {
	t.Parallel()
	const inheriting = `{"read":{"inherit":{"up":true},"users":{"bob":true}}}`
	for _, c := range []struct {
		name string
		take func(w *world, a *client)
	}{
		{"taken away", func(w *world, a *client) { w.commit("x", grant(oid(2), readers("bob"))) }},
		{"inherited, and taken away there", func(w *world, a *client) { w.commit("x", grant(oid(1), readers("bob"))) }},
		{"inherited over an edge that goes", func(w *world, a *client) { w.commit("x", remove(graph.EdgeRef(eid(1)))) }},
		{"of a token's team", func(w *world, a *client) { a.say(`{"t":"token","token":%q}`, token(graph.Principal{User: ann.User})) }},
		{"with the object", func(w *world, a *client) {
			w.commit("x", remove(graph.EdgeRef(eid(1))), remove(graph.ObjectRef(oid(2))))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.commit("x", w.object(oid(1), "Node", `{}`, `{"read":{"users":{"bob":true},"teams":{"crimson":true}}}`),
				w.object(oid(2), "Node", `{}`, inheriting), edge(eid(1), "up", oid(2), oid(1)))
			red := ann
			red.Teams = []string{"crimson"}
			a, b := w.connect(red), w.connect(bob)
			a.s.id, b.s.id = sessionA, sessionB
			b.sub("s1", rooted(2))
			screen := shown{}
			screen.watch(t, b)
			a.say(`{"t":"presence","on":%q,"state":1}`, oid(2))
			b.say(`{"t":"presence","on":%q,"state":2}`, oid(2))
			if screen.watch(t, b); len(screen[oid(2).String()]) != 2 {
				t.Fatalf("shown: %v", screen)
			}
			c.take(w, a)
			screen.watch(t, b)
			if _, there := screen[oid(2).String()][sessionA]; there {
				t.Errorf("still shown: %v", screen)
			}
			r := a.s.relay
			done := make(chan int)
			r.ask(context.Background(), command{alone: true, run: func(x *step) {
				n := len(x.presence.sessions[a.s])
				x.later(func() { done <- n })
			}})
			if n := <-done; n != 0 {
				t.Errorf("the session is on %d objects", n)
			}
		})
	}
}

func TestWhoLosesAnObjectIsShownNobodyOnItAnyMore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		lose func(w *world, b *client)
	}{
		{"the right", func(w *world, b *client) { w.commit("x", grant(oid(2), readers("ann"))) }},
		{"the right, as he who is on it", func(w *world, b *client) { w.commit("x", grant(oid(2), readers("x"))) }},
		{"the object", func(w *world, b *client) { w.commit("x", remove(graph.ObjectRef(oid(2)))) }},
		{"the view", func(w *world, b *client) { b.say(`{"t":"unsub","sub":"s1"}`) }},
		{"another projection", func(w *world, b *client) { b.sub("s1", rooted(1)) }},
		{"a team", func(w *world, b *client) { b.say(`{"t":"token","token":%q}`, token(bob)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.commit("x", w.object(oid(1), "Node", `{}`, everybody), w.object(oid(2), "Node", `{}`, `{"read":{"users":{"ann":true,"x":true},"teams":{"crimson":true}}}`))
			red := bob
			red.Teams = []string{"crimson"}
			a, b := w.connect(ann), w.connect(red)
			a.s.id, b.s.id = sessionA, sessionB
			a.sub("s1", rooted(2))
			b.sub("s1", rooted(2))
			screen, own := shown{}, shown{}
			own.watch(t, a)
			a.say(`{"t":"presence","on":%q,"state":1}`, oid(2))
			if screen.watch(t, b); len(screen) != 1 {
				t.Fatalf("shown: %v", screen)
			}
			c.lose(w, b)
			if screen.watch(t, b); len(screen) != 0 {
				t.Errorf("still shown: %v", screen)
			}
			a.say(`{"t":"presence","on":%q,"state":2}`, oid(2))
			if screen.watch(t, b); len(screen) != 0 {
				t.Errorf("shown anew: %v", screen)
			}
		})
	}
}

func TestPresenceThatWaitsForASessionIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	const objects, sessions = 60, 8
	edits := []edit{w.object(oid(1), "Node", `{}`, everybody)}
	for i := range objects {
		n := 100 + i
		edits = append(edits, w.object(oid(n), "Node", `{}`, everybody), edge(eid(n), "child", oid(n), oid(1)))
	}
	w.commit("x", edits...)
	slow := w.connect(bob)
	slow.s.id = "slow"
	slow.sub("s1", childrenOf1)
	screen := shown{}
	screen.watch(t, slow)
	var others []*client
	say := func(round int) {
		for k, c := range others {
			for i := range objects {
				state := fmt.Sprintf(`"%d.%s"`, round, strings.Repeat("x", 4000))
				if round == 1 && (i+k)%3 == 0 {
					state = "null"
				}
				c.say(`{"t":"presence","on":%q,"state":%s}`, oid(100+i), state)
			}
		}
		slow.s.relay.settle()
	}
	for k := range sessions {
		c := w.connect(ann)
		c.s.id = fmt.Sprint("session", k)
		others = append(others, c)
	}
	say(0)
	slow.s.mu.Lock()
	weight := slow.s.present.weight
	slow.s.mu.Unlock()
	if all := objects * sessions * 4000; weight > maxPresenceWaiting+8<<10 || weight >= all {
		t.Errorf("%d bytes wait, of %d", weight, all)
	}
	check := func(round int) {
		t.Helper()
		screen.watch(t, slow)
		for i := range objects {
			for k, c := range others {
				got := screen[oid(100+i).String()][c.s.id]
				switch gone := round == 1 && (i+k)%3 == 0; {
				case gone && got != "":
					t.Fatalf("session %d has left object %d and is shown", k, i)
				case !gone && !strings.Contains(got, fmt.Sprintf(`"%d.`, round)):
					t.Fatalf("session %d on object %d is shown as %.20q", k, i, got)
				}
			}
		}
	}
	check(0)
	say(1)
	check(1)
}

// What there was no room for is told, however much more comes before its turn.
func TestMorePresenceBeforeTheRestIsToldForgetsNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	const objects, sessions = 90, 6 // twice as much as may wait
	edits := []edit{w.object(oid(1), "Node", `{}`, everybody)}
	for i := range objects {
		edits = append(edits, w.object(oid(100+i), "Node", `{}`, everybody), edge(eid(100+i), "child", oid(100+i), oid(1)))
	}
	w.commit("x", edits...)
	slow := w.connect(bob)
	slow.s.id = "slow"
	slow.sub("s1", childrenOf1)
	screen := shown{}
	screen.watch(t, slow)
	var others []*client
	for k := range sessions {
		c := w.connect(ann)
		c.s.id = fmt.Sprint("session", k)
		others = append(others, c)
	}
	say := func(from int) {
		for _, c := range others {
			for i := from; i < objects; i++ {
				c.say(`{"t":"presence","on":%q,"state":"%d.%s"}`, oid(100+i), from, strings.Repeat("x", 4000))
			}
		}
		slow.s.relay.settle()
	}
	say(0)
	rounds := 0
	slow.between = func() error {
		if rounds++; rounds == 1 {
			say(objects / 3) // not about the objects that the first left out
		}
		return nil
	}
	screen.watch(t, slow)
	for i := range objects {
		for _, c := range others {
			want := `"state":"0.`
			if i >= objects/3 {
				want = fmt.Sprintf(`"state":"%d.`, objects/3)
			}
			if got := screen[oid(100+i).String()][c.s.id]; !strings.Contains(got, want) {
				t.Fatalf("%s on object %d is shown as %.40q, want %s", c.s.id, i, got, want)
			}
		}
	}
}
