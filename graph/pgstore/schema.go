package pgstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
)

// Schema gives the active schema's version and document; version 0 has none.
func (s *Store) Schema(ctx context.Context) (version int64, doc []byte, err error) {
	const sql = `
		-- name: schema
		SELECT a.schema_version, s.doc
		FROM server a LEFT JOIN LATERAL (SELECT doc FROM schemas s WHERE s.version = a.schema_version) s ON true`
	err = s.read(ctx, "read the schema", func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, sql).Scan(&version, &doc)
	})
	return version, doc, err
}

// SchemaAt gives the document of a version; CodeNotFound.
func (s *Store) SchemaAt(ctx context.Context, version int64) (doc []byte, err error) {
	const sql = `
		-- name: schemaAt
		SELECT doc FROM schemas WHERE version = $1`
	err = s.read(ctx, "read a schema", func(conn *pgx.Conn) error {
		err := conn.QueryRow(ctx, sql, version).Scan(&doc)
		if errors.Is(err, pgx.ErrNoRows) {
			return graph.NotFound("schema version")
		}
		return err
	})
	return doc, err
}

// ActivateSchema makes doc the schema after version from, for every graph at
// once: while check runs, no graph takes a commit, and none is made. Writers
// meanwhile wait, and are told CodeUnavailable after 2 s.
func (s *Store) ActivateSchema(ctx context.Context, from int64, doc []byte, check func(context.Context, []graph.GraphInfo) ([]*graph.Batch, error)) (int64, error) {
	const lock = `
		-- name: activateSchema.lock
		SELECT schema_version FROM server FOR UPDATE`
	// In the order of their keys: two of us would lock in the same order.
	const graphs = `
		-- name: activateSchema.graphs
		SELECT key, name, version, epoch, at, schema_version, objects, edges
		FROM graphs WHERE name IS NOT NULL ORDER BY key FOR NO KEY UPDATE`
	const insert = `
		-- name: activateSchema.insert
		INSERT INTO schemas (version, doc) VALUES ($1, $2)`
	const activate = `
		-- name: activateSchema.activate
		WITH moved AS (UPDATE graphs SET schema_version = $1 WHERE name IS NOT NULL)
		UPDATE server SET schema_version = $1`
	to := from + 1
	err := s.within(ctx, "activate a schema", pgx.TxOptions{}, func(tx pgx.Tx) error {
		var active int64
		if err := tx.QueryRow(ctx, lock).Scan(&active); err != nil {
			return err
		}
		if active != from {
			e := graph.Errf(graph.CodeVersionMismatch, "the active schema has version %d", active)
			e.SchemaVer = active
			return e
		}
		rows, err := tx.Query(ctx, graphs)
		if err != nil {
			return err
		}
		list, err := pgx.CollectRows(rows, scanGraph)
		if err != nil {
			return err
		}
		var batches []*graph.Batch
		if err := stayAwake(ctx, tx.Conn(), func() (err error) {
			batches, err = check(ctx, list)
			return err
		}); err != nil {
			return err
		}
		for _, b := range batches {
			if err := b.Check(); err != nil {
				return err
			}
			res, err := appendOn(ctx, tx.Conn(), b)
			if err != nil {
				return err
			}
			if res.Moved || len(res.Hits) > 0 {
				return fmt.Errorf("the migration of graph %d does not fit it (moved %v, hits %v)", b.Graph, res.Moved, res.Hits)
			}
		}
		if _, err := tx.Exec(ctx, insert, to, doc); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, activate, to)
		return err
	})
	if err != nil {
		return 0, err
	}
	return to, nil
}

// stayAwake runs fn while it keeps the connection's transaction from being taken
// for one that nobody ends: the database rolls back a transaction that idles for
// 2.5 s, so that a node that was cut off holds no lock for longer.
func stayAwake(ctx context.Context, conn *pgx.Conn, fn func() error) error {
	const sql = `
		-- name: stayAwake
		SELECT`
	quit := make(chan struct{})
	var alive error
	var awake sync.WaitGroup
	awake.Go(func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-quit:
				return
			case <-ticker.C:
				if _, alive = conn.Exec(ctx, sql); alive != nil {
					return
				}
			}
		}
	})
	err := fn()
	close(quit)
	awake.Wait()
	return errors.Join(err, alive)
}
