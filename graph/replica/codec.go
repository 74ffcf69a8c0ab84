package replica

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/access"
)

// The binary form of entities, shared by entries of the second level and by
// images. Numbers are varints, texts have their length in front.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errFormat = errors.New("the bytes are not what was written")

func appendText[T ~string | ~[]byte](dst []byte, t T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(t)))
	return append(dst, t...)
}

func appendMeta(dst []byte, m *graph.Meta) []byte {
	dst = binary.AppendVarint(dst, int64(m.Version))
	dst = binary.AppendVarint(dst, int64(m.CreatedVersion))
	dst = binary.AppendVarint(dst, m.CreatedAt.UnixMicro())
	dst = binary.AppendVarint(dst, m.UpdatedAt.UnixMicro())
	dst = appendText(dst, m.CreatedBy)
	return appendText(dst, m.UpdatedBy)
}

func appendObject(dst []byte, o *graph.Object) []byte {
	dst = append(dst, o.ID[:]...)
	dst = appendText(dst, o.Type)
	dst = appendMeta(dst, &o.Meta)
	dst = appendText(dst, o.Access.Raw)
	return appendText(dst, o.Body)
}

func appendEdge(dst []byte, e *graph.Edge) []byte {
	dst = append(dst, e.ID[:]...)
	dst = append(dst, e.From[:]...)
	dst = append(dst, e.To[:]...)
	dst = appendText(dst, e.Label)
	dst = appendMeta(dst, &e.Meta)
	return appendText(dst, e.Body)
}

// seal appends the checksum of what has been written.
func seal(dst []byte) []byte {
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst, castagnoli))
}

// unseal gives what stands before a right checksum.
func unseal(b []byte) ([]byte, error) {
	n := len(b) - 4
	if n < 0 || binary.LittleEndian.Uint32(b[n:]) != crc32.Checksum(b[:n], castagnoli) {
		return nil, errFormat
	}
	return b[:n], nil
}

// scanner reads what the functions above wrote. It remembers the first fault,
// after which it gives nothing; it allocates no more than there are bytes. What
// it gives shares its bytes.
type scanner struct {
	b   []byte
	err error
	// names keeps one copy of each of the few words that come again and again.
	names map[string]string
	// apart: what it gives does not share the bytes, which are much and go away.
	apart bool
	acls  map[string]*graph.ACL
}

func (s *scanner) fail() {
	if s.err == nil {
		s.err = errFormat
	}
	s.b = nil
}

func (s *scanner) byte() byte {
	if len(s.b) == 0 {
		s.fail()
		return 0
	}
	c := s.b[0]
	s.b = s.b[1:]
	return c
}

func (s *scanner) int() int64 {
	v, n := binary.Varint(s.b)
	if n <= 0 {
		s.fail()
		return 0
	}
	s.b = s.b[n:]
	return v
}

// count reads the number of things that follow, each at least so many bytes.
func (s *scanner) count(each int) int {
	v, n := binary.Uvarint(s.b)
	if n <= 0 || v > uint64(len(s.b)-n)/uint64(each) {
		s.fail()
		return 0
	}
	s.b = s.b[n:]
	return int(v)
}

func (s *scanner) bytes() []byte {
	n := s.count(1)
	if n > len(s.b) {
		s.fail()
		return nil
	}
	out := s.b[:n:n]
	s.b = s.b[n:]
	return out
}

func (s *scanner) name() string {
	b := s.bytes()
	if name, ok := s.names[string(b)]; ok {
		return name
	}
	if s.names == nil {
		s.names = map[string]string{}
	}
	name := string(b)
	s.names[name] = name
	return name
}

func (s *scanner) id() (id [16]byte) {
	if len(s.b) < len(id) {
		s.fail()
		return id
	}
	copy(id[:], s.b)
	s.b = s.b[len(id):]
	return id
}

func (s *scanner) meta() graph.Meta {
	return graph.Meta{
		Version: graph.Version(s.int()), CreatedVersion: graph.Version(s.int()),
		CreatedAt: time.UnixMicro(s.int()).UTC(), UpdatedAt: time.UnixMicro(s.int()).UTC(),
		CreatedBy: s.name(), UpdatedBy: s.name(),
	}
}

func (s *scanner) object() *graph.Object {
	o := &graph.Object{ID: s.id(), Type: s.name(), Meta: s.meta()}
	o.Access, o.Body = s.access(), s.body()
	if s.err != nil {
		return nil
	}
	return o
}

func (s *scanner) access() *graph.ACL {
	raw := s.bytes()
	if acl := s.acls[string(raw)]; acl != nil {
		return acl
	}
	acl, violations := access.Parse(bytes.Clone(raw))
	if s.err != nil || len(violations) > 0 {
		s.fail()
		return nil
	}
	if s.acls == nil {
		s.acls = map[string]*graph.ACL{}
	}
	s.acls[string(raw)] = acl
	return acl
}

// body reads a JSON object.
func (s *scanner) body() json.RawMessage {
	b := s.bytes()
	if len(b) < 2 || b[0] != '{' || b[len(b)-1] != '}' {
		s.fail()
		return nil
	}
	if s.apart {
		return bytes.Clone(b)
	}
	return b
}

func (s *scanner) edge() *graph.Edge {
	e := &graph.Edge{ID: s.id(), From: s.id(), To: s.id(), Label: s.name(), Meta: s.meta(), Body: s.body()}
	if s.err != nil {
		return nil
	}
	return e
}

// The fewest bytes that an edge and an object take.
const (
	leastEdge   = 3*16 + 8
	leastObject = 16 + 9
)

func (s *scanner) edges() []*graph.Edge {
	out := make([]*graph.Edge, 0, s.count(leastEdge))
	for range cap(out) {
		e := s.edge()
		if e == nil {
			return nil
		}
		out = append(out, e)
	}
	return out
}

// end reports a fault, or bytes that were not read.
func (s *scanner) end() error {
	if s.err == nil && len(s.b) > 0 {
		s.fail()
	}
	return s.err
}
