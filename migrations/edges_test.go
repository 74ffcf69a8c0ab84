package migrations_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/internal/testdb"
	"github.com/graphtide/graphtide/migrations"
)

// Appends ask whether two objects are joined already. Without statistics the
// planner may answer from any index of edges that fits, so each has to be exact:
// one that is not reads all edges of an object with many.
func TestAnyIndexAnswersWhetherTwoAreJoinedWithOneEntry(t *testing.T) {
	t.Parallel()
	url := testdb.EmptyURL(t)
	if err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, other := range []string{"edges_between", "edges_arriving"} {
		// Without the other, this one is what is left to be taken.
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, sql := range []string{
			"SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off",
			"DROP INDEX " + other,
			"DEALLOCATE ALL",
			`PREPARE joined(bigint, uuid, uuid, text) AS
				SELECT FROM edges e
				WHERE e.graph = $1 AND e.from_id = $2 AND e.to_id = $3 AND e.label = $4 AND NOT e.deleted
				LIMIT 1`,
		} {
			if _, err := tx.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
				t.Fatal(err)
			}
		}
		const none = "'00000000-0000-0000-0000-000000000000'"
		rows, err := tx.Query(t.Context(), "EXPLAIN EXECUTE joined(1, "+none+", "+none+", 'x')", pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		if all := strings.Join(plan, "\n"); !strings.Contains(all, "using edges_") || strings.Contains(all, "Filter") {
			t.Errorf("without %s more than the one edge is read:\n%s", other, all)
		}
	}
}
