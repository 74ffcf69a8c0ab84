package pgstore_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/internal/testdb"
)

// overtaken has others get further while an answer to placeOf is on its way.
type overtaken struct{ others func() }

type isPlaceOf struct{}

func (o *overtaken) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.Contains(data.SQL, "name: placeOf") {
		return context.WithValue(ctx, isPlaceOf{}, true)
	}
	return ctx
}

func (o *overtaken) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if ctx.Value(isPlaceOf{}) != nil {
		o.others()
	}
}

func TestAnAnswerThatOthersOvertookIsNoOlderState(t *testing.T) {
	t.Parallel()
	url := testdb.OwnURL(t)
	s := testdb.Open(t, url)
	// A graph's epoch tells whether the server was taken for another.
	if _, err := s.Pool().Exec(t.Context(), `UPDATE graphs SET epoch = 'first' WHERE name = 'main'`); err != nil {
		t.Fatal(err)
	}
	config := s.Pool().Config().ConnConfig
	var calls int
	config.Tracer = &overtaken{others: func() { calls++; s.Reach(math.MaxInt64) }}
	meet := func() (epoch string) {
		t.Helper()
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		if err := s.Greet(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
		if err := conn.QueryRow(t.Context(), `SELECT epoch FROM graphs WHERE name = 'main'`).Scan(&epoch); err != nil {
			t.Fatal(err)
		}
		return epoch
	}
	if epoch := meet(); epoch != "first" || calls != 1 {
		t.Errorf("while others got further: epoch %s, %d answers", epoch, calls)
	}
	// The next to come is behind what had been seen before it asked.
	if epoch := meet(); epoch == "first" {
		t.Error("an older state of the server was not noticed")
	}
}
