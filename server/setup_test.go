package server_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/internal/testserver"
	"github.com/graphtide/graphtide/server/auth"
)

const testSchema = `
graphtide: 1
types:
  Note:
    properties:
      title: {type: string, maxLength: 50}
      text: {type: string}
      n: {type: number}
      tags: {type: array, items: {type: string}}
    edges:
      out: {link: {to: Note}}
      in: {link: {from: Note, as: links}}
  Folder:
    properties: {name: {type: string}}
    access: {read: [org], write: [user]}
    edges: {in: {folder: {from: Doc, as: docs, needs: read}}}
  Doc:
    properties: {text: {type: string}}
    access: {inherit: folder}
    edges: {out: {folder: {to: Folder, max: 1, required: true, onDelete: cascade}}}
projections:
  Linked: {args: {id: {type: string}}, root: {$arg: id}, out: {link: {}}}
`

func newServer(t *testing.T) *testserver.Server {
	t.Helper()
	return testserver.New(t, testserver.Options{Schema: testSchema})
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// patchOf joins operations to a patch.
func patchOf(ops ...string) string { return "[" + strings.Join(ops, ",") + "]" }

func op(name, path string, value any) string {
	v, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"op":%q,"path":%q,"value":%s}`, name, path, v)
}

func remove(path string) string { return fmt.Sprintf(`{"op":"remove","path":%q}`, path) }

type m = map[string]any

// addNote adds a note that its creator alone may read.
func addNote(id, title string) string {
	return op("add", "/objects/"+id, m{"type": "Note", "body": m{"title": title}})
}

// addShared adds a note that the users named may read.
func addShared(id, title string, readers ...string) string {
	users := m{}
	for _, u := range readers {
		users[u] = true
	}
	return op("add", "/objects/"+id, m{"type": "Note", "body": m{"title": title}, "access": m{"read": m{"users": users}}})
}

func addEdge(id, label, from, to string) string {
	return op("add", "/edges/"+id, m{"label": label, "from": from, "to": to})
}

const main = "/v1/graphs/main"

// commits decodes a page of the log.
type logPage struct {
	Epoch   string            `json:"epoch"`
	Version graph.Version     `json:"version"`
	Commits []json.RawMessage `json:"commits"`
	More    bool              `json:"more"`
}

func member(s *testserver.Server, user, org string) *testserver.Client {
	return s.With(auth.Claims{User: user, Org: org})
}

// keys gives the members of a JSON object, sorted.
func keys(t *testing.T, text []byte) string {
	t.Helper()
	var v map[string]json.RawMessage
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	var out []string
	for k := range v {
		out = append(out, k)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}
