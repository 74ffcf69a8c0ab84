package schema

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cursor is a place in the document: a node, where it stands, and how messages
// name it. A cursor whose node is nil stands for an absent key.
type cursor struct {
	f         *faults
	n         *node
	line, col int
	pointer   string
	what      string // "type DataStore"
	key       string // "edges.out.creator", within what
}

// fault notes what is wrong here.
func (c cursor) fault(format string, args ...any) {
	what := c.what
	if c.key != "" {
		if what != "" {
			what += ", "
		}
		what += "key " + c.key
	}
	c.f.add(c.line, c.col, c.pointer, what, fmt.Sprintf(format, args...))
}

func escapeToken(s string) string {
	if !strings.ContainsAny(s, "~/") {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1")
}

// child gives the cursor of a member.
func (c cursor) child(m *member) cursor {
	key := m.key
	if c.key != "" {
		key = c.key + "." + key
	}
	return cursor{c.f, m.value, m.line, m.col, c.pointer + "/" + escapeToken(m.key), c.what, key}
}

// named gives the cursor with a new start of messages: below it, keys count
// from this place.
func (c cursor) named(what string) cursor {
	c.what, c.key = what, ""
	return c
}

// field gives a member, ok false where it is absent.
func (c cursor) field(key string) (cursor, bool) {
	m := c.n.get(key)
	if m == nil {
		return cursor{}, false
	}
	return c.child(m), true
}

// fields gives all members; none, with a fault, where this is no map. Nothing
// after the colon is an empty map.
func (c cursor) fields() []cursor {
	if !c.isMap() {
		return nil
	}
	out := make([]cursor, len(c.n.members))
	for i := range c.n.members {
		out[i] = c.child(&c.n.members[i])
	}
	return out
}

// name is the last key of the pointer.
func (c cursor) name() string {
	last := c.pointer[strings.LastIndexByte(c.pointer, '/')+1:]
	return strings.ReplaceAll(strings.ReplaceAll(last, "~1", "/"), "~0", "~")
}

func (c cursor) isMap() bool {
	if c.n.kind == mapKind || c.n.kind == nullKind {
		return true
	}
	c.fault("must be a map, here it is %s", c.n.kind)
	return false
}

// only refuses members with other names.
func (c cursor) only(known ...string) {
	if c.n.kind != mapKind {
		return
	}
	for i := range c.n.members {
		m := &c.n.members[i]
		if !slices.Contains(known, m.key) {
			c.child(m).fault("unknown key %s%s; known here: %s", quoteShort(m.key), didYouMean(m.key, known), strings.Join(known, ", "))
		}
	}
}

// items gives the elements of a list; a single value that is no list counts as
// a list of one.
func (c cursor) items() []cursor {
	if c.n.kind != listKind {
		return []cursor{c}
	}
	out := make([]cursor, len(c.n.items))
	for i, n := range c.n.items {
		out[i] = cursor{c.f, n, n.line, n.col, c.pointer + "/" + strconv.Itoa(i), c.what, c.key + "[" + strconv.Itoa(i) + "]"}
	}
	return out
}

// list is items where only a list will do.
func (c cursor) list() []cursor {
	if c.n.kind != listKind {
		c.fault("must be a list, here it is %s", c.n.kind)
		return nil
	}
	return c.items()
}

// text gives a text that is not empty.
func (c cursor) text() (string, bool) {
	if c.n.kind != stringKind {
		c.fault("must be text, here it is %s", c.n.kind)
		return "", false
	}
	if c.n.text == "" {
		c.fault("must not be empty")
		return "", false
	}
	return c.n.text, true
}

// texts gives a list of texts; one text counts as a list of one.
func (c cursor) texts() []string {
	var out []string
	for _, item := range c.items() {
		if s, ok := item.text(); ok {
			if slices.Contains(out, s) {
				item.fault("%s stands twice", quoteShort(s))
				continue
			}
			out = append(out, s)
		}
	}
	return out
}

// bool gives true or false.
func (c cursor) bool() bool {
	if c.n.kind != boolKind {
		c.fault("must be true or false, here it is %s", c.n.kind)
	}
	return c.n.yes
}

// int gives a whole number within the bounds.
func (c cursor) int(low, high int) (int, bool) {
	if c.n.kind != numberKind {
		c.fault("must be a whole number, here it is %s", c.n.kind)
		return 0, false
	}
	i, err := strconv.Atoi(c.n.text)
	if err != nil || i < low || i > high {
		c.fault("must be a whole number from %d to %d, here it is %s", low, high, c.n.text)
		return 0, false
	}
	return i, true
}

// oneOf gives a text that is one of the words.
func (c cursor) oneOf(words ...string) string {
	s, ok := c.text()
	if ok && !slices.Contains(words, s) {
		c.fault("must be one of %s, here it is %s%s", strings.Join(words, ", "), quoteShort(s), didYouMean(s, words))
	}
	return s
}

// duration gives a time span such as 30s, 10m or 30d.
func (c cursor) duration(low, high time.Duration) (time.Duration, bool) {
	s, ok := c.text()
	if !ok {
		return 0, false
	}
	d, ok := parseDuration(s)
	if !ok {
		c.fault("must be a duration such as 30s, 10m, 12h or 30d, here it is %s", quoteShort(s))
		return 0, false
	}
	if d < low || d > high {
		c.fault("must be from %s to %s, here it is %s", low, high, s)
		return 0, false
	}
	return d, true
}

// parseDuration is time.ParseDuration with d for days and w for weeks.
func parseDuration(s string) (time.Duration, bool) {
	if n := len(s); n > 1 && n < 12 && (s[n-1] == 'd' || s[n-1] == 'w') {
		unit := 24 * time.Hour
		if s[n-1] == 'w' {
			unit *= 7
		}
		i, err := strconv.ParseUint(s[:n-1], 10, 16)
		return time.Duration(i) * unit, err == nil
	}
	d, err := time.ParseDuration(s)
	return d, err == nil
}
