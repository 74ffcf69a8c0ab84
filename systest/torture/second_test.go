package torture

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
)

// What was exported and imported is commit by commit what it was.
func TestWhatAnImportDidToTheLog(t *testing.T) {
	t.Parallel()
	commit := func(v int, cause string) map[string]any {
		return map[string]any{"version": v, "mutation": fmt.Sprint("m", v), "cause": map[string]any{"kind": cause}}
	}
	was := []map[string]any{commit(1, "client"), commit(2, "client"), commit(3, "run")}
	for name, c := range map[string]struct {
		is     []map[string]any
		broken bool
	}{
		"as it was":           {was, false},
		"another cause":       {[]map[string]any{was[0], was[1], commit(3, "import")}, true},
		"a commit is missing": {was[:2], true},
		"a commit more":       {append(slices.Clone(was), commit(4, "client")), true},
		"one in between gone": {[]map[string]any{was[0], was[2]}, true},
		"empty":               {nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list := was
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				since, _ := strconv.Atoi(r.URL.Query().Get("since"))
				_ = json.NewEncoder(w).Encode(map[string]any{"commits": list[min(since, len(list)):]})
			}))
			defer srv.Close()
			x := newTrial(t)
			x.w.urls, x.w.web = []string{srv.URL}, srv.Client()
			a, err := x.w.request(t.Context(), 0, "GET", x.w.path("/log?since=0"), "", "")
			if err != nil {
				t.Fatal(err)
			}
			x.w.log.sums = nil
			for _, m := range a.doc["commits"].([]any) {
				x.w.log.sums = append(x.w.log.sums, sumOf("commit", map[string]any{"body": m}))
			}
			list = c.is
			if err := x.w.log.again(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			if c.broken {
				x.judged("H6 import")
			} else {
				x.judged()
			}
		})
	}
}
