package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// figure is one number of a row; more is better unless less is set. The goal is
// a comparison with the ratio to the floor, "≤ 1.5", or where it names a unit,
// with the figure itself: "≤ 2.5 ms".
type figure struct {
	name  string
	value float64
	unit  string
	less  bool
	goal  string
}

// outcome is what came of one figure of a row over all rounds.
type outcome struct {
	Row    string    `json:"row"`
	Figure string    `json:"figure"`
	Unit   string    `json:"unit"`
	Floor  *float64  `json:"floor,omitempty"`
	Value  float64   `json:"value"`
	Ratio  *float64  `json:"ratio,omitempty"`
	Goal   string    `json:"goal,omitempty"`
	Met    *bool     `json:"met,omitempty"`
	Rounds []float64 `json:"rounds"`
}

// outcomes gives the medians of a row. The rounds of one row have the same
// figures in the same order.
func outcomes(r row, floor, node [][]figure) []outcome {
	if len(node) == 0 {
		return nil
	}
	var out []outcome
	for i, f := range node[0] {
		pick := func(rounds [][]figure) []float64 {
			var v []float64
			for _, round := range rounds {
				v = append(v, round[i].value)
			}
			return v
		}
		o := outcome{Row: r.name, Figure: f.name, Unit: f.unit, Goal: f.goal, Rounds: pick(node)}
		o.Value = median(o.Rounds)
		if len(floor) > 0 {
			fl := median(pick(floor))
			o.Floor = &fl
			// A tiny run may have nothing to divide by.
			if ratio := o.Value / fl; fl > 0 && !math.IsInf(ratio, 0) && !math.IsNaN(ratio) {
				o.Ratio = &ratio
			}
		}
		o.Met = met(f, o.Value, o.Ratio)
		out = append(out, o)
	}
	return out
}

// met says whether a goal is reached; nil where there is none.
func met(f figure, value float64, ratio *float64) *bool {
	part := strings.Fields(f.goal)
	if len(part) < 2 {
		return nil
	}
	bound, err := strconv.ParseFloat(part[1], 64)
	if err != nil {
		return nil
	}
	if len(part) == 2 {
		if ratio == nil {
			return nil
		}
		value = *ratio
	}
	ok := part[0] == "≤" && value <= bound || part[0] == "≥" && value >= bound
	return &ok
}

func printHead(w io.Writer) {
	fmt.Fprintf(w, "%-58s %14s %14s %8s  %-10s\n", "", "floor", "graphtide", "ratio", "goal")
}

func printOutcome(w io.Writer, o outcome) {
	verdict := ""
	if o.Met != nil && *o.Met {
		verdict = "met"
	} else if o.Met != nil {
		verdict = "MISSED"
	}
	floor, ratio := "–", "–"
	if o.Floor != nil {
		floor = fmt.Sprintf("%.4g %s", *o.Floor, o.Unit)
	}
	if o.Ratio != nil {
		ratio = fmt.Sprintf("%.2f×", *o.Ratio)
	}
	fmt.Fprintf(w, "%-58s %14s %14s %8s  %-10s %s\n", o.Row+": "+o.Figure, floor, fmt.Sprintf("%.4g %s", o.Value, o.Unit), ratio, o.Goal, verdict)
}

// verdict says how many goals were met, and names those that were not.
func verdict(all []outcome) string {
	met, missed := 0, ""
	for _, o := range all {
		switch {
		case o.Met == nil:
		case *o.Met:
			met++
		default:
			missed += fmt.Sprintf("  missed: %s: %s (%s)\n", o.Row, o.Figure, o.Goal)
		}
	}
	return fmt.Sprintf("%d goals met, %d missed\n%s", met, strings.Count(missed, "\n"), missed)
}

func writeJSON(file string, all []outcome) error {
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(len(d)-1, int(q*float64(len(d))))]
}

func total(d []time.Duration) (sum time.Duration) {
	for _, x := range d {
		sum += x
	}
	return sum
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Clone(v)
	sort.Float64s(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
