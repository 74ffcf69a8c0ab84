package torture

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/graphtide/graphtide/systest/plain"
)

// message takes a message in; false ends the connection.
func (r *reader) message(text []byte, welcome *bool) bool {
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		v, err := plain.Decode(line)
		m, ok := v.(map[string]any)
		if err != nil || !ok {
			r.violate(&fault{"S2 gap-free", fmt.Sprintf("not JSON: %v: %.200s", err, line)})
			return false
		}
		// A node that drains lets those go that it has not welcomed yet.
		if !*welcome && m["t"] != "welcome" && m["t"] != "bye" {
			r.violate(&fault{"S5 resumable", fmt.Sprintf("before the welcome: %.200s", line)})
			return false
		}
		*welcome = true
		if f := r.line(m, line); f != nil {
			r.violate(f)
			return false
		}
		if m["t"] == "bye" || r.over {
			return false
		}
	}
	if !r.partial && len(text) < 256<<10 { // what is larger may go on in the next message
		if f := r.boundary(); f != nil {
			r.violate(f)
			return false
		}
	}
	return true
}

// line takes one object in.
func (r *reader) line(m map[string]any, raw []byte) *fault {
	w := r.w
	version := toInt(m["version"])
	seen := sighting{lo: version, who: r.who(), objects: marked(raw), source: fmt.Sprintf("%v at %d to %s", m["t"], version, r.name)}
	defer func() { w.notes.seen(seen) }()
	switch m["t"] {
	case "welcome":
		return r.welcome(m)
	case "load", "delta":
		w.saw(version)
		w.count(cDeliveries, 1)
		for _, part := range []string{"objects", "edges"} {
			all, _ := m[part].(map[string]any)
			for id, e := range all {
				entry, _ := e.(map[string]any)
				if entry["leave"] != nil {
					continue
				}
				if part == "objects" {
					seen.objects = append(seen.objects, id)
				} else {
					seen.edges = append(seen.edges, id)
				}
			}
		}
		if version < r.last {
			return &fault{"S1 ordered", fmt.Sprintf("%v of %d after %d", m["t"], version, r.last)}
		}
		if m["t"] == "load" {
			return r.load(m, version)
		}
		return r.delta(m, version)
	case "ack":
		w.saw(version)
		return r.answered(m, func(a *asked) {
			w.acknowledge(a.r, version)
			if a.op.done != nil {
				a.op.done()
			}
			w.count(cOverSocket, 1)
			r.reached(version)
			r.last = max(r.last, version)
		})
	case "reject":
		problem, _ := m["problem"].(map[string]any)
		seen.lo, seen.by = r.sent, time.Now()
		if len(r.pending) > 0 {
			seen.lo = r.pending[0].lo
		}
		code, _ := problem["code"].(string)
		if code == "unavailable" || code == "rate-limited" {
			return r.again(m)
		}
		return r.answered(m, func(a *asked) { w.refuse(a.r, a.who, code, problem, a.lo) })
	case "at":
		w.saw(version)
		if version < r.last {
			return &fault{"S6 bookmarkable", fmt.Sprintf("at %d after %d", version, r.last)}
		}
		r.last, r.at, r.pinged = version, version, time.Time{}
		digests, _ := m["digests"].(map[string]any)
		for view, sum := range digests {
			for _, s := range r.views[view] {
				if got := fmt.Sprint(s.held.digest); got != fmt.Sprint(sum) {
					return &fault{"S7 convergent", fmt.Sprintf("at %d the digest of query %d is %v, the copy has %s: %v", version, s.query, sum, got, s.held.versions())}
				}
			}
		}
	case "schema":
		if version < r.law {
			return &fault{"F20 schema under load", fmt.Sprintf("the schema %d is told after %d", version, r.law)}
		}
		r.law = version
	case "error":
		problem, _ := m["problem"].(map[string]any)
		seen.lo, seen.by = r.sent, time.Now()
		if c := problem["code"]; c != "unavailable" && c != "rate-limited" {
			return &fault{"S5 resumable", fmt.Sprintf("%.500s", raw)}
		}
		r.over = true // and from the start
	default:
		seen.lo, seen.by = r.sent, time.Now()
	}
	return nil
}

// welcome begins a connection: what was committed is settled, the rest is sent
// again, and views are resumed where they were left.
func (r *reader) welcome(m map[string]any) *fault {
	r.epoch, r.law = text(m["epoch"]), toInt(m["schema"])
	applied, _ := m["applied"].(map[string]any)
	r.pending = slices.DeleteFunc(r.pending, func(a *asked) bool {
		v, ok := applied[a.r.id]
		if ok {
			r.w.acknowledge(a.r, toInt(v))
			if a.op.done != nil {
				a.op.done()
			}
		}
		return ok
	})
	if f := r.w.judgeEpoch(r.epoch); f != nil {
		return f
	}
	for _, a := range r.pending {
		r.w.journal.unanswered(a.r)
		r.ask(a)
	}
	for _, s := range r.subs {
		s.whole = false
		if s.key == "" {
			r.subscribe(s, -1, "", "")
			continue
		}
		s.whole = s.epoch != r.epoch
		r.subscribe(s, s.version, s.epoch, s.key)
	}
	return nil
}
