package server

import (
	"strconv"
	"strings"

	"github.com/graphtide/graphtide/graph"
)

// etag gives the entity tag of a version.
func etag(v graph.Version) string { return `"` + strconv.FormatInt(int64(v), 10) + `"` }

// tag is one entity tag of a condition (RFC 9110, 8.8.3).
type tag struct {
	opaque string
	weak   bool
}

// parseTags reads the value of If-Match or If-None-Match: `*`, or tags parted
// by commas. ok is false where it is neither.
func parseTags(values []string) (tags []tag, any, ok bool) {
	s := strings.TrimSpace(strings.Join(values, ","))
	if s == "*" {
		return nil, true, true
	}
	for first := true; ; first = false {
		s = strings.TrimLeft(s, " \t")
		if s == "" {
			return tags, false, len(tags) > 0
		}
		if !first {
			if s[0] != ',' {
				return nil, false, false
			}
			s = strings.TrimLeft(s[1:], " \t")
			if s == "" {
				return tags, false, true
			}
			if s[0] == ',' { // RFC 9110, 5.6.1: empty elements are passed over
				continue
			}
		}
		var t tag
		if strings.HasPrefix(s, "W/") {
			t.weak, s = true, s[2:]
		}
		if s == "" || s[0] != '"' {
			return nil, false, false
		}
		end := strings.IndexByte(s[1:], '"')
		if end < 0 {
			return nil, false, false
		}
		t.opaque, s = s[1:1+end], s[2+end:]
		for i := range len(t.opaque) {
			if c := t.opaque[i]; c < 0x21 || c == 0x7f {
				return nil, false, false
			}
		}
		tags = append(tags, t)
	}
}

// noVersion is one that no entity has: a condition on it never holds.
const noVersion graph.Version = -1

// ifMatch gives the version that If-Match asks of the entity; nil where there
// is no such header, or it is `*`. Of several tags the one that is the present
// version is taken, if any is; the write path judges it again. Weak tags never
// match (RFC 9110, 13.1.1).
func ifMatch(values []string, present func() (graph.Version, error)) (*graph.Version, error) {
	if len(values) == 0 {
		return nil, nil
	}
	tags, any, ok := parseTags(values)
	if !ok {
		return nil, graph.Errf(graph.CodeInvalidVersion, `If-Match takes "<version>", several of them, or *`)
	}
	if any {
		return nil, nil
	}
	var asked []graph.Version
	for _, t := range tags {
		if v, ok := parseVersion(t.opaque); ok && !t.weak {
			asked = append(asked, v)
		}
	}
	want := noVersion
	if len(asked) > 0 {
		want = asked[0]
	}
	if len(asked) > 1 {
		now, err := present()
		if err != nil {
			return nil, err
		}
		for _, v := range asked {
			if v == now {
				want = v
			}
		}
	}
	return &want, nil
}

// notModified reports whether If-None-Match names the tag. The comparison is
// the weak one (RFC 9110, 13.1.2); a malformed header holds for nothing.
func notModified(values []string, current string) bool {
	if len(values) == 0 {
		return false
	}
	tags, any, ok := parseTags(values)
	if !ok {
		return false
	}
	if any {
		return true
	}
	for _, t := range tags {
		if `"`+t.opaque+`"` == current {
			return true
		}
	}
	return false
}
