package pgstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/graphtide/graphtide/graph"
)

// retryAfter is what a caller is told to wait: about as long as Postgres takes to
// restart.
const retryAfter = time.Second

// unavailable is an error that is worth another try.
func unavailable(message string, err error) *graph.Error {
	return &graph.Error{Code: graph.CodeUnavailable, Message: message, RetryAfter: retryAfter, Err: err}
}

// failed wraps an error with the act that failed: CodeUnavailable where trying
// again may help, else without a code. A context's end stays visible to
// errors.Is.
func failed(act string, err error) error {
	if err == nil {
		return nil
	}
	var public *graph.Error
	if errors.As(err, &public) {
		return err
	}
	wrapped := fmt.Errorf("%s: %w", act, err)
	if transient(err) {
		return unavailable("the database cannot do this now", wrapped)
	}
	return wrapped
}

// transient tells faults of the moment from faults of the statement.
func transient(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return transientState(pg.Code)
	}
	if errors.Is(err, context.Canceled) {
		return false
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) ||
		errors.Is(err, errSilent) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, context.DeadlineExceeded) || pgconn.SafeToRetry(err)
}

// transientState judges an SQLSTATE (Postgres documentation, appendix A).
func transientState(code string) bool {
	if len(code) != 5 {
		return false
	}
	switch code[:2] {
	case "08", // connection exceptions
		"53": // out of connections, memory or disk
		return true
	}
	switch code {
	case "57P01", "57P02", "57P03", // shutting down, crashed, starting up
		"57014", // cancelled: statement_timeout
		"57P05", // idle session timeout
		"25P03", // idle in transaction for too long: we were stalled
		"40001", // serialization failure
		"40P01", // deadlock
		"25006", // read only: a standby, or a primary that has just become one
		"55P03": // lock_timeout
		return true
	}
	return false
}
