package schema_test

import (
	"testing"
	"time"

	"github.com/graphtide/graphtide/schema"
)

func TestHistoryIsKeptAsTheTypeOrItsParentSays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]schema.History{
		"{}":                             {},
		"{keep: all, snapshot: every}":   {Snapshot: 1},
		"{keep: 100 versions}":           {Versions: 100},
		"{keep: 1 version, snapshot: 5}": {Versions: 1, Snapshot: 5},
		"{keep: 7}":                      {Versions: 7},
		"{keep: 30d}":                    {Age: 30 * 24 * time.Hour},
		"{keep: 2w}":                     {Age: 14 * 24 * time.Hour},
		"{keep: 1h30m}":                  {Age: 90 * time.Minute},
	} {
		r := compile(t, "types:\n  P: {history: "+text+"}\n  C: {extends: P}\n  D: {extends: P, history: {keep: 3}}\n")
		if got := r.TypeOf("P").History; got != want {
			t.Errorf("%s: got %+v", text, got)
		}
		if got := r.TypeOf("C").History; got != want {
			t.Errorf("%s: the child has %+v", text, got)
		}
		if got := r.TypeOf("D").History; got != (schema.History{Versions: 3}) {
			t.Errorf("%s: the child of its own mind has %+v", text, got)
		}
	}
}
