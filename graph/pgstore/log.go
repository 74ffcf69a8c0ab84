package pgstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/patch"
)

// Log gives up to limit commits after since, oldest first. CodeGone where the
// log does not reach back to since.
func (s *Store) Log(ctx context.Context, g graph.GraphKey, since graph.Version, limit int) (log []*graph.Commit, err error) {
	err = s.read(ctx, "read the log", func(conn *pgx.Conn) (err error) {
		q := logQuery{graph: g, since: since, limit: limit}
		batch := &pgx.Batch{}
		q.queue(batch)
		if err := conn.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		log, err = q.commits()
		return err
	})
	return log, err
}

// logQuery reads a stretch of the log as a part of a batch of statements.
type logQuery struct {
	graph graph.GraphKey
	since graph.Version
	limit int
	log   []*graph.Commit
}

// queue puts the statements into a batch; commits gives what came of them.
func (q *logQuery) queue(batch *pgx.Batch) {
	const floor = `
		-- name: log.floor
		SELECT floor FROM graphs WHERE key = $1 AND name IS NOT NULL`
	const commits = `
		-- name: log.commits
		SELECT version, at, schema_version, cause_version, depth, epoch, author, mutation, session, grp, note,
			cause, cause_run, hash, principals, asked, done
		FROM commits
		WHERE graph = $1 AND version > $2
		ORDER BY version LIMIT $3`
	// Read after the commits, it has the changes of all of them. Versions are
	// dense: so many commits end at since + limit. The state before is looked up
	// for removals alone: the condition stands inside, where it spares the
	// others the look.
	const changes = `
		-- name: log.changes
		SELECT h.id, h.from_id, h.to_id, h.type, h.version, h.created_version, h.at, h.created_at, h.by, h.created_by, h.access,
			CASE WHEN h.delta IS NULL THEN h.body ELSE history_body(h.graph, h.kind, h.id, h.version) END,
			h.kind, h.what, p.version, p.at, p.by, p.access, p.body
		FROM history h
		LEFT JOIN LATERAL (
			SELECT p.version, p.at, p.by, p.access, CASE WHEN p.delta IS NULL THEN p.body ELSE history_body(p.graph, p.kind, p.id, p.version) END AS body FROM history p
			WHERE h.what & 3 = 3 AND p.graph = h.graph AND p.kind = h.kind AND p.id = h.id AND p.version < h.version
			ORDER BY p.version DESC LIMIT 1
		) p ON true
		WHERE h.graph = $1 AND h.version > $2 AND h.version <= $2 + $3
		ORDER BY h.version, h.ord`
	q.since = max(q.since, 0)
	if q.limit <= 0 {
		return
	}
	batch.Queue(commits, q.graph, q.since, q.limit).Query(func(rows pgx.Rows) (err error) {
		q.log, err = pgx.CollectRows(rows, scanCommit)
		return err
	})
	batch.Queue(changes, q.graph, q.since, int64(q.limit)).Query(func(rows pgx.Rows) error {
		_, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
			return struct{}{}, addChange(row, q.log, q.since)
		})
		return err
	})
	// Last: a compaction raises the floor before it removes anything, so what
	// was read above is whole if the floor is still low enough.
	batch.Queue(floor, q.graph).QueryRow(func(row pgx.Row) error {
		var floor graph.Version
		err := row.Scan(&floor)
		if errors.Is(err, pgx.ErrNoRows) {
			return graph.NotFound("graph")
		}
		if err == nil && q.since < floor {
			return graph.Errf(graph.CodeGone, "the log begins after version %d", floor)
		}
		return err
	})
}

// commits gives what was read, once the batch is closed.
func (q *logQuery) commits() ([]*graph.Commit, error) {
	for _, c := range q.log {
		if err := distribute(c); err != nil {
			return nil, err
		}
	}
	return q.log, nil
}

