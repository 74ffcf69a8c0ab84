package server

import (
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/graphtide/graphtide/graph"
)

// The request headers of our own.
const (
	headerKey        = "Idempotency-Key"
	headerBase       = "Graphtide-Base"
	headerGroup      = "Graphtide-Group"
	headerNote       = "Graphtide-Note"
	headerMinVersion = "Graphtide-Min-Version"
	headerEpoch      = "Graphtide-Epoch"
)

const (
	maxKey  = 200 // characters of an Idempotency-Key
	maxNote = 200 // characters of a note
)

// mutation makes the mutation that a request asks for, its patch aside.
func mutation(h http.Header, c *call) (*graph.Mutation, error) {
	m := &graph.Mutation{Author: *c.p, Cause: graph.Cause{Kind: graph.CauseClient}}
	if run := c.id.Run; run != nil {
		fence := run.Fence
		m.Cause, m.Fence, m.Depth = run.Cause, &fence, run.Depth
		// What an earlier attempt committed counts, whatever is sent with its key now.
		m.ReplayAny = fence.Attempt > 1
	}
	key, set, err := single(h, headerKey)
	if err != nil {
		return nil, err
	}
	if set {
		if !validKey(key) {
			return nil, badHeader(headerKey, "1 to 200 printable ASCII characters")
		}
		m.Key = key
	}
	base, set, err := single(h, headerBase)
	if err != nil {
		return nil, err
	}
	if set {
		v, ok := parseVersion(base)
		if !ok {
			return nil, badHeader(headerBase, "a version")
		}
		m.Base = &v
	}
	group, set, err := single(h, headerGroup)
	if err != nil {
		return nil, err
	}
	if set {
		id, ok := graph.ParseObjectID(group)
		if !ok {
			return nil, badHeader(headerGroup, "a UUID")
		}
		m.Group = id.String()
	}
	note, set, err := single(h, headerNote)
	if err != nil {
		return nil, err
	}
	if set {
		if !validNote(note) {
			return nil, badHeader(headerNote, "up to 200 characters of UTF-8, none of them a control")
		}
		m.Note = note
	}
	return m, nil
}

// single gives a header that may come once.
func single(h http.Header, name string) (value string, set bool, err error) {
	v := h.Values(name)
	if len(v) > 1 {
		return "", false, badHeader(name, "one value")
	}
	if len(v) == 0 {
		return "", false, nil
	}
	return v[0], true, nil
}

func badHeader(name, want string) *graph.Error {
	return graph.Errf(graph.CodeInvalidPatch, "the header %s takes %s", name, want)
}

func validKey(s string) bool {
	if len(s) < 1 || len(s) > maxKey {
		return false
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

func validNote(s string) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= maxNote && !strings.ContainsFunc(s, unicode.IsControl)
}

// parseVersion reads a version: digits alone, no sign, no leading zero.
func parseVersion(s string) (graph.Version, bool) {
	if s == "" || (len(s) > 1 && s[0] == '0') {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return graph.Version(n), err == nil
}
