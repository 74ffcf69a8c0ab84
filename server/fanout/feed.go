package fanout

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/server/protocol"
)

// frame is one delta of a view, as its messages: the same bytes for everybody.
type frame struct {
	from, to graph.Version // it covers the commits after from, up to to
	texts    [][]byte      // nil once they were dropped
	size     int
	begin    int64 // the bytes of the view's deltas before it
	trail
}

// weight is about how much memory the trail keeps.
func (t *trail) weight() int {
	return frameWeight + markWeight*len(t.marks) + mutationWeight*len(t.mutations)
}

const (
	frameWeight    = 200
	markWeight     = 48
	mutationWeight = 16 + 36
)

// trail is what a delta did, without the contents: several of them tell who
// comes back what differs, together with the view as it is.
type trail struct {
	marks     []mark
	rerooted  bool
	mutations []string
	at        time.Time
	by        string
}

// mark is what a delta did to one entity: it left (why is set) at version was, it
// entered (was is 0), or it changed from version was.
type mark struct {
	ref   graph.Ref
	was   graph.Version
	why   protocol.Reason
	mixed bool // the reason, as in entry
}

func (d *difference) trail() trail {
	marks := make([]mark, len(d.entries))
	for i := range d.entries {
		e := &d.entries[i]
		marks[i] = mark{e.ref, e.was, e.why, e.mixed}
	}
	return trail{marks, d.rerooted, d.mutations, d.at, d.by}
}

// joined is several deltas of one view in one text, for the many sessions that
// are sent the same ones.
type joined struct {
	first, last *frame
	text        []byte
}

// join gives the texts of the frames as one, joined at most once for the
// sessions that ask for the same frames about the same time.
func (f *feed) join(frames []*frame, size int) []byte {
	first, last := frames[0], frames[len(frames)-1]
	if j := f.joined.Load(); j != nil && j.first == first && j.last == last {
		return j.text
	}
	text := make([]byte, 0, size+len(frames))
	for _, fr := range frames {
		for _, t := range fr.texts {
			if len(text) > 0 {
				text = append(text, '\n')
			}
			text = append(text, t...)
		}
	}
	f.joined.Store(&joined{first, last, text})
	return text
}

// feed is what sessions read of a view: its recent deltas, and where it stands.
// relay.feedMu guards it.
type feed struct {
	frames    []*frame      // oldest first
	dropped   graph.Version // the newest delta whose texts are no longer here
	forgotten graph.Version // the newest of which nothing is
	last      graph.Version // the newest delta, or where the view began
	bytes     int64         // of all deltas there were
	digest    uint32        // at the relay's version
	joined    atomic.Pointer[joined]
}

// startsAt makes it the feed of a view that begins at a version.
func (f *feed) startsAt(at graph.Version, digest uint32) {
	f.last, f.dropped, f.forgotten, f.digest = at, at, at, digest
}

// unread gives how many deltas somebody at the cursor has not read, and their bytes.
func (f *feed) unread(cursor graph.Version) (n int, bytes int64) {
	frames := f.after(cursor)
	if len(frames) == 0 {
		return 0, 0
	}
	return len(frames), f.bytes - frames[0].begin
}

// after gives the deltas that somebody at the cursor has not read.
func (f *feed) after(cursor graph.Version) []*frame {
	if f.last <= cursor {
		return nil
	}
	i, _ := slices.BinarySearchFunc(f.frames, cursor, func(fr *frame, c graph.Version) int {
		if fr.to > c {
			return 1
		}
		return -1
	})
	return f.frames[i:]
}

// backlog holds the deltas of all feeds of a graph, oldest first. Where they are too
// many, the texts of the oldest go first, down to half of the room, and then what
// these did. relay.feedMu guards it.
type backlog struct {
	kept  []keptFrame
	spent int // of how many in kept the texts are gone
	texts int // bytes
	bytes int // with the trails
	limit int
}

type keptFrame struct {
	view  *view
	frame *frame
}

func (b *backlog) add(v *view, f *frame) {
	f.begin = v.feed.bytes
	v.feed.bytes += int64(f.size)
	v.feed.frames = append(v.feed.frames, f)
	v.feed.last = f.to
	b.kept = append(b.kept, keptFrame{v, f})
	b.texts += f.size
	b.bytes += f.size + f.trail.weight()
	for b.bytes > b.limit && len(b.kept) > 0 {
		if b.spent < len(b.kept) && b.texts > b.limit/2 {
			b.dropTexts()
		} else {
			b.forgetOldest()
		}
	}
}

// expire forgets the deltas up to a version: whoever has not read them by now
// gets one merged delta.
func (b *backlog) expire(upTo graph.Version) {
	for len(b.kept) > 0 && b.kept[0].frame.to <= upTo {
		b.forgetOldest()
	}
	if len(b.kept) == 0 {
		b.kept = nil
	}
}

// dropTexts drops the texts of the oldest delta that has them.
func (b *backlog) dropTexts() {
	k := b.kept[b.spent]
	b.spent++
	b.texts -= k.frame.size
	b.bytes -= k.frame.size
	k.frame.texts = nil
	f := &k.view.feed
	f.dropped = k.frame.to
	if j := f.joined.Load(); j != nil && j.first.to <= f.dropped {
		f.joined.Store(nil)
	}
}

func (b *backlog) forgetOldest() {
	if b.spent == 0 {
		b.dropTexts()
	}
	k := b.kept[0]
	b.kept[0] = keptFrame{}
	b.kept = b.kept[1:]
	b.spent--
	b.bytes -= k.frame.trail.weight()
	f := &k.view.feed
	f.frames[0] = nil
	if f.frames = f.frames[1:]; len(f.frames) == 0 {
		f.frames = nil
	}
	f.forgotten = k.frame.to
}
