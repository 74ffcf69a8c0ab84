package postprocess

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
)

// runSpace is the name space of the ids of runs.
var runSpace = uuid.MustParse("6b1c1f0e-6f0a-5f5e-9d0c-9a6a1b8f3d57")

// runID names the run of a rule for a change: the same change gives the same
// id on whichever node and however often it is matched.
func runID(g graph.GraphKey, epoch string, v graph.Version, kind graph.RunKind, rule string, entity graph.Ref) string {
	name := strings.Join([]string{
		strconv.FormatInt(int64(g), 10), epoch, strconv.FormatInt(int64(v), 10), string(kind), entity.Pointer(), rule,
	}, "\n")
	return uuid.NewSHA1(runSpace, []byte(name)).String()
}

// writeKey names a transaction of a run other than its answer, whose key is the
// run's id.
func writeKey(run, name string) string {
	return uuid.NewSHA1(uuid.MustParse(run), []byte(name)).String()
}

// tokenSize is the length of a token's random part: nobody guesses it.
const tokenSize = 32

// newToken makes the token of an attempt. It names the run, so that it can be
// looked up; only its hash is stored.
func newToken(run string) (token string, hash []byte) {
	id := uuid.MustParse(run)
	raw := make([]byte, len(id)+tokenSize)
	copy(raw, id[:])
	rand.Read(raw[len(id):]) // never fails: crypto/rand
	sum := sha256.Sum256(raw)
	return graph.RunTokenPrefix + base64.RawURLEncoding.EncodeToString(raw), sum[:]
}

// tokenRun gives the run that a token names; the hash decides whether it is
// one.
func tokenRun(token string) (run string, hash []byte, ok bool) {
	text, ok := strings.CutPrefix(token, graph.RunTokenPrefix)
	if !ok {
		return "", nil, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != 16+tokenSize {
		return "", nil, false
	}
	sum := sha256.Sum256(raw)
	return uuid.UUID(raw[:16]).String(), sum[:], true
}

func sameHash(a, b []byte) bool { return len(a) > 0 && subtle.ConstantTimeCompare(a, b) == 1 }
