package protocol

import (
	"bytes"
	"encoding/json"

	"github.com/graphtide/graphtide/graph"
)

// Message is one message of a client: *Hello, *Token, *Sub, *Unsub, *Mutate,
// *Can, *Presence, *Ping, or *Unknown.
type Message interface{ message() }

// Hello opens a session.
type Hello struct {
	Token   string   // "" where none was given
	Session string   // a UUID in canonical form; "" lets the server choose
	Pending []string // keys of mutations that were sent and not answered
}

// Token renews the session's token.
type Token struct{ Token string }

// Sub subscribes to a projection, given or named.
type Sub struct {
	Sub        string
	Projection json.RawMessage // nil where Name is set
	Name       string
	Args       json.RawMessage // nil for none
	Since      *graph.Version  // resumes a view held at that version …
	Epoch, Key string          // … of this epoch and key
	At         *graph.Version  // a fixed past state
}

// Unsub ends a subscription.
type Unsub struct{ Sub string }

// Mutate is a transaction. The patch is as received: not yet judged.
type Mutate struct {
	Mutation string
	Patch    json.RawMessage
	Base     *graph.Version
	Group    string
	Note     string
}

// Can asks which rights the user holds on objects.
type Can struct{ Objects []graph.ObjectID }

// Presence says what the session does on an object.
type Presence struct {
	On    graph.ObjectID
	State json.RawMessage // nil leaves
}

// Ping asks for an `at`.
type Ping struct{}

// Unknown is a message of a kind from the future.
type Unknown struct{ Kind string }

func (*Hello) message()    {}
func (*Token) message()    {}
func (*Sub) message()      {}
func (*Unsub) message()    {}
func (*Mutate) message()   {}
func (*Can) message()      {}
func (*Presence) message() {}
func (*Ping) message()     {}
func (*Unknown) message()  {}

// Refusal is a fault of a message that says whose it is: the answer is an
// `error` of the subscription or a `reject` of the mutation, and the session
// goes on.
type Refusal struct {
	Sub      string
	Mutation string // set for a mutation, else Sub is
	Problem  *graph.Error
}

// Error gives the problem's text.
func (r *Refusal) Error() string { return r.Problem.Error() }

// MaxName bounds the name of a subscription in bytes.
const MaxName = 200

// MaxNote bounds a note in characters (the contract's bound).
const MaxNote = 200

var decoders = map[string]func(fields) (Message, error){
	"hello":    decodeHello,
	"token":    decodeToken,
	"sub":      decodeSub,
	"unsub":    decodeUnsub,
	"mutate":   decodeMutate,
	"can":      decodeCan,
	"presence": decodePresence,
	"ping":     func(fields) (Message, error) { return &Ping{}, nil },
}

// Decode reads one object that Split gave. An error is a *Malformed or a
// *Refusal. The message may share memory with text.
func Decode(text []byte) (Message, error) {
	if len(text) == 0 || text[0] != '{' {
		return nil, &Malformed{"a message is a JSON object"}
	}
	f, ok := readFields(text)
	if !ok {
		return nil, &Malformed{"the message is not valid JSON, or names a field twice"}
	}
	kind, ok := f.text("t")
	if !ok || kind == "" {
		return nil, &Malformed{"the message has no kind: t"}
	}
	decode := decoders[kind]
	if decode == nil {
		return &Unknown{Kind: kind}, nil
	}
	return decode(f)
}

func bad(kind, what string) (Message, error) {
	return nil, &Malformed{kind + ": " + what}
}

func decodeHello(f fields) (Message, error) {
	m := &Hello{}
	var ok [3]bool
	m.Token, ok[0] = f.text("token")
	m.Session, ok[1] = f.text("session")
	m.Pending, ok[2] = f.texts("pending")
	if ok != [3]bool{true, true, true} {
		return bad("hello", "token and session are strings, pending is an array of strings")
	}
	if m.Session != "" {
		id, ok := graph.ParseObjectID(m.Session)
		if !ok {
			return bad("hello", "session is not a UUID")
		}
		m.Session = id.String()
	}
	for _, p := range m.Pending {
		if !isUUID(p) {
			return bad("hello", "pending holds something that is not a UUID")
		}
	}
	return m, nil
}

