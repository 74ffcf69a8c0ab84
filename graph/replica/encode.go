package replica

import "github.com/graphtide/graphtide/graph"

// AppendResult appends the members `"objects":{…},"edges":{…}` of a load, by
// id, as they stand in the graph document without the access of objects.
func AppendResult(dst []byte, res *Result) []byte {
	dst = append(dst, `"objects":`...)
	dst = AppendObjects(dst, res.Objects)
	dst = append(dst, `,"edges":`...)
	return AppendEdges(dst, res.Edges)
}

// AppendObjects appends `{"<id>":{…},…}`, the objects without their access.
func AppendObjects(dst []byte, objects []*graph.Object) []byte {
	dst = append(dst, '{')
	for i, o := range objects {
		dst = appendMember(dst, i, o.ID)
		dst = o.AppendJSON(dst, false)
	}
	return append(dst, '}')
}

// AppendEdges appends `{"<id>":{…},…}`.
func AppendEdges(dst []byte, edges []*graph.Edge) []byte {
	dst = append(dst, '{')
	for i, e := range edges {
		dst = appendMember(dst, i, graph.ObjectID(e.ID))
		dst = e.AppendJSON(dst)
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

func appendMember(dst []byte, i int, id graph.ObjectID) []byte {
	if i > 0 {
		dst = append(dst, ',')
	}
	dst = append(dst, '"')
	dst = id.AppendTo(dst)
	return append(dst, `":`...)
}
