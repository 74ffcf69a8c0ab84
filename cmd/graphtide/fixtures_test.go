package main

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/google/uuid"
)

// noteSchema is the smallest useful schema.
const noteSchema = `graphtide: 1
types:
  Note:
    properties:
      text: {type: string, maxLength: 100}
    access: {read: [public], write: [user]}
`

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// decodeJSON reads a command's standard output.
func decodeJSON[T any](r result) (v T) {
	r.t.Helper()
	if err := json.Unmarshal([]byte(r.stdout), &v); err != nil {
		r.t.Fatalf("graphtide %v: standard output is no JSON: %v\n%s", r.args, err, r.stdout)
	}
	return v
}

// addNote is a patch that creates a note.
func addNote(id, text string) string {
	body, _ := json.Marshal(text) // a string always can be
	return `[{"op":"add","path":"/objects/` + id + `","value":{"type":"Note","body":{"text":` + string(body) + `}}}]`
}
