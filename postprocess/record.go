package postprocess

import (
	"encoding/json"
	"strings"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// recordBytes bounds what is kept of a request and of an answer.
const recordBytes = 64 << 10

// storable gives what came from outside in a form that the database takes: as
// it is where it is strict JSON and not too long, else its beginning as a text.
func storable(raw []byte) json.RawMessage {
	if len(raw) == 0 {
		return nil
	}
	if len(raw) <= recordBytes && patch.Check(raw, patch.JSONLimits{}) == nil {
		return raw
	}
	text := raw[:min(len(raw), recordBytes)]
	clean := strings.ReplaceAll(strings.ToValidUTF8(string(text), "\uFFFD"), "\x00", "\uFFFD")
	return graph.AppendString(nil, clean)
}
