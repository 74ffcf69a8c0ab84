package fanout

import (
	"sync"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/server/protocol"
)

// body is the shared part of a load, encoded by the first session that sends
// it: outside of all locks, and not by the relay, which has others to serve.
type body struct {
	once   sync.Once
	build  func() [][]byte
	frames [][]byte
	weight int  // about how much memory it keeps, where its entities are of average size
	text   int  // of a whole view: about how long it is
	kept   bool // counted in keptLoads; the relay's own
}

// entityRoom is what an entity takes in a load beside its body, on average.
const entityRoom = 250

// entityWeight is what an entity takes in a load, on average.
const entityWeight = 400

func (b *body) encoded() [][]byte {
	b.once.Do(func() { b.frames, b.build = b.build(), nil })
	return b.frames
}

// wholeBody is that of a whole view. It takes the slices over.
func wholeBody(objects []*graph.Object, edges []*graph.Edge, roots []graph.ObjectID, digest uint32) *body {
	text := entityRoom * (len(objects) + len(edges))
	for _, o := range objects {
		text += len(o.Body)
	}
	for _, e := range edges {
		text += len(e.Body)
	}
	return &body{weight: entityWeight * (len(objects) + len(edges)), text: text, build: func() [][]byte {
		l := protocol.Whole{Objects: objects, Edges: edges, Roots: roots, Digest: digest}
		return l.Bodies(protocol.MaxMessage)
	}}
}

// differenceBody is that of a load that builds on what the client holds.
func differenceBody(d *difference, roots []graph.ObjectID, digest uint32) *body {
	return &body{weight: entityWeight * len(d.entries), build: func() [][]byte {
		l := protocol.Load{Entries: d.encoded(), Roots: roots, Digest: digest, Mutations: d.mutations}
		return l.Bodies(protocol.MaxMessage)
	}}
}

// deltaBody is a whole delta, for a session that has fallen behind.
func deltaBody(d *difference, view string, at graph.Version) *body {
	return &body{weight: entityWeight * len(d.entries), build: func() [][]byte {
		p := protocol.Delta{
			View: view, Version: at, At: d.at, By: d.by, Mutations: d.mutations,
			Entries: d.encoded(), Roots: d.roots, HasRoots: d.rerooted,
		}
		return p.Frames(protocol.MaxMessage)
	}}
}
