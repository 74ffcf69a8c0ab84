package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-child" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Every row runs in its smallest form, on both servers: what it measures means
// nothing then, but it does not rot. Nothing is asserted about times.
func TestEveryRowMeasures(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	file := filepath.Join(t.TempDir(), "figures.json")
	var table bytes.Buffer
	began := time.Now()
	if err := measure(ctx, &table, options{scale: tiny, json: file}.withDefaults()); err != nil {
		t.Fatalf("%v\n%s", err, &table)
	}
	t.Logf("%s\n%s", time.Since(began), &table)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []outcome
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	measured := map[string]bool{}
	for _, o := range all {
		measured[o.Row] = true
		if len(o.Rounds) == 0 {
			t.Errorf("%s: %s was not measured", o.Row, o.Figure)
		}
	}
	for _, r := range rows {
		if !measured[r.name] {
			t.Errorf("the row %q has no figures", r.name)
		}
	}
}

func TestAGoalIsHeldAgainstTheRatioUnlessItNamesAUnit(t *testing.T) {
	t.Parallel()
	ratio := 1.2
	for _, c := range []struct {
		goal  string
		value float64
		ratio *float64
		want  any
	}{
		{"≤ 1.5", 700, &ratio, true},
		{"≤ 1.1", 0.5, &ratio, false},
		{"≥ 0.6", 0.1, &ratio, true},
		{"≤ 2.5 ms", 2.4, &ratio, true},
		{"≤ 2.5 ms", 2.6, &ratio, false},
		{"≥ 0.8 ×", 0.7, nil, false},
		{"≥ 0.8", 0.7, nil, nil},
		{"", 1, &ratio, nil},
	} {
		got := met(figure{goal: c.goal}, c.value, c.ratio)
		if (got == nil) != (c.want == nil) || got != nil && *got != c.want {
			t.Errorf("goal %q, value %v: %v, want %v", c.goal, c.value, got, c.want)
		}
	}
}

func TestARunThatIsBehindItsTimeGetsShorter(t *testing.T) {
	t.Parallel()
	o := options{within: 10 * time.Minute}.withDefaults()
	for _, c := range []struct {
		elapsed time.Duration
		share   float64
		rounds  int
		scale   scale
	}{
		{4 * time.Minute, 0.5, 3, full},
		{6 * time.Minute, 0.5, 1, full},
		{11 * time.Minute, 0.9, 1, quick},
	} {
		if got := o.paced(c.elapsed, c.share); got.rounds != c.rounds || got.scale != c.scale {
			t.Errorf("after %s, with %v of the rows done: %d rounds at scale %d", c.elapsed, c.share, got.rounds, got.scale)
		}
	}
}
