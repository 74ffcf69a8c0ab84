package patch

// outcome is how the walk along a pointer ended.
type outcome uint8

const (
	reached   outcome = iota // at the target, or where it could be added
	absent                   // the target, or something on the way, does not exist
	malformed                // a token is no array index
)

// site is where a pointer leads in a text.
type site struct {
	parent     byte // '{' or '['; 0 for the document itself
	found      bool // the target exists; otherwise it may be added
	first      bool // nothing stands before it in its container
	prev       int  // behind the item before it, or behind the opening bracket
	item       int  // where the element, or the member's key, begins
	start, end int  // its value
}

// locate walks along p. It scans nothing behind the target.
func locate(doc []byte, p Pointer) (site, outcome) {
	i := skipSpace(doc, 0)
	if i == len(doc) {
		return site{}, absent
	}
	s := site{found: true, item: i, start: i}
	for depth, token := range p {
		switch doc[s.start] {
		case '{':
			s = findMember(doc, s.start, token)
		case '[':
			n, o := position(token)
			if o != reached {
				return site{}, o
			}
			var beyond bool
			if s, beyond = findElement(doc, s.start, n); beyond {
				return site{}, absent
			}
		default:
			return site{}, absent
		}
		if !s.found && depth < len(p)-1 {
			return site{}, absent
		}
	}
	if s.found {
		s.end = skipValue(doc, s.start)
	}
	return s, reached
}

// behindLast is the position that the token `-` stands for.
const behindLast = -1

// position reads the token of an array's element.
func position(token string) (int, outcome) {
	if token == "-" {
		return behindLast, reached
	}
	n, ok := index(token)
	if !ok {
		return 0, malformed
	}
	return n, reached
}

// findMember looks for a key in the object that opens at open.
func findMember(doc []byte, open int, key string) site {
	s := site{parent: '{', prev: open + 1}
	for i := skipSpace(doc, open+1); doc[i] != '}'; {
		if doc[i] == ',' {
			i = skipSpace(doc, i+1)
		}
		end := skipString(doc, i)
		value := skipSpace(doc, skipSpace(doc, end)+1) // over the colon
		if keyIs(doc[i:end], key) {
			s.found, s.item, s.start = true, i, value
			break
		}
		s.prev = skipValue(doc, value)
		i = skipSpace(doc, s.prev)
	}
	s.first = s.prev == open+1
	return s
}

// findElement looks for the n-th element of the array that opens at open;
// beyond is true past the place behind the last.
func findElement(doc []byte, open, n int) (s site, beyond bool) {
	s = site{parent: '[', prev: open + 1}
	k := 0
	for i := skipSpace(doc, open+1); doc[i] != ']'; k++ {
		if doc[i] == ',' {
			i = skipSpace(doc, i+1)
		}
		if k == n {
			s.found, s.item, s.start = true, i, i
			break
		}
		s.prev = skipValue(doc, i)
		i = skipSpace(doc, s.prev)
	}
	s.first = s.prev == open+1
	return s, !s.found && n != behindLast && n != k
}
