package fanout

import "weak"

// keptLoads bounds the encoded loads that a relay's views keep for whoever comes next.
// After a node has gone, thousands come at once. One load serves all who share a view,
// but of views that are somebody's own there are as many as there are users, each with
// as much text as the one before. The oldest are forgotten first; what a session is
// about to send stays until it has.
//
// It keeps nothing alive: a load that its view has forgotten counts until it is the oldest.
type keptLoads struct {
	limit  int // about how many bytes
	weight int
	list   []keptLoad // oldest first
}

type keptLoad struct {
	view   weak.Pointer[view]
	load   weak.Pointer[body]
	weight int
}

// keptWeight is what a load takes beside its entities.
const keptWeight = 256

// keep notes that a view has a new load. The newest is kept whatever its size.
func (k *keptLoads) keep(v *view, b *body) {
	weight := b.text + keptWeight
	k.list = append(k.list, keptLoad{weak.Make(v), weak.Make(b), weight})
	for k.weight += weight; k.weight > k.limit && len(k.list) > 1; {
		k.forget()
	}
}

// forget lets the oldest go.
func (k *keptLoads) forget() {
	first := k.list[0]
	k.list = k.list[1:]
	k.weight -= first.weight
	if v := first.view.Value(); v != nil && v.load != nil && v.load == first.load.Value() {
		v.load = nil
	}
}
