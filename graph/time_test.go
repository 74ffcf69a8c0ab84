package graph_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/graphtide/graphtide/graph"
)

func TestTimesAreWrittenInTimeFormat(t *testing.T) {
	t.Parallel()
	zones := []*time.Location{time.UTC, time.FixedZone("east", 5*3600+1800), time.FixedZone("west", -11*3600)}
	check := func(t interface{ Errorf(string, ...any) }, at time.Time) {
		want := at.UTC().Format(graph.TimeFormat)
		if got := string(graph.AppendTime([]byte("x"), at)); got != "x"+want {
			t.Errorf("%v is written as %s, want x%s", at, got, want)
		}
	}
	check(t, time.Time{})
	check(t, time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, zones[2]))
	check(t, time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC))
	rapid.Check(t, func(rt *rapid.T) {
		sec := rapid.Int64Range(-70_000_000_000, 260_000_000_000).Draw(rt, "seconds")
		nano := rapid.Int64Range(0, 999_999_999).Draw(rt, "nanoseconds")
		check(rt, time.Unix(sec, nano).In(rapid.SampledFrom(zones).Draw(rt, "zone")))
	})
}