// scanCommit reads a row of commits with the columns of log.commits.
func scanCommit(row pgx.CollectableRow) (*graph.Commit, error) {
	var c graph.Commit
	var causeVersion *graph.Version
	var session, group, note, run *string
	var who []byte
	err := row.Scan(&c.Version, &c.At, &c.SchemaVer, &causeVersion, &c.Depth, &c.Epoch, &c.Author.User, &c.Mutation, &session, &group, &note,
		&c.Cause.Kind, &run, &c.Hash, &who, (*[]byte)(&c.Asked), (*[]byte)(&c.Done))
	if err != nil {
		return nil, err
	}
	if c.Done == nil {
		c.Done = c.Asked
	}
	c.At = c.At.UTC()
	c.Session, c.Group, c.Note, c.Cause.Run = orEmpty(session), orEmpty(group), orEmpty(note), orEmpty(run)
	if causeVersion != nil {
		c.Cause.Version = *causeVersion
	}
	c.Author, err = parsePrincipals(c.Author.User, who)
	return &c, err
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// addChange reads a row of log.changes into the commit that made it. Rows of
// commits that came after the ones read are left out.
func addChange(row pgx.CollectableRow, log []*graph.Commit, since graph.Version) error {
	var p past
	if err := scanPast(row, &p); err != nil {
		return err
	}
	i := int(p.Version-since) - 1
	if i >= len(log) {
		return nil
	}
	snap, err := p.snapshot()
	if err != nil {
		return err
	}
	ch := graph.Change{
		Ref: graph.Ref{Kind: p.kind, ID: p.ID}, Event: p.event(),
		AccessChanged: p.what&accessChanged != 0, BodyChanged: p.what&bodyChanged != 0,
	}
	if snap.Deleted {
		ch.ObjBefore, ch.EdgeBefore = snap.Object, snap.Edge
	} else {
		ch.ObjAfter, ch.EdgeAfter = snap.Object, snap.Edge
	}
	log[i].Changes = append(log[i].Changes, ch)
	return nil
}

// distribute gives each modified entity of a commit its part of what was done.
func distribute(c *graph.Commit) error {
	var parts map[graph.Ref]json.RawMessage
	for i := range c.Changes {
		ch := &c.Changes[i]
		if ch.Event != graph.Modified {
			continue
		}
		if parts == nil {
			var err error
			if parts, err = partsOf(c.Done); err != nil {
				return fmt.Errorf("read what version %d did: %w", c.Version, err)
			}
		}
		ch.Patch = parts[ch.Ref]
	}
	return nil
}

// partsOf gives the parts of a patch over a graph, each relative to its entity.
func partsOf(done []byte) (map[graph.Ref]json.RawMessage, error) {
	named, err := namedBy(done)
	if err != nil {
		return nil, err
	}
	parts := make(map[graph.Ref]json.RawMessage, len(named))
	for ref, ops := range named {
		parts[ref] = patch.AppendOps(nil, "", ops)
	}
	return parts, nil
}

// namedBy gives the operations of a patch by entity, paths relative to it.
func namedBy(done []byte) (map[graph.Ref][]patch.Op, error) {
	ops, fault := patch.Parse(done, 0)
	if fault != nil {
		return nil, fault
	}
	out := map[graph.Ref][]patch.Op{}
	for _, op := range ops {
		ref, ok := refOf(op.Path)
		if !ok {
			return nil, fmt.Errorf("path %s names no entity", op.Path)
		}
		op.Path = op.Path[2:]
		if len(op.From) >= 2 {
			op.From = op.From[2:]
		}
		out[ref] = append(out[ref], op)
	}
	return out, nil
}

func refOf(p patch.Pointer) (graph.Ref, bool) {
	if len(p) < 2 {
		return graph.Ref{}, false
	}
	switch p[0] {
	case "objects":
		id, ok := graph.ParseObjectID(p[1])
		return graph.ObjectRef(id), ok
	case "edges":
		id, ok := graph.ParseEdgeID(p[1])
		return graph.EdgeRef(id), ok
	}
	return graph.Ref{}, false
}
