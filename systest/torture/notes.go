package torture

import (
	"regexp"
	"sync"
	"time"
)

// notes are what clients saw, to be judged once the log is known.
type notes struct {
	mu        sync.Mutex // guards the fields below
	people    []principal
	index     map[string]int
	copies    []copied
	sightings []sighting
	leavings  []leaving
}

// copied is what a client held of a query at a version.
type copied struct {
	at     int
	query  int
	who    []int // as any of these: a renewed token takes effect at a moment that is not told
	sum    uint64
	digest uint32
	source string
	detail map[string]int // version by id; nil unless asked for
}

// sighting is what a client was sent: objects whose text it saw, and entities
// that were named, at version lo, or, where by is set, at some version between
// that and the last one committed by then.
type sighting struct {
	lo      int
	by      time.Time
	who     []int
	objects []string
	edges   []string
	source  string
}

// leaving is an entity that left a client's view somewhere between two versions,
// and the reason that it was told.
type leaving struct {
	lo, hi   int
	who      []int
	part, id string
	why      string
	source   string
}

func newNotes() *notes { return &notes{index: map[string]int{}} }

// as gives the number of a principal.
func (n *notes) as(p principal) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := p.String()
	i, ok := n.index[k]
	if !ok {
		i = len(n.people)
		n.index[k], n.people = i, append(n.people, p)
	}
	return i
}

func (n *notes) copied(c copied) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.copies = append(n.copies, c)
}

func (n *notes) left(l leaving) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.leavings = append(n.leavings, l)
}

func (n *notes) seen(s sighting) {
	if len(s.objects)+len(s.edges) == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sightings = append(n.sightings, s)
}

// take gives what was noted and begins anew.
func (n *notes) take() ([]copied, []sighting, []leaving) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c, s, l := n.copies, n.sightings, n.leavings
	n.copies, n.sightings, n.leavings = nil, nil, nil
	return c, s, l
}

// mark is what every text that is written into an object holds, with its id.
const mark = "cnry:"

var marks = regexp.MustCompile(mark + `([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})`)

// marked gives the objects whose texts stand anywhere in what was received.
func marked(text []byte) []string {
	var out []string
	seen := map[string]bool{}
	for _, m := range marks.FindAllSubmatch(text, -1) {
		if id := string(m[1]); !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out
}
