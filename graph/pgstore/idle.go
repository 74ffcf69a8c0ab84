package pgstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
)

// RememberIdle keeps the keys of transactions without effect, in one round trip.
func (s *Store) RememberIdle(ctx context.Context, g graph.GraphKey, at graph.Version, keys []graph.IdleKey) (map[graph.MutationKey]graph.Recorded, error) {
	const sql = `
		-- name: rememberIdle
		SELECT author, mutation, version, hash FROM remember_idle($1, $2, $3, $4, $5, $6, $7, $8)`
	n := len(keys)
	authors, mutations, hashes, causes := make([]string, n), make([]string, n), make([][]byte, n), make([]string, n)
	runs, attempts := make([]*[16]byte, n), make([]*int32, n)
	for i, k := range keys {
		authors[i], mutations[i], hashes[i], causes[i] = k.Author, k.Key, hashParam(k.Hash), string(k.Cause)
		if k.Fence != nil {
			// A run that has no UUID is no run: the zero one is never made.
			run, _ := graph.ParseObjectID(k.Fence.Run)
			attempt := int32(k.Fence.Attempt)
			runs[i], attempts[i] = (*[16]byte)(&run), &attempt
		}
	}
	conn, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	// As with an append: ending the caller's context would cut the commit.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendTimeout)
	defer cancel()
	defer s.bury(conn)
	used := map[graph.MutationKey]graph.Recorded{}
	rows, _ := conn.Query(ctx, sql, g, at, authors, mutations, hashes, causes, runs, attempts) // the reader gives its error
	var author, mutation *string
	var version *graph.Version
	var hash []byte
	_, err = pgx.ForEachRow(rows, []any{&author, &mutation, &version, &hash}, func() error {
		if author == nil {
			return graph.NotFound("graph")
		}
		used[graph.MutationKey{Author: *author, Key: *mutation}] = graph.Recorded{Version: *version, Hash: hash}
		return nil
	})
	if err != nil {
		return nil, failed(fmt.Sprintf("remember keys of graph %d", g), err)
	}
	return used, nil
}

// IdleKeys gives keys of transactions without effect.
func (s *Store) IdleKeys(ctx context.Context, g graph.GraphKey, after graph.MutationKey, limit int) (keys []graph.KeptKey, err error) {
	const sql = `
		-- name: idleKeys
		SELECT author, mutation, version, hash, cause FROM idle_keys
		WHERE graph = $1 AND (mutation, author) > ($2, $3)
		ORDER BY mutation, author LIMIT $4`
	err = s.read(ctx, "read the keys of transactions without effect", func(conn *pgx.Conn) (err error) {
		rows, _ := conn.Query(ctx, sql, g, after.Key, after.Author, limit) // the collector gives its error
		keys, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (k graph.KeptKey, err error) {
			err = row.Scan(&k.Author, &k.Key, &k.Version, &k.Hash, &k.Cause)
			return k, err
		})
		return err
	})
	return keys, err
}
