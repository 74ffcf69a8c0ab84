package replica

import "github.com/graphtide/graphtide/graph"

// AppendResult appends the members `"objects":{…},"edges":{…}` of a load, by
// id, as they stand in the graph document without the access of objects. Where
// spill is set it is called with the text so far after every entity, and what it
// returns is gone on with: it may have written the text and emptied it.
func AppendResult(dst []byte, res *Result, spill func(dst []byte) []byte) []byte {
	var c graph.Encoder
	dst = append(dst, `"objects":{`...)
	for i, o := range res.Objects {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst = c.Object(dst, o); spill != nil {
			dst = spill(dst)
		}
	}
	dst = append(dst, `},"edges":{`...)
	for i, e := range res.Edges {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst = c.Edge(dst, e); spill != nil {
			dst = spill(dst)
		}
	}
	return append(dst, '}')
}

// AppendIDs appends `["<id>",…]`, the form of `roots`.
func AppendIDs(dst []byte, ids []graph.ObjectID) []byte {
	dst = append(dst, '[')
	for i, id := range ids {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = id.AppendTo(dst)
		dst = append(dst, '"')
	}
	return append(dst, ']')
}
