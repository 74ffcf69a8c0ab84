package graph

import (
	"encoding/json"
	"strconv"
	"time"
)

// TimeFormat is how times are written on the wire: RFC 3339 in UTC with
// milliseconds, the precision that a browser's Date keeps.
const TimeFormat = "2006-01-02T15:04:05.000Z"

// Meta is the server's part of an entity.
type Meta struct {
	Version        Version // of the last commit that touched the entity
	CreatedVersion Version
	CreatedAt      time.Time
	CreatedBy      string // a user's sub, or run:<id>
	UpdatedAt      time.Time
	UpdatedBy      string
}

// Object is a node of the graph.
type Object struct {
	ID     ObjectID
	Type   string
	Body   json.RawMessage // a JSON object: checked, compact, as written otherwise
	Access *ACL            // never nil
	Meta   Meta
}

// Edge is a directed edge; at most one exists per (Label, From, To).
type Edge struct {
	ID       EdgeID
	Label    string
	From, To ObjectID
	Body     json.RawMessage // a JSON object; never empty, `{}` at the least
	Meta     Meta
}

// ACL maps a right to its holders. Raw is its JSON text, for instance
//
//	{"read":{"users":{"ann":true},"teams":{},"orgs":{},"public":false,"inherit":{"dataStore":true}}}
//
// `inherit` names outbound labels: whoever holds the right on the object at the
// far end holds it here. ACLs are parsed by graph/access and shared.
type ACL struct {
	Raw    json.RawMessage
	Rights map[string]*Holders
}

// Holders says who holds one right.
type Holders struct {
	Users, Teams, Orgs map[string]bool
	Public             bool
	Inherit            []string // outbound labels, sorted
}

// Principal is who acts: the content of a token, or a run.
type Principal struct {
	User      string   // sub; "run:<id>" for a handler; "" when anonymous
	Teams     []string // sorted
	Org       string
	Graphs    []string // names or prefixes with a trailing *; nil means main alone
	Admin     bool     // every right in Graphs
	Anonymous bool
}

// AppendJSON appends the meta member's value.
func (m *Meta) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"version":`...)
	dst = strconv.AppendInt(dst, int64(m.Version), 10)
	dst = append(dst, `,"createdVersion":`...)
	dst = strconv.AppendInt(dst, int64(m.CreatedVersion), 10)
	dst = append(dst, `,"createdAt":"`...)
	dst = AppendTime(dst, m.CreatedAt)
	dst = append(dst, `","createdBy":`...)
	dst = AppendString(dst, m.CreatedBy)
	dst = append(dst, `,"updatedAt":"`...)
	dst = AppendTime(dst, m.UpdatedAt)
	dst = append(dst, `","updatedBy":`...)
	dst = AppendString(dst, m.UpdatedBy)
	return append(dst, '}')
}

// AppendJSON appends the object as it stands in the graph document, without its
// id: type, body, access where withAccess, meta.
func (o *Object) AppendJSON(dst []byte, withAccess bool) []byte {
	return append(o.Meta.AppendJSON(o.appendOwn(dst, withAccess)), '}')
}

// appendOwn appends the object up to the value of its meta.
func (o *Object) appendOwn(dst []byte, withAccess bool) []byte {
	dst = append(dst, `{"type":`...)
	dst = AppendString(dst, o.Type)
	dst = append(dst, `,"body":`...)
	dst = append(dst, o.Body...)
	if withAccess {
		dst = append(dst, `,"access":`...)
		dst = append(dst, o.Access.Raw...)
	}
	return append(dst, `,"meta":`...)
}

// AppendJSON appends the edge as it stands in the graph document, without its id.
func (e *Edge) AppendJSON(dst []byte) []byte {
	return append(e.Meta.AppendJSON(e.appendOwn(dst)), '}')
}

// appendOwn appends the edge up to the value of its meta.
func (e *Edge) appendOwn(dst []byte) []byte {
	dst = append(dst, `{"label":`...)
	dst = AppendString(dst, e.Label)
	dst = append(dst, `,"from":"`...)
	dst = e.From.AppendTo(dst)
	dst = append(dst, `","to":"`...)
	dst = e.To.AppendTo(dst)
	dst = append(dst, `","body":`...)
	dst = append(dst, e.Body...)
	return append(dst, `,"meta":`...)
}

// AppendString appends s as a JSON string. `<`, `>` and `&` are left as they are.
func AppendString(dst []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		start = i + 1
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
