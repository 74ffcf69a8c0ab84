package protocol_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/server/protocol"
)

var update = flag.Bool("update", false, "write the golden files anew: a change of the protocol")

const (
	uuidA    = "0192f0c1-2a4b-7c3d-8e5f-0123456789ab"
	uuidB    = "0192f0c1-2a4b-7c3d-8e5f-0123456789ac"
	session  = "0192f0c1-2a4b-7c3d-8e5f-0123456789ad"
	mutation = "0192f0c1-2a4b-7c3d-8e5f-0123456789ae"
	group    = "0192f0c1-2a4b-7c3d-8e5f-0123456789af"
)

func oid(s string) graph.ObjectID {
	id, ok := graph.ParseObjectID(s)
	if !ok {
		panic(s)
	}
	return id
}

func ver(n int64) *graph.Version { v := graph.Version(n); return &v }

var (
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 125e6, time.UTC)
	store = &graph.Object{ID: oid(uuidA), Type: "DataStore", Body: json.RawMessage(`{"name":"Q3 <é> \"x\""}`),
		Meta: graph.Meta{Version: 7, CreatedVersion: 3, CreatedAt: noon, CreatedBy: "ann", UpdatedAt: noon.Add(time.Minute), UpdatedBy: "bob"}}
	record = &graph.Object{ID: oid(uuidB), Type: "Record", Body: json.RawMessage(`{"values":{},"rank":1.50}`),
		Meta: graph.Meta{Version: 4, CreatedVersion: 4, CreatedAt: noon, CreatedBy: "ann", UpdatedAt: noon, UpdatedBy: "ann"}}
	link = &graph.Edge{ID: graph.EdgeID(oid(uuidA)), Label: "dataStore", From: oid(uuidB), To: oid(uuidA), Body: json.RawMessage(`{}`),
		Meta: graph.Meta{Version: 4, CreatedVersion: 4, CreatedAt: noon, CreatedBy: "ann", UpdatedAt: noon, UpdatedBy: "ann"}}
)

// fromClient holds one message of every kind and form.
var fromClient = map[string]protocol.Message{
	"hello":          &protocol.Hello{Token: "eyJ.x.y", Session: session, Pending: []string{mutation, group}},
	"hello-bare":     &protocol.Hello{},
	"token":          &protocol.Token{Token: "eyJ.x.z"},
	"sub":            &protocol.Sub{Sub: "s1", Projection: json.RawMessage(`{"root":"` + uuidA + `","in":{"dataStore":{}}}`)},
	"sub-named":      &protocol.Sub{Sub: "s1", Name: "Workbook", Args: json.RawMessage(`{"id":"` + uuidA + `"}`)},
	"sub-resume":     &protocol.Sub{Sub: "s1", Name: "Workbook", Args: json.RawMessage(`{"id":"` + uuidA + `"}`), Since: ver(7), Epoch: "e1", Key: "k1"},
	"sub-past":       &protocol.Sub{Sub: "s1", Projection: json.RawMessage(`{"root":{"type":"Record"}}`), At: ver(0)},
	"unsub":          &protocol.Unsub{Sub: "s1"},
	"mutate":         &protocol.Mutate{Mutation: mutation, Patch: json.RawMessage(`[{"op":"replace","path":"/objects/` + uuidA + `/body/name","value":"Q4"}]`)},
	"mutate-options": &protocol.Mutate{Mutation: mutation, Patch: json.RawMessage(`[]`), Base: ver(7), Group: group, Note: "renamed"},
	"can":            &protocol.Can{Objects: []graph.ObjectID{oid(uuidA), oid(uuidB)}},
	"presence":       &protocol.Presence{On: oid(uuidA), State: json.RawMessage(`{"cursor":[1,2]}`)},
	"presence-leave": &protocol.Presence{On: oid(uuidA)},
	"ping":           &protocol.Ping{},
}

