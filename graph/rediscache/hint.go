package rediscache

import (
	"strconv"
	"strings"

	"github.com/graphtide/graphtide/graph"
)

// hint is one message: "<graph key> <version> <epoch>".
type hint struct {
	graph   graph.GraphKey
	epoch   string
	version graph.Version
}

func (h hint) append(dst []byte) []byte {
	dst = strconv.AppendInt(dst, int64(h.graph), 10)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, int64(h.version), 10)
	dst = append(dst, ' ')
	return append(dst, h.epoch...)
}

// parseHint reads a message. Anybody may write to a Redis channel: what is not
// a hint is not ok.
func parseHint(s string) (h hint, ok bool) {
	key, rest, ok1 := strings.Cut(s, " ")
	version, epoch, ok2 := strings.Cut(rest, " ")
	if !ok1 || !ok2 || len(epoch) > 100 {
		return hint{}, false
	}
	k, err1 := strconv.ParseInt(key, 10, 64)
	v, err2 := strconv.ParseInt(version, 10, 64)
	if err1 != nil || err2 != nil || v < 0 {
		return hint{}, false
	}
	return hint{graph.GraphKey(k), epoch, graph.Version(v)}, true
}
