package patch

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// Check judges one JSON text: strict RFC 8259, valid UTF-8, no duplicate keys
// (compared after unescaping), no NUL character and no lone surrogate in any
// string or key, numbers within the range of a double and of at most 64
// significant digits, and the limits. It takes time in proportion to the text
// and does not recurse.
func Check(text []byte, lim JSONLimits) *Error {
	if lim.Bytes > 0 && len(text) > lim.Bytes {
		return &Error{Reason: TooLarge, Op: -1, Limit: "bytes", Message: fmt.Sprintf("the text has more than %d bytes", lim.Bytes)}
	}
	c := checkers.Get().(*checker)
	c.b, c.i = text, 0
	e := c.run(lim.depth())
	clear(c.frames[:cap(c.frames)])
	c.b, c.frames, c.keys = nil, c.frames[:0], c.keys[:0]
	if cap(c.frames) <= 1024 && cap(c.keys) <= 1024 {
		checkers.Put(c)
	}
	return e
}

var checkers = sync.Pool{New: func() any { return &checker{frames: make([]frame, 0, 16), keys: make([]span, 0, 32)} }}

type checker struct {
	b      []byte
	i      int
	frames []frame
	keys   []span // of all open objects that have no map
}

// frame is one container that is open.
type frame struct {
	object bool
	n      int  // elements before the present one
	key    span // the present key; empty before the first
	keys   int  // where its keys begin in checker.keys
	set    map[string]struct{}
}

// span is where a string stands in the text, quotes included.
type span struct {
	start, end int
	escaped    bool
}

func (c *checker) raw(s span) []byte { return c.b[s.start:s.end] }

func (c *checker) sameKey(s, t span) bool {
	if !s.escaped && !t.escaped {
		return bytes.Equal(c.raw(s), c.raw(t))
	}
	return bytes.Equal(unescape(c.raw(s)), unescape(c.raw(t)))
}

// linearKeys is how many keys are compared one by one before a map takes over.
const linearKeys = 16

func (c *checker) run(maxDepth int) *Error {
	for {
		// A value begins here.
		c.space()
		if c.i == len(c.b) {
			return c.fail("the text ends where a value should be")
		}
		opened := false
		switch ch := c.b[c.i]; {
		case ch == '{' || ch == '[':
			if len(c.frames) == maxDepth {
				e := c.fail(fmt.Sprintf("more than %d levels", maxDepth))
				e.Reason, e.Limit = TooLarge, "depth"
				return e
			}
			c.frames = append(c.frames, frame{object: ch == '{', keys: len(c.keys)})
			c.i++
			c.space()
			opened = true
		case ch == '"':
			if _, e := c.str(); e != nil {
				return e
			}
		case ch == '-' || '0' <= ch && ch <= '9':
			if e := c.number(); e != nil {
				return e
			}
		default:
			if e := c.literal(); e != nil {
				return e
			}
		}
		// A value has ended, or a container has just been opened.
		more, e := c.next(opened)
		if e != nil {
			return e
		}
		if !more {
			return nil
		}
	}
}

// next goes on from the end of a value, or from behind an opening bracket, to
// where the next value begins; more is false at the end of the text.
func (c *checker) next(opened bool) (more bool, e *Error) {
	for {
		c.space()
		if len(c.frames) == 0 {
			if c.i < len(c.b) {
				return false, c.fail("there is more after the value")
			}
			return false, nil
		}
		f := &c.frames[len(c.frames)-1]
		if c.i == len(c.b) {
			return false, c.fail("the text ends within an array or object")
		}
		ch := c.b[c.i]
		switch {
		case ch == '}' && f.object, ch == ']' && !f.object:
			c.i++
			c.keys = c.keys[:f.keys]
			c.frames = c.frames[:len(c.frames)-1]
			opened = false
			continue
		case opened:
		case ch == ',':
			c.i++
			f.n++
		default:
			return false, c.unexpected()
		}
		if f.object {
			return true, c.member(f)
		}
		return true, nil
	}
}

// member reads a key and the colon.
func (c *checker) member(f *frame) *Error {
	c.space()
	if c.i == len(c.b) || c.b[c.i] != '"' {
		f.key = span{}
		return c.fail(fmt.Sprintf("a key should begin at byte %d", c.i))
	}
	key, e := c.str()
	if e != nil {
		return e
	}
	f.key = key
	if c.duplicate(f, key) {
		return c.fail("a key stands twice in one object")
	}
	c.space()
	if c.i == len(c.b) || c.b[c.i] != ':' {
		return c.fail(fmt.Sprintf("a colon should stand at byte %d", c.i))
	}
	c.i++
	return nil
}

