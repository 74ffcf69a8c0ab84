package torture

import (
	"fmt"
	"maps"
	"slices"

	"github.com/graphtide/graphtide/systest/plain"
)

// held is a client's copy of a view: whole entities, which are replaced and
// never changed.
type held struct {
	objects, edges map[string]map[string]any
	roots          []string
	sums           map[string]uint64 // of each entity
	sum            uint64
	digest         uint32
}

func newHeld() held {
	return held{objects: map[string]map[string]any{}, edges: map[string]map[string]any{}, roots: []string{}, sums: map[string]uint64{}}
}

func (h *held) clone() held {
	c := *h
	c.objects, c.edges, c.sums = maps.Clone(h.objects), maps.Clone(h.edges), maps.Clone(h.sums)
	return c
}

func (h *held) of(part string) map[string]map[string]any {
	if part == "edges" {
		return h.edges
	}
	return h.objects
}

func (h *held) total() uint64 { return h.sum + sumOfRoots(h.roots) }

func (h *held) versions() map[string]int {
	out := map[string]int{}
	for _, all := range []map[string]map[string]any{h.objects, h.edges} {
		for id, e := range all {
			out[id] = toInt(versionOf(e))
		}
	}
	return out
}

// some gives one of the objects held; "" where there is none.
func (h *held) some(intN func(int) int) string {
	if len(h.objects) == 0 {
		return ""
	}
	return slices.Sorted(maps.Keys(h.objects))[intN(len(h.objects))]
}

func versionOf(e map[string]any) any {
	m, _ := e["meta"].(map[string]any)
	return m["version"]
}

// put makes e what the copy holds under the id; nil takes it out.
func (h *held) put(part, id string, e map[string]any) {
	all := h.of(part)
	if old := all[id]; old != nil {
		h.digest -= digestOf(id, versionOf(old))
		h.sum -= h.sums[id]
		delete(all, id)
		delete(h.sums, id)
	}
	if e == nil {
		return
	}
	s := sumOf(id, e)
	all[id], h.sums[id] = e, s
	h.sum += s
	h.digest += digestOf(id, versionOf(e))
}

// whole takes a load over HTTP.
func (h *held) whole(doc map[string]any) {
	for _, part := range []string{"objects", "edges"} {
		all, _ := doc[part].(map[string]any)
		for id, e := range all {
			if m, ok := e.(map[string]any); ok {
				h.put(part, id, m)
			}
		}
	}
	h.roots = texts(doc["roots"])
}

func texts(v any) []string {
	out := []string{}
	list, _ := v.([]any)
	for _, x := range list {
		s, _ := x.(string)
		out = append(out, s)
	}
	return out
}

// fault is something in a message that cannot be.
type fault struct{ check, text string }

// take applies one entry of a load or a delta that leads to version n.
func (h *held) take(part, id string, entry map[string]any, n int) *fault {
	old := h.of(part)[id]
	switch {
	case entry["type"] != nil || entry["label"] != nil:
		h.put(part, id, entry)
	case entry["enter"] != nil:
		e, _ := entry["enter"].(map[string]any)
		if old != nil {
			return &fault{"S3 unique", fmt.Sprintf("%s enters at %d and was there", id, n)}
		}
		h.put(part, id, e)
	case entry["leave"] != nil:
		if old == nil {
			return &fault{"S3 unique", fmt.Sprintf("%s leaves at %d and was not there", id, n)}
		}
		h.put(part, id, nil)
	case entry["patch"] != nil:
		if old == nil {
			return &fault{"S2 gap-free", fmt.Sprintf("%s changes at %d and is not held", id, n)}
		}
		have, was, to := toInt(versionOf(old)), toInt(entry["was"]), toInt(entry["version"])
		if have >= to {
			return &fault{"S3 unique", fmt.Sprintf("%s is at %d, and version %d comes once more", id, have, to)}
		}
		if have != was {
			return &fault{"S2 gap-free", fmt.Sprintf("%s is at %d, and a patch from %d to %d comes", id, have, was, to)}
		}
		patch, _ := entry["patch"].([]any)
		next, err := plain.Apply(plain.Copy(old), patch)
		if err != nil {
			return &fault{"S3 unique", fmt.Sprintf("%s from %d to %d: %v", id, was, to, err)}
		}
		e := next.(map[string]any)
		e["meta"] = entry["meta"]
		if got := toInt(versionOf(e)); got != to || got > n {
			return &fault{"S1 ordered", fmt.Sprintf("%s is said to be at %d, its meta at %d, in a message of %d", id, to, got, n)}
		}
		h.put(part, id, e)
	default:
		return &fault{"S2 gap-free", fmt.Sprintf("%s: an entry that says nothing: %v", id, entry)}
	}
	return nil
}

// closed reports what is true of every view between two messages.
func (h *held) closed() *fault {
	for id, e := range h.edges {
		for _, end := range []string{"from", "to"} {
			if to, _ := e[end].(string); h.objects[to] == nil {
				return &fault{"S4 atomic", fmt.Sprintf("edge %s leads to %s, which is not held", id, to)}
			}
		}
	}
	for _, r := range h.roots {
		if h.objects[r] == nil {
			return &fault{"S4 atomic", fmt.Sprintf("root %s is not held", r)}
		}
	}
	return nil
}
