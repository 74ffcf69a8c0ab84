package pgstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// settle fills in what the address leaves open.
//
// The database frees the locks of a client that it can no longer hear within
// three seconds: an append is one statement that needs nobody any more once it
// has begun, a transaction of several steps may idle for 2.5 s, an answer may go
// unacknowledged for 2 s, and nobody waits longer than 2 s for a lock.
//
// The planner settings are for the functions in the database, whose statements
// all find their rows by index, a few at a time. They stand here and not on the
// functions, where entering and leaving them cost a third of a lone write.
func settle(cc *pgx.ConnConfig, name string) {
	app := "graphtide"
	if name != "" {
		app += " " + name
	}
	for key, value := range map[string]string{
		"application_name":                    app,
		"timezone":                            "UTC",
		"lock_timeout":                        "2s",
		"statement_timeout":                   "15s",
		"idle_in_transaction_session_timeout": "2500ms",
		"tcp_keepalives_idle":                 "2",
		"tcp_keepalives_interval":             "1",
		"tcp_keepalives_count":                "2",
		"tcp_user_timeout":                    "2000",
		"jit":                                 "off",
		"plan_cache_mode":                     "force_generic_plan",
		"enable_seqscan":                      "off",
		"enable_hashjoin":                     "off",
		"enable_mergejoin":                    "off",
	} {
		if _, set := cc.RuntimeParams[key]; !set {
			cc.RuntimeParams[key] = value
		}
	}
	switch cc.DefaultQueryExecMode {
	case pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol: // answer in text; see columns
		cc.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	if cc.ValidateConnect == nil { // the address names no target_session_attrs
		cc.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
	if cc.ConnectTimeout == 0 {
		cc.ConnectTimeout = 2 * time.Second
	}
	dialer := &net.Dialer{
		Timeout:         cc.ConnectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 2 * time.Second, Interval: time.Second, Count: 3},
		Control:         giveUp(5 * time.Second),
	}
	cc.DialFunc = watch(dialer.DialContext)
}

// The keys under which a connection keeps what greet found.
const (
	oidCommit = "append_commit"
	oidChange = "append_change"
	oidEdit   = "append_edit"
)

// greet looks at the server behind a new connection: at the numbers of the types
// that append sends, which are another after a restore, and at who it is (see
// meet).
func (s *Store) greet(ctx context.Context, conn *pgx.Conn) error {
	const sql = `
		-- name: greet
		SELECT 'append_commit'::regtype::oid, 'append_change'::regtype::oid, 'append_edit'::regtype::oid, origin FROM server`
	var commit, change, edit uint32
	var last *string
	if err := conn.QueryRow(ctx, sql).Scan(&commit, &change, &edit, &last); err != nil {
		var pg *pgconn.PgError
		if errors.As(err, &pg) && (pg.Code == "42704" || pg.Code == "42P01") {
			return fmt.Errorf("the database is not migrated: run graphtide migrate: %w", err)
		}
		return err
	}
	data := conn.PgConn().CustomData()
	data[oidCommit], data[oidChange], data[oidEdit] = commit, change, edit

	return s.meet(ctx, conn, last)
}