// fromServer holds the text of one message of every kind and form.
func fromServer() map[string][]byte {
	roots := []graph.ObjectID{store.ID}
	digest := protocol.DigestOf(store.ID, 7) + protocol.DigestOf(record.ID, 4) + protocol.DigestOf(link.ID, 4)
	whole := &protocol.Whole{Objects: []*graph.Object{store, record}, Edges: []*graph.Edge{link}, Roots: roots, Digest: digest}
	load := func(h protocol.LoadHead, l interface{ Bodies(int) [][]byte }, max int) []byte {
		var frames [][]byte
		for _, b := range l.Bodies(max) {
			frames = append(frames, append(h.Append(nil), b...))
		}
		return bytes.Join(frames, []byte("\n"))
	}
	head := protocol.LoadHead{Sub: "s1", View: "v7", Key: "k1", Version: 7}
	reset := head
	reset.Reset = true
	patched := protocol.PatchEntry(graph.ObjectRef(store.ID), 3, json.RawMessage(`[{"op":"replace","path":"/body/name","value":"Q3"}]`), &store.Meta)
	delta := func(e protocol.Entries, max int, roots []graph.ObjectID) []byte {
		d := protocol.Delta{View: "v7", Version: 7, At: noon, By: "bob", Mutations: []string{mutation}, Entries: e, Roots: roots, HasRoots: roots != nil}
		return bytes.Join(d.Frames(max), []byte("\n"))
	}
	limits := graph.Limits{}.WithDefaults()
	bounds := protocol.SessionBounds{
		Messages: 1000, Burst: 5000, InFlight: 1024, InFlightBytes: 8 << 20, WaitingBytes: 8 << 20, Present: 100,
		Sessions: 50000, PerUser: 20000, HelloMs: 10000, StallMs: 30000, NameBytes: 200, NoteCharacters: 200,
	}
	welcome := protocol.Welcome{Graph: "main", Session: session, Epoch: "e1", Version: 7,
		User: protocol.User{ID: "ann", Teams: []string{"red"}, Org: "acme"}, Schema: 2, Limits: limits, Bounds: bounds,
		Applied: map[string]graph.Version{mutation: 5}, ExpiresAt: noon}
	forever := welcome
	forever.Applied, forever.ExpiresAt, forever.User = nil, time.Time{}, protocol.User{ID: "dev", Admin: true}
	return map[string][]byte{
		"welcome":         welcome.Append(nil),
		"welcome-forever": forever.Append(nil),
		"load":            load(head, whole, protocol.MaxMessage),
		"load-frames":     load(head, whole, 900),
		"load-reset":      load(reset, whole, protocol.MaxMessage),
		"load-empty":      load(head, &protocol.Whole{Roots: roots, Digest: digest}, protocol.MaxMessage),
		"load-difference": load(head, &protocol.Load{Roots: roots, Digest: digest, Mutations: []string{mutation}, Entries: protocol.Entries{
			Objects: []protocol.Entry{patched, protocol.EnterObject(record)},
			Edges:   []protocol.Entry{protocol.EnterEdge(link), protocol.LeaveEntry(graph.EdgeRef(graph.EdgeID(oid(uuidB))), protocol.Unlinked)}}}, protocol.MaxMessage),
		"delta":          delta(protocol.Entries{Objects: []protocol.Entry{patched}}, protocol.MaxMessage, nil),
		"delta-enter":    delta(protocol.Entries{Objects: []protocol.Entry{protocol.EnterObject(record)}, Edges: []protocol.Entry{protocol.EnterEdge(link)}}, protocol.MaxMessage, []graph.ObjectID{store.ID, record.ID}),
		"delta-leave":    delta(protocol.Entries{Objects: []protocol.Entry{protocol.LeaveEntry(graph.ObjectRef(record.ID), protocol.Deleted), protocol.LeaveEntry(graph.ObjectRef(store.ID), protocol.Forbidden)}, Edges: []protocol.Entry{protocol.LeaveEntry(graph.EdgeRef(link.ID), protocol.Deleted)}}, protocol.MaxMessage, []graph.ObjectID{}),
		"delta-frames":   delta(protocol.Entries{Objects: []protocol.Entry{patched, protocol.EnterObject(record)}}, 700, nil),
		"ack":            protocol.AppendAck(nil, mutation, 7),
		"reject":         protocol.AppendReject(nil, mutation, graph.Errf(graph.CodePathMissing, "there is no /body/x").At("/objects/"+uuidA+"/body/x").AtOp(0)),
		"at":             protocol.AppendAt(nil, 7, []protocol.Digest{{View: "v7", Sum: digest}, {View: "v9", Sum: 0}}),
		"can":            protocol.AppendCan(nil, []protocol.Rights{{ID: store.ID, Rights: []string{"read", "write"}}}),
		"presence":       protocol.AppendPresence(nil, store.ID, []protocol.PresenceState{{Session: session, User: "ann", State: json.RawMessage(`{"cursor":[1,2]}`)}}),
		"presence-leave": protocol.AppendPresence(nil, store.ID, []protocol.PresenceState{{Session: session, User: "ann"}}),
		"schema":         protocol.AppendSchema(nil, 3),
		"error":          protocol.AppendError(nil, "s1", graph.TooLarge("subscriptions", 100, "subscriptions")),
		"bye":            protocol.AppendBye(nil, 1500*time.Millisecond),
	}
}

func golden(t *testing.T, side, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", side+"-"+name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimRight(b, "\n")
}

func TestEveryClientMessageIsReadAsItsGoldenFileSays(t *testing.T) {
	t.Parallel()
	for name, want := range fromClient {
		got, err := protocol.Decode(golden(t, "client", name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestEveryServerMessageIsWrittenAsItsGoldenFileSays(t *testing.T) {
	t.Parallel()
	for name, got := range fromServer() {
		if *update {
			if err := os.WriteFile(filepath.Join("testdata", "server-"+name+".json"), append(got, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(string(golden(t, "server", name)), string(got)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		for line, err := range protocol.Split(got) {
			if err != nil || !json.Valid(line) {
				t.Errorf("%s: a line is not a JSON object: %s", name, line)
			}
		}
	}
}

func TestEveryGoldenFileIsAMessageOfTheTables(t *testing.T) {
	t.Parallel()
	var want []string
	for name := range fromClient {
		want = append(want, "client-"+name+".json")
	}
	for name := range fromServer() {
		want = append(want, "server-"+name+".json")
	}
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".json") {
			got = append(got, f.Name())
		}
	}
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
