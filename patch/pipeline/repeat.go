package pipeline

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"sync"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// hashSize is how much of a patch's hash is kept with its key.
const hashSize = 16

// hashOf gives what a later patch under the same key is compared with: the
// operations as read, so that the same patch in another notation (escapes,
// numbers, the order of members, an entity's own route) has the same hash.
func hashOf(ops []patch.Op, prefix patch.Pointer) []byte {
	buf := texts.Get().(*[]byte)
	text := (*buf)[:0]
	for _, o := range ops {
		o.Path = canonicalID(join(prefix, o.Path))
		if o.From != nil {
			o.From = canonicalID(join(prefix, o.From))
		}
		text = append(patch.AppendCanonicalOp(text, o), '\n')
	}
	sum := sha256.Sum256(text)
	if cap(text) <= maxText {
		*buf = text
		texts.Put(buf)
	}
	return sum[:hashSize:hashSize]
}

// texts holds what hashOf writes into; larger ones than maxText are let go.
var texts = sync.Pool{New: func() any { return new([]byte) }}

const maxText = 64 << 10

// canonicalID gives the path with its entity's id as the server writes it.
func canonicalID(p patch.Pointer) patch.Pointer {
	if len(p) < 2 {
		return p
	}
	lower := strings.ToLower(p[1])
	if lower == p[1] {
		return p
	}
	p = append(patch.Pointer{}, p...)
	p[1] = lower
	return p
}

// repeats reports whether hash, kept with a key, is that of this patch. Servers
// before hashOf kept the hash of the patch's text.
func (r *request) repeats(hash []byte) bool {
	return bytes.Equal(hash, r.hash) || bytes.Equal(hash, textHash(r.m))
}

func textHash(m *graph.Mutation) []byte {
	h := sha256.New()
	h.Write([]byte(m.Prefix))
	h.Write([]byte{0})
	h.Write(patch.Compact(m.Patch))
	return h.Sum(nil)[:hashSize]
}
