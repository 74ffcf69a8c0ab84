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
		log, err = q.commits(ctx, conn)
		return err
	})
	return log, err
}

// logQuery reads a stretch of the log as a part of a batch of statements.
type logQuery struct {
	graph  graph.GraphKey
	since  graph.Version
	limit  int
	locked bool // the graph's row is, and its floor has been looked at
	log    []*graph.Commit

	removals []removal // what they ended is not in log yet
}

// queue puts the statements into a batch; commits gives what came of them.
func (q *logQuery) queue(batch *pgx.Batch) {
	const commits = `
		-- name: log.commits
		SELECT version, at, schema_version, cause_version, depth, epoch, author, mutation, session, grp, note,
			cause, cause_run, hash, principals, asked, done
		FROM commits
		WHERE graph = $1 AND version > $2
		ORDER BY version LIMIT $3`
	// Read after the commits, it has the changes of all of them. Versions are
	// dense: so many commits end at since + limit. What a removal ended is read
	// for itself (see ended): few commits remove anything, and a join here would
	// cost each page a third of its time.
	const changes = `
		-- name: log.changes
		SELECT h.id, h.from_id, h.to_id, h.type, h.version, h.created_version, h.at, h.created_at, h.by, h.created_by, h.access,
			CASE WHEN h.delta IS NULL THEN h.body ELSE history_body(h.graph, h.kind, h.id, h.version) END,
			h.kind, h.what
		FROM history h
		WHERE h.graph = $1 AND h.version > $2 AND h.version <= $2 + $3
		ORDER BY h.version, h.ord`
	q.since = max(q.since, 0)
	if q.limit <= 0 {
		return
	}
	batch.Queue(commits, q.graph, q.since, q.limit).Query(func(rows pgx.Rows) (err error) {
		q.log, err = collectCommits(rows)
		return err
	})
	batch.Queue(changes, q.graph, q.since, int64(q.limit)).Query(func(rows pgx.Rows) error {
		var last past
		return rawRows(rows, func(values [][]byte) error {
			var p past
			if err := readPast(values, &p, &last); err != nil {
				return err
			}
			last = p
			return q.add(&p)
		})
	})
	q.queueFloor(batch)
}

// queueFloor puts the look at the floor into a batch. It comes last: a compaction
// raises the floor before it removes anything, so what was read before is whole if
// the floor is still low enough. While the graph's row is locked nobody raises it.
func (q *logQuery) queueFloor(batch *pgx.Batch) {
	const floor = `
		-- name: log.floor
		SELECT floor FROM graphs WHERE key = $1 AND name IS NOT NULL`
	if q.locked {
		return
	}
	batch.Queue(floor, q.graph).QueryRow(func(row pgx.Row) error {
		var floor graph.Version
		err := row.Scan(&floor)
		if errors.Is(err, pgx.ErrNoRows) {
			return graph.NotFound("graph")
		}
		if err != nil {
			return err
		}
		return q.reaches(floor)
	})
}

// reaches refuses a stretch that begins before the floor of the log.
func (q *logQuery) reaches(floor graph.Version) error {
	if q.since < floor {
		return graph.Errf(graph.CodeGone, "the log begins after version %d", floor)
	}
	return nil
}

// commits gives what was read, once the batch is closed.
func (q *logQuery) commits(ctx context.Context, conn *pgx.Conn) ([]*graph.Commit, error) {
	if len(q.removals) > 0 {
		if err := q.ended(ctx, conn); err != nil {
			return nil, err
		}
	}
	for _, c := range q.log {
		if err := distribute(c); err != nil {
			return nil, err
		}
	}
	return q.log, nil
}