// duplicate notes the key and reports whether the object has it already.
func (c *checker) duplicate(f *frame, key span) bool {
	if f.set != nil {
		before := len(f.set)
		f.set[string(unescape(c.raw(key)))] = struct{}{}
		return len(f.set) == before
	}
	mine := c.keys[f.keys:]
	for _, k := range mine {
		if c.sameKey(k, key) {
			return true
		}
	}
	if len(mine) < linearKeys {
		c.keys = append(c.keys, key)
		return false
	}
	f.set = make(map[string]struct{}, 4*linearKeys)
	for _, k := range mine {
		f.set[string(unescape(c.raw(k)))] = struct{}{}
	}
	f.set[string(unescape(c.raw(key)))] = struct{}{}
	c.keys = c.keys[:f.keys]
	return false
}

func (c *checker) space() {
	for c.i < len(c.b) {
		switch c.b[c.i] {
		case ' ', '\t', '\n', '\r':
			c.i++
		default:
			return
		}
	}
}

// str reads a string.
func (c *checker) str() (span, *Error) {
	s := span{start: c.i}
	ascii := true
	for c.i++; ; {
		c.i = skipPlain(c.b, c.i)
		if c.i >= len(c.b) {
			return s, c.fail("the text ends within a string")
		}
		switch ch := c.b[c.i]; {
		case ch == '"':
			c.i++
			s.end = c.i
			if !ascii && !utf8.Valid(c.raw(s)) {
				return s, c.fail("a string is not valid UTF-8")
			}
			return s, nil
		case ch == '\\':
			s.escaped = true
			if e := c.escape(); e != nil {
				return s, e
			}
		case ch >= 0x80:
			ascii = false
			c.i++
		default:
			return s, c.fail(fmt.Sprintf("a control character at byte %d must be escaped", c.i))
		}
	}
}

// escape reads one escape sequence, a surrogate pair as one.
func (c *checker) escape() *Error {
	rest := c.b[c.i+1:]
	if len(rest) == 0 {
		return c.fail("the text ends within a string")
	}
	switch rest[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		c.i += 2
		return nil
	case 'u':
		r := hex4(rest[1:])
		switch {
		case r < 0:
			return c.fail(fmt.Sprintf("\\u at byte %d needs four hex digits", c.i))
		case r == 0:
			return c.fail("a NUL character is not allowed in a string")
		case !utf16.IsSurrogate(rune(r)):
			c.i += 6
			return nil
		}
		if len(rest) >= 11 && rest[5] == '\\' && rest[6] == 'u' &&
			utf16.DecodeRune(rune(r), rune(hex4(rest[7:]))) != utf8.RuneError {
			c.i += 12
			return nil
		}
		return c.fail("a surrogate stands alone in a string")
	}
	return c.fail(fmt.Sprintf("an unknown escape stands at byte %d", c.i))
}

// plainNumber is how long a number without exponent may be and need no second
// look.
const plainNumber = 15

func (c *checker) number() *Error {
	start := c.i
	exponent := false
	if c.b[c.i] == '-' {
		c.i++
	}
	if c.i < len(c.b) && c.b[c.i] == '0' {
		c.i++
	} else if !c.digits() {
		return c.unexpected()
	}
	if c.i < len(c.b) && c.b[c.i] == '.' {
		c.i++
		if !c.digits() {
			return c.unexpected()
		}
	}
	if c.i < len(c.b) && (c.b[c.i] == 'e' || c.b[c.i] == 'E') {
		exponent = true
		c.i++
		if c.i < len(c.b) && (c.b[c.i] == '+' || c.b[c.i] == '-') {
			c.i++
		}
		if !c.digits() {
			return c.unexpected()
		}
	}
	if c.i-start <= plainNumber && !exponent {
		return nil
	}
	if fault := numberFault(c.b[start:c.i]); fault != "" {
		return c.fail(fault)
	}
	return nil
}

// digits reads one digit or more.
func (c *checker) digits() bool {
	start := c.i
	for c.i < len(c.b) && '0' <= c.b[c.i] && c.b[c.i] <= '9' {
		c.i++
	}
	return c.i > start
}

func (c *checker) literal() *Error {
	word := "null"
	switch c.b[c.i] {
	case 't':
		word = "true"
	case 'f':
		word = "false"
	}
	if len(c.b)-c.i >= len(word) && string(c.b[c.i:c.i+len(word)]) == word {
		c.i += len(word)
		return nil
	}
	return c.unexpected()
}

func (c *checker) unexpected() *Error {
	if c.i >= len(c.b) {
		return c.fail("the text ends too early")
	}
	return c.fail(fmt.Sprintf("unexpected %q at byte %d", c.b[c.i], c.i))
}

// fail makes an error with the path of the place reached.
func (c *checker) fail(message string) *Error {
	var path []byte
	for i := range c.frames {
		f := &c.frames[i]
		switch {
		case !f.object:
			path = append(path, '/')
			path = strconv.AppendInt(path, int64(f.n), 10)
		case f.key.end > 0:
			path = append(path, '/')
			path = appendToken(path, string(unescape(c.raw(f.key))))
		}
	}
	return &Error{Reason: InvalidJSON, Op: -1, Path: string(path), Message: message}
}
