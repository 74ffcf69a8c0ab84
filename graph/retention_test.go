package graph_test

import (
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
)

func TestRetentionKeepsWhatThePolicySays(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 0, 0, 0, 0, time.UTC)
	at := func(hours int) time.Time { return now.Add(-time.Duration(hours) * time.Hour) }
	// States of versions 10, 20, …, begun 5, 4, … hours ago.
	states := func(n int, deleted ...int) []graph.PastState {
		var out []graph.PastState
		for i := range n {
			out = append(out, graph.PastState{Version: graph.Version(10 * (i + 1)), At: at(n - i)})
		}
		for _, i := range deleted {
			out[i].Deleted = true
		}
		return out
	}
	all := graph.Settled{Until: now, Upto: 1000}
	for _, test := range []struct {
		name    string
		keep    graph.Keep
		states  []graph.PastState
		more    int // states that are not given
		settled graph.Settled
		n       int
		from    graph.Version
	}{
		{"no bound", graph.Keep{}, states(5), 0, all, 0, 0},
		{"no state", graph.Keep{Versions: 1}, nil, 0, all, 0, 0},
		{"two versions of five", graph.Keep{Versions: 2}, states(5), 0, all, 3, 40},
		{"as many as there are", graph.Keep{Versions: 5}, states(5), 0, all, 0, 0},
		{"one version keeps the present state", graph.Keep{Versions: 1}, states(5), 0, all, 4, 50},
		{"the last one given stays: others count", graph.Keep{Versions: 2}, states(3), 9, all, 2, 30},
		{"replaced three hours ago or longer", graph.Keep{Age: 3 * time.Hour}, states(5), 0, all, 2, 30},
		{"however old, the present state stays", graph.Keep{Age: time.Minute}, states(5), 0, all, 4, 50},
		{"either bound is enough", graph.Keep{Versions: 4, Age: 3 * time.Hour}, states(5), 0, all, 2, 30},
		{"what was replaced lately stays", graph.Keep{Versions: 1}, states(5), 0, graph.Settled{Until: at(3), Upto: 1000}, 2, 30},
		{"what nobody has looked at stays", graph.Keep{Versions: 1}, states(5), 0, graph.Settled{Until: now, Upto: 25}, 1, 20},
		{"a removal keeps the state before it", graph.Keep{Versions: 1}, states(5, 4), 0, all, 3, 40},
		{"a removal that is old goes with it", graph.Keep{Age: time.Hour}, states(5, 4), 0, all, 5, 50},
		{"but not while others have not been looked at", graph.Keep{Age: time.Hour}, states(5, 4), 9, all, 3, 40},
		{"nor while it is young", graph.Keep{Age: 90 * time.Minute}, states(5, 4), 0, all, 3, 40},
		{"an earlier removal goes with the state before it", graph.Keep{Versions: 2}, states(5, 2), 0, all, 3, 40},
		{"neither goes alone", graph.Keep{Versions: 3}, states(5, 2), 0, all, 1, 20},
	} {
		n, from := test.keep.Removable(test.states, len(test.states)+test.more, now, test.settled)
		if n != test.n || from != test.from {
			t.Errorf("%s: %d from version %d, want %d from %d", test.name, n, from, test.n, test.from)
		}
	}
}
