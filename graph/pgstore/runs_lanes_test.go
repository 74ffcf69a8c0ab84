package pgstore_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/internal/testdb"
)

// lookUpLane is how the functions and statements look for the open runs of a lane.
const lookUpLane = `EXPLAIN SELECT e.id FROM runs e
	WHERE e.graph + 0 = $1 AND e.entity = $2 AND e.rule || '' = 'r' AND e.kind = 'rule' AND e.entity_kind = 0
		AND e.version + 0 < $3 AND e.ended_at IS NULL LIMIT 1`

// A plan is kept, and may be made while any index seems as good: then it matters that
// there is no other one. Without the index of the lanes nothing is left but to read the
// table, although connections ask the planner not to.
func TestOnlyTheIndexOfLanesFitsALookUpOfALane(t *testing.T) {
	t.Parallel()
	pool := testdb.Open(t, testdb.OwnURL(t)).Pool()
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	plan := func() string {
		rows, err := tx.Query(t.Context(), lookUpLane, 1, "018f0000-0000-7000-8000-000000000001", 9)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(lines, "\n")
	}
	if got := plan(); !strings.Contains(got, "runs_lane") {
		t.Errorf("the look-up goes elsewhere:\n%s", got)
	}
	if _, err := tx.Exec(t.Context(), "DROP INDEX runs_lane"); err != nil {
		t.Fatal(err)
	}
	if got := plan(); !strings.Contains(got, "Seq Scan on runs") {
		t.Errorf("another index fits:\n%s", got)
	}
}