func decodeToken(f fields) (Message, error) {
	t, ok := f.text("token")
	if !ok || t == "" {
		return bad("token", "token is a string")
	}
	return &Token{Token: t}, nil
}

func decodeSub(f fields) (Message, error) {
	m := &Sub{}
	var ok bool
	if m.Sub, ok = f.text("sub"); !ok || m.Sub == "" || len(m.Sub) > MaxName {
		return bad("sub", "sub is a string of 1 to 200 bytes")
	}
	refuse := func(code graph.Code, format string, args ...any) (Message, error) {
		return nil, &Refusal{Sub: m.Sub, Problem: graph.Errf(code, format, args...)}
	}
	if m.Name, ok = f.text("name"); !ok {
		return refuse(graph.CodeInvalidProjection, "name is a string")
	}
	m.Projection, _ = f.value("projection")
	m.Args, _ = f.value("args")
	if (m.Name != "") == (m.Projection != nil) {
		return refuse(graph.CodeInvalidProjection, "give either projection or name")
	}
	if m.Args != nil && m.Name == "" {
		return refuse(graph.CodeInvalidProjection, "args belong to a named projection")
	}
	if m.Epoch, ok = f.text("epoch"); ok {
		m.Key, ok = f.text("key")
	}
	if !ok {
		return refuse(graph.CodeInvalidProjection, "epoch and key are strings")
	}
	var atOK bool
	m.Since, ok = f.version("since")
	m.At, atOK = f.version("at")
	if !ok || !atOK {
		return refuse(graph.CodeInvalidVersion, "since and at are integers from 0 on")
	}
	if m.Since != nil && m.At != nil {
		return refuse(graph.CodeInvalidVersion, "a past state is loaded with at, a view resumed with since: give one of them")
	}
	return m, nil
}

func decodeUnsub(f fields) (Message, error) {
	s, ok := f.text("sub")
	if !ok || s == "" {
		return bad("unsub", "sub is a string")
	}
	return &Unsub{Sub: s}, nil
}

func decodeMutate(f fields) (Message, error) {
	m := &Mutate{}
	var ok bool
	if m.Mutation, ok = f.text("mutation"); !ok || !isUUID(m.Mutation) {
		return bad("mutate", "mutation is a UUID")
	}
	refuse := func(format string, args ...any) (Message, error) {
		return nil, &Refusal{Mutation: m.Mutation, Problem: graph.Errf(graph.CodeInvalidPatch, format, args...)}
	}
	if m.Patch, ok = f.value("patch"); !ok {
		return refuse("patch is missing")
	}
	if m.Base, ok = f.version("base"); !ok {
		return refuse("base is a version: an integer from 0 on")
	}
	if m.Group, ok = f.text("group"); !ok || m.Group != "" && !isUUID(m.Group) {
		return refuse("group is a UUID")
	}
	if m.Note, ok = f.text("note"); !ok || len([]rune(m.Note)) > MaxNote || bytes.ContainsRune([]byte(m.Note), 0) {
		return refuse("note is a string of at most %d characters", MaxNote)
	}
	return m, nil
}

func decodeCan(f fields) (Message, error) {
	list, ok := f.texts("objects")
	if !ok {
		return bad("can", "objects is an array of ids")
	}
	m := &Can{Objects: make([]graph.ObjectID, 0, len(list))}
	for _, s := range list {
		// What is no id is no object either: left out of the answer.
		if id, ok := graph.ParseObjectID(s); ok {
			m.Objects = append(m.Objects, id)
		}
	}
	return m, nil
}

func decodePresence(f fields) (Message, error) {
	on, _ := f.text("on")
	id, ok := graph.ParseObjectID(on)
	if !ok {
		return bad("presence", "on is the id of an object")
	}
	m := &Presence{On: id}
	m.State, _ = f.value("state")
	return m, nil
}

// isUUID judges the form alone: keys are echoed as they were written, so that a
// client finds its own.
func isUUID(s string) bool {
	_, ok := graph.ParseObjectID(s)
	return ok
}
