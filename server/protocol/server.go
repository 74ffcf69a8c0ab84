package protocol

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/graphtide/graphtide/graph"
)

// User is a session's user as the welcome shows it.
type User struct {
	ID    string   `json:"id"`
	Teams []string `json:"teams"`
	Org   string   `json:"org"`
	Admin bool     `json:"admin"`
}

// SessionBounds are what a client can run into beside graph.Limits. 0 is no
// bound.
type SessionBounds struct {
	Messages       int   `json:"messagesPerSecond"` // mutations not counted
	Burst          int   `json:"messagesAtOnce"`
	InFlight       int   `json:"inFlight"`      // unanswered mutations: over it the server does not read on
	InFlightBytes  int   `json:"inFlightBytes"` // likewise
	WaitingBytes   int   `json:"waitingBytes"`  // of answers that the client has not taken: likewise
	Present        int   `json:"presenceObjects"`
	Sessions       int   `json:"sessions"` // of the node
	PerUser        int   `json:"sessionsPerUser"`
	PerAddress     int   `json:"sessionsPerAddress"`
	HelloMs        int64 `json:"helloMs"`
	StallMs        int64 `json:"stallMs"`
	NameBytes      int   `json:"nameBytes"` // of a subscription
	NoteCharacters int   `json:"noteCharacters"`
}

// Welcome answers a hello.
type Welcome struct {
	Graph     string
	Session   string
	Epoch     string
	Version   graph.Version
	User      User
	Schema    int64
	Limits    graph.Limits
	Bounds    SessionBounds
	Applied   map[string]graph.Version // of the hello's pending: those in the log
	ExpiresAt time.Time                // of the token; zero for one that does not expire
}

// Append appends the message.
func (w *Welcome) Append(dst []byte) []byte {
	m := struct {
		T         string                   `json:"t"`
		Graph     string                   `json:"graph"`
		Session   string                   `json:"session"`
		Epoch     string                   `json:"epoch"`
		Version   graph.Version            `json:"version"`
		User      User                     `json:"user"`
		Schema    int64                    `json:"schema"`
		Limits    limits                   `json:"limits"`
		Applied   map[string]graph.Version `json:"applied"`
		ExpiresAt *string                  `json:"expiresAt"`
	}{"welcome", w.Graph, w.Session, w.Epoch, w.Version, w.User, w.Schema, limits{w.Limits, w.Bounds, graph.ProjectionBounds()}, w.Applied, nil}
	if m.User.Teams == nil {
		m.User.Teams = []string{}
	}
	if m.Applied == nil {
		m.Applied = map[string]graph.Version{}
	}
	if !w.ExpiresAt.IsZero() {
		s := w.ExpiresAt.UTC().Format(graph.TimeFormat)
		m.ExpiresAt = &s
	}
	return appendJSON(dst, m)
}

// limits are all bounds as the welcome shows them.
type limits struct {
	graph.Limits
	SessionBounds
	graph.ProjectionLimits
}

// AppendAck says that a mutation is committed.
func AppendAck(dst []byte, mutation string, v graph.Version) []byte {
	dst = append(dst, `{"t":"ack","mutation":`...)
	dst = graph.AppendString(dst, mutation)
	dst = append(dst, `,"version":`...)
	dst = strconv.AppendInt(dst, int64(v), 10)
	return append(dst, '}')
}

// AppendReject says that a mutation was refused.
func AppendReject(dst []byte, mutation string, problem *graph.Error) []byte {
	dst = append(dst, `{"t":"reject","mutation":`...)
	dst = graph.AppendString(dst, mutation)
	dst = append(dst, `,"problem":`...)
	dst = appendJSON(dst, problem)
	return append(dst, '}')
}

// AppendError says that a subscription, or a request without one, failed.
func AppendError(dst []byte, sub string, problem *graph.Error) []byte {
	dst = append(dst, `{"t":"error","sub":`...)
	dst = graph.AppendString(dst, sub)
	dst = append(dst, `,"problem":`...)
	dst = appendJSON(dst, problem)
	return append(dst, '}')
}

// Digest is the sum of a view's entities.
type Digest struct {
	View string
	Sum  uint32
}

// AppendAt says that everything up to v has been sent.
func AppendAt(dst []byte, v graph.Version, digests []Digest) []byte {
	dst = append(dst, `{"t":"at","version":`...)
	dst = strconv.AppendInt(dst, int64(v), 10)
	dst = append(dst, `,"digests":{`...)
	for i, d := range digests {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = graph.AppendString(dst, d.View)
		dst = append(dst, ':')
		dst = strconv.AppendUint(dst, uint64(d.Sum), 10)
	}
	return append(dst, '}', '}')
}

// Rights are those held on an object.
type Rights struct {
	ID     graph.ObjectID
	Rights []string
}

// AppendCan answers which rights are held.
func AppendCan(dst []byte, list []Rights) []byte {
	dst = append(dst, `{"t":"can","objects":{`...)
	for i, r := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = r.ID.AppendTo(dst)
		dst = append(dst, '"', ':')
		dst = appendStrings(dst, r.Rights)
	}
	return append(dst, '}', '}')
}

// PresenceState is what one session does: nil State where it left.
type PresenceState struct {
	Session string
	User    string
	State   json.RawMessage
}

// AppendPresence tells who is on an object.
func AppendPresence(dst []byte, on graph.ObjectID, states []PresenceState) []byte {
	dst = append(dst, `{"t":"presence","on":"`...)
	dst = on.AppendTo(dst)
	dst = append(dst, `","sessions":{`...)
	for i, p := range states {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = graph.AppendString(dst, p.Session)
		if p.State == nil {
			dst = append(dst, `:null`...)
			continue
		}
		dst = append(dst, `:{"user":`...)
		dst = graph.AppendString(dst, p.User)
		dst = append(dst, `,"state":`...)
		dst = append(dst, p.State...)
		dst = append(dst, '}')
	}
	return append(dst, '}', '}')
}

// AppendSchema says that the schema changed.
func AppendSchema(dst []byte, version int64) []byte {
	dst = append(dst, `{"t":"schema","version":`...)
	dst = strconv.AppendInt(dst, version, 10)
	return append(dst, '}')
}

// AppendBye says that the node drains, and when to come back.
func AppendBye(dst []byte, retryAfter time.Duration) []byte {
	dst = append(dst, `{"t":"bye","retryAfterMs":`...)
	dst = strconv.AppendInt(dst, retryAfter.Milliseconds(), 10)
	return append(dst, '}')
}

// DigestOf gives what one entity adds to a view's digest: FNV-1a-32 over
// `<id>:<version>`.
func DigestOf(id [16]byte, v graph.Version) uint32 {
	var buf [64]byte
	text := graph.ObjectID(id).AppendTo(buf[:0])
	text = append(text, ':')
	text = strconv.AppendInt(text, int64(v), 10)
	h := uint32(2166136261)
	for _, c := range text {
		h = (h ^ uint32(c)) * 16777619
	}
	return h
}

// SortDigests puts digests into the order in which they are written.
func SortDigests(list []Digest) {
	slices.SortFunc(list, func(a, b Digest) int { return bytes.Compare([]byte(a.View), []byte(b.View)) })
}

// appendJSON appends v as encoding/json writes it, without HTML escapes. The
// types written here cannot fail.
func appendJSON(dst []byte, v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("protocol: " + err.Error())
	}
	return append(dst, bytes.TrimRight(buf.Bytes(), "\n")...)
}
