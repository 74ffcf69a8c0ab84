package fanout

import (
	"fmt"
	"testing"
	"time"
)

func TestGoneSessionsAreRememberedForAnHourAndNotWithoutEnd(t *testing.T) {
	t.Parallel()
	o := newOwners()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	a := sessionKey{"main", "a"}
	o.depart(a, "ann", now)
	o.depart(a, "ann", now.Add(time.Minute))
	if user, ok := o.find(a, now.Add(ownership)); !ok || user != "ann" {
		t.Errorf("%q, %v within the hour of the last time", user, ok)
	}
	if _, ok := o.find(a, now.Add(ownership+time.Minute)); ok {
		t.Error("remembered after an hour")
	}
	for i := range maxOwners + 10 {
		o.depart(sessionKey{"main", fmt.Sprint(i)}, "eve", now)
	}
	if len(o.of) > maxOwners || len(o.queue) > maxOwners {
		t.Errorf("%d ids are remembered", len(o.of))
	}
	if _, ok := o.find(sessionKey{"main", fmt.Sprint(maxOwners + 9)}, now); !ok {
		t.Error("the newest is forgotten")
	}
}
