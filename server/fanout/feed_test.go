package fanout

import (
	"testing"

	"github.com/graphtide/graphtide/graph"
)

// Deltas that were joined for several sessions are kept as long as the deltas are:
// what a view keeps is counted, and ends.
func TestJoinedDeltasGoWithTheDeltas(t *testing.T) {
	t.Parallel()
	v, b := &view{}, backlog{limit: 1 << 20}
	for i := range graph.Version(4) {
		b.add(v, &frame{from: i, to: i + 1, texts: [][]byte{[]byte("{}")}, size: 2})
	}
	f := &v.feed
	if text := f.join(f.after(1), 6); string(text) != "{}\n{}\n{}" {
		t.Fatalf("joined: %s", text)
	}
	b.expire(1)
	if f.joined.Load() == nil {
		t.Error("the joined deltas are gone, and all of them are here")
	}
	b.expire(2)
	if f.joined.Load() != nil {
		t.Error("the joined deltas are kept, and the first of them is gone")
	}
	f.join(f.after(2), 4)
	b.expire(4)
	if f.joined.Load() != nil {
		t.Error("the joined deltas are kept, and all of them are gone")
	}
}
