package server

import (
	"strconv"

	"github.com/graphtide/graphtide/graph"
)

// appendCommit appends a commit as the log shows it. Where it is not shown in
// full, only its place and the patch given are.
func appendCommit(dst []byte, c *graph.Commit, full bool, done []byte) []byte {
	dst = append(dst, `{"version":`...)
	dst = strconv.AppendInt(dst, int64(c.Version), 10)
	dst = append(dst, `,"at":"`...)
	dst = c.At.UTC().AppendFormat(dst, graph.TimeFormat)
	dst = append(dst, '"')
	if full {
		dst = append(dst, `,"by":`...)
		dst = graph.AppendString(dst, c.Author.User) // "" when anonymous, as in meta
		dst = append(dst, `,"mutation":`...)
		dst = appendText(dst, c.Mutation)
		dst = append(dst, `,"group":`...)
		dst = appendText(dst, c.Group)
		dst = append(dst, `,"note":`...)
		dst = appendText(dst, c.Note)
		dst = append(dst, `,"cause":`...)
		dst = appendCause(dst, c.Cause)
	}
	dst = append(dst, `,"patch":`...)
	dst = append(dst, done...)
	return append(dst, '}')
}

// appendText appends a text, null for none.
func appendText(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return graph.AppendString(dst, s)
}

func appendCause(dst []byte, c graph.Cause) []byte {
	kind := c.Kind
	if kind == "" {
		kind = graph.CauseClient
	}
	dst = append(dst, `{"kind":`...)
	dst = graph.AppendString(dst, string(kind))
	if c.Version != 0 {
		dst = append(dst, `,"version":`...)
		dst = strconv.AppendInt(dst, int64(c.Version), 10)
	}
	if c.Run != "" {
		dst = append(dst, `,"run":`...)
		dst = graph.AppendString(dst, c.Run)
	}
	return append(dst, '}')
}
