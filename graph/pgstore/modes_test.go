package pgstore_test

import (
	"strings"
	"testing"

	"github.com/graphtide/graphtide/graph/storetest"
	"github.com/graphtide/graphtide/internal/testdb"
)

// An address may tell the driver how to send statements, for a proxy in between.
func TestTheLogIsReadHoweverStatementsAreSent(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			url := testdb.URL(t)
			if strings.Contains(url, "?") {
				url += "&"
			} else {
				url += "?"
			}
			w := storetest.NewWorld(t, testdb.Open(t, url+"default_query_exec_mode="+mode))
			w.Commit(func(d *storetest.Draft) { d.Create(`{"a":1}`) })
			log, err := w.Store.Log(t.Context(), w.Info.Key, 0, 10)
			if err != nil || len(log) != 1 || string(log[0].Changes[0].ObjAfter.Body) != `{"a":1}` {
				t.Fatal(log, err)
			}
		})
	}
}
