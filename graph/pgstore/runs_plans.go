package pgstore

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"
)

// plans sees to it that the database knows what the tables of runs are like. A
// plan that was made while they were empty takes any index that begins with the
// graph, is kept, and reads all runs of a rule where it should read one: claims
// took 50 ms, and dispatching 500 runs two seconds, until the database looked by
// itself. So it is asked to look after the first runs, and after ten times as
// many, and so on, at once: that throws the old plans away. Statements that would
// read every run of a rule meanwhile are written so that no other index fits.
type plans struct {
	made atomic.Int64 // runs, by this process; what took too long to make counts
	next atomic.Int64 // the number at which to look again
}

const (
	firstLook = 100
	lastLook  = 100_000 // by then the database has looked by itself
)

// tookTooLong reports whether the database gave a statement up for its time.
func tookTooLong(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "57014"
}

// look asks the database to look, if it is time: some three times in the life of
// a process, for some ten milliseconds. That somebody else is looking is as good.
func (s *Runs) look(ctx context.Context) error {
	const look = `ANALYZE (SKIP_LOCKED) runs, run_hops, run_cursors, rule_pauses`
	next := max(s.plans.next.Load(), firstLook)
	if s.plans.made.Load() < next || next > lastLook || !s.plans.next.CompareAndSwap(s.plans.next.Load(), next*10) {
		return nil
	}
	_, err := s.pool.Exec(ctx, look)
	return runsErr(err, "look at the tables of runs")
}
