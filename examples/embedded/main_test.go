package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/graphtide/graphtide"
	"github.com/graphtide/graphtide/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// TestTheHandlersDoTheirWork runs the program's server and uses it as a client
// would.
func TestTheHandlersDoTheirWork(t *testing.T) {
	t.Parallel()
	s, err := start(t.Context(), testdb.EmptyURL(t), "", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop(t.Context())
	token, err := s.Token(graphtide.User{Name: "ann"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, kind, body string) []byte {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.URL()+"/v1/graphs/main"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		graphtide.Authorize(r, token)
		r.Header.Set("Content-Type", kind)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s %s: %d %s %v", method, path, res.StatusCode, text, err)
		}
		return text
	}
	create := func(typ, body string) string {
		id := uuid.NewString()
		ask("PATCH", "", "application/json-patch+json", fmt.Sprintf(`[{"op":"add","path":"/objects/%s","value":{"type":%q,"body":%s}}]`, id, typ, body))
		return id
	}
	until := func(id, what string, ok func(body map[string]any) bool) {
		t.Helper()
		tick, end := time.NewTicker(10*time.Millisecond), time.After(30*time.Second)
		defer tick.Stop()
		for {
			var o struct{ Body map[string]any }
			if err := json.Unmarshal(ask("GET", "/objects/"+id, "", ""), &o); err != nil {
				t.Fatal(err)
			}
			if ok(o.Body) {
				return
			}
			select {
			case <-tick.C:
			case <-end:
				t.Fatalf("%s never came: %v", what, o.Body)
			}
		}
	}
	note := create("Note", `{"text":"three small words"}`)
	until(note, "the count", func(b map[string]any) bool { return b["words"] == 3.0 })
	op := create("OperationRequest", `{"operation":"shout"}`)
	until(op, "the end of the operation", func(b map[string]any) bool {
		result, _ := b["result"].(map[string]any)
		return b["state"] == "succeeded" && result["notes"] == 1.0 && b["progress"] == 1.0
	})
	until(note, "the capitals", func(b map[string]any) bool { return b["text"] == "THREE SMALL WORDS" })
}

func TestAServerWithoutAKeyIsNotStarted(t *testing.T) {
	t.Parallel()
	if _, err := graphtide.Start(t.Context(), graphtide.Config{DatabaseURL: "postgres://nowhere"}); err == nil || !strings.Contains(err.Error(), "Secret") {
		t.Errorf("%v", err)
	}
}