// ended reads the states that the removals of the stretch ended.
func (q *logQuery) ended(ctx context.Context, conn *pgx.Conn) error {
	const sql = `
		-- name: log.ended
		SELECT h.version, h.id, p.version, p.at, p.by, p.access, p.body
		FROM history h
		LEFT JOIN LATERAL (
			SELECT p.version, p.at, p.by, p.access, CASE WHEN p.delta IS NULL THEN p.body ELSE history_body(p.graph, p.kind, p.id, p.version) END AS body FROM history p
			WHERE p.graph = h.graph AND p.kind = h.kind AND p.id = h.id AND p.version < h.version
			ORDER BY p.version DESC LIMIT 1
		) p ON true
		WHERE h.graph = $1 AND h.version >= $2 AND h.version <= $3 AND h.what & 3 = 3
		ORDER BY h.version, h.ord`
	batch := &pgx.Batch{}
	rest := q.removals
	var fault error // counts only where the floor does not explain it
	batch.Queue(sql, q.graph, rest[0].Version, rest[len(rest)-1].Version).Query(func(rows pgx.Rows) error {
		return rawRows(rows, func(values [][]byte) error {
			if len(rest) == 0 || fault != nil {
				return nil
			}
			r := rest[0]
			rest = rest[1:]
			if fault = readEnded(values, &r.past); fault == nil {
				fault = r.put(q.log[r.commit])
			}
			return nil
		})
	})
	q.queueFloor(batch)
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	if fault == nil && len(rest) > 0 {
		fault = fmt.Errorf("the log lacks the removals from version %d on", rest[0].Version)
	}
	return fault
}

// removal is a change that waits for the state that it ended: change in the
// commit of the log.
type removal struct {
	past
	commit, change int
}

func (r *removal) put(c *graph.Commit) error {
	snap, err := r.snapshot()
	ch := &c.Changes[r.change]
	ch.ObjBefore, ch.EdgeBefore = snap.Object, snap.Edge
	return err
}

// collectCommits reads rows with the columns of log.commits.
func collectCommits(rows pgx.Rows) (log []*graph.Commit, err error) {
	last := &graph.Commit{}
	err = rawRows(rows, func(values [][]byte) error {
		c, err := readCommit(values, last)
		if err != nil {
			return err
		}
		log, last = append(log, c), c
		return nil
	})
	return log, err
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// add puts a row of log.changes into the commit that made it. Rows of commits
// that came after the ones read are left out.
func (q *logQuery) add(p *past) error {
	i := int(p.Version-q.since) - 1
	if i >= len(q.log) {
		return nil
	}
	c := q.log[i]
	ch := graph.Change{
		Ref: graph.Ref{Kind: p.kind, ID: p.ID}, Event: p.event(),
		AccessChanged: p.what&accessChanged != 0, BodyChanged: p.what&bodyChanged != 0,
	}
	if ch.Event == graph.Deleted {
		q.removals = append(q.removals, removal{*p, i, len(c.Changes)})
	} else {
		snap, err := p.snapshot()
		if err != nil {
			return err
		}
		ch.ObjAfter, ch.EdgeAfter = snap.Object, snap.Edge
	}
	c.Changes = append(c.Changes, ch)
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
	ops, refs, err := relativeOps(done)
	if err != nil {
		return nil, err
	}
	if len(refs) > 0 && allSame(refs) { // as with most: no sorting
		return map[graph.Ref]json.RawMessage{refs[0]: patch.AppendOps(make([]byte, 0, len(done)), "", ops)}, nil
	}
	named := byEntity(ops, refs)
	parts := make(map[graph.Ref]json.RawMessage, len(named))
	for ref, ops := range named {
		parts[ref] = patch.AppendOps(nil, "", ops)
	}
	return parts, nil
}

// namedBy gives the operations of a patch by entity, paths relative to it.
func namedBy(done []byte) (map[graph.Ref][]patch.Op, error) {
	ops, refs, err := relativeOps(done)
	if err != nil {
		return nil, err
	}
	return byEntity(ops, refs), nil
}

func byEntity(ops []patch.Op, refs []graph.Ref) map[graph.Ref][]patch.Op {
	out := map[graph.Ref][]patch.Op{}
	for i, ref := range refs {
		out[ref] = append(out[ref], ops[i])
	}
	return out
}

func allSame(refs []graph.Ref) bool {
	for _, ref := range refs[1:] {
		if ref != refs[0] {
			return false
		}
	}
	return true
}

// relativeOps gives the operations of a patch, paths relative to the entity that
// each is about, and these entities.
func relativeOps(done []byte) ([]patch.Op, []graph.Ref, error) {
	ops, fault := patch.Parse(done, 0)
	if fault != nil {
		return nil, nil, fault
	}
	refs := make([]graph.Ref, len(ops))
	for i := range ops {
		op := &ops[i]
		ref, ok := refOf(op.Path)
		if !ok {
			return nil, nil, fmt.Errorf("path %s names no entity", op.Path)
		}
		refs[i], op.Path = ref, op.Path[2:]
		if len(op.From) >= 2 {
			op.From = op.From[2:]
		}
	}
	return ops, refs, nil
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
