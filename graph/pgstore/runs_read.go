package pgstore

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
)

// runColumns are what scanRun reads, of a row named r.
const runColumns = `r.graph, r.graph_name, r.id::text, r.kind, r.rule, r.event, r.entity_kind, r.entity, r.version, r.schema_version,
	r.state, r.attempt, r.retries, r.retries_left, r.timeout_ms, r.depth, r.by, r.chain, r.wake_at, r.deadline, r.open,
	coalesce(r.node, ''), r.token_hash, r.error, r.created_at, r.started_at, r.ended_at, coalesce(r.replay::text, '')`

func scanRun(row pgx.CollectableRow) (*graph.Run, error) {
	var r graph.Run
	var timeout int64
	var by, chain, why []byte
	var wake, deadline, started, ended *time.Time
	err := row.Scan(&r.Graph, &r.GraphName, &r.ID, &r.Kind, &r.Rule, &r.Event, &r.Entity.Kind, &r.Entity.ID, &r.Version, &r.SchemaVer,
		&r.State, &r.Attempt, &r.Retries, &r.RetriesLeft, &timeout, &r.Depth, &by, &chain, &wake, &deadline, &r.Open,
		&r.Node, &r.TokenHash, &why, &r.CreatedAt, &started, &ended, &r.Replay)
	if err != nil {
		return nil, err
	}
	r.Timeout = time.Duration(timeout) * time.Millisecond
	for to, t := range map[*time.Time]*time.Time{&r.WakeAt: wake, &r.Deadline: deadline, &r.StartedAt: started, &r.EndedAt: ended} {
		if t != nil {
			*to = *t
		}
	}
	if err := json.Unmarshal(by, &r.By); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(chain, &r.Chain); err != nil {
		return nil, err
	}
	if why != nil {
		if err := json.Unmarshal(why, &r.Error); err != nil {
			return nil, err
		}
	}
	return &r, nil
}

// Run gives one run with its hops.
func (s *Runs) Run(ctx context.Context, g graph.GraphKey, id string) (*graph.Run, []graph.Hop, error) {
	const run = `-- runs: run
		SELECT ` + runColumns + ` FROM runs r WHERE r.graph = $1 AND r.id = $2`
	const hops = `-- runs: hops
		SELECT at, hop, attempt, coalesce(node, ''), coalesce(version, 0), request, answer, error
		FROM run_hops WHERE graph = $1 AND run = $2 ORDER BY seq`
	rows, err := s.pool.Query(ctx, run, g, id)
	if err != nil {
		return nil, nil, runsErr(err, "read run %s", id)
	}
	r, err := pgx.CollectExactlyOneRow(rows, scanRun)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil, graph.NotFound("run")
	}
	if err != nil {
		return nil, nil, runsErr(err, "read run %s", id)
	}
	if rows, err = s.pool.Query(ctx, hops, g, id); err != nil {
		return nil, nil, runsErr(err, "read the steps of run %s", id)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (h graph.Hop, err error) {
		var request, answer, why []byte
		if err := row.Scan(&h.At, &h.Hop, &h.Attempt, &h.Node, &h.Version, &request, &answer, &why); err != nil {
			return h, err
		}
		h.Request, h.Answer = request, answer
		if why != nil {
			err = json.Unmarshal(why, &h.Error)
		}
		return h, err
	})
	return r, list, runsErr(err, "read the steps of run %s", id)
}

// Runs gives those of the ids that exist.
func (s *Runs) Runs(ctx context.Context, g graph.GraphKey, ids []string) (map[string]*graph.Run, error) {
	const runs = `-- runs: runs
		SELECT ` + runColumns + ` FROM runs r WHERE r.graph = $1 AND r.id = ANY ($2::uuid[])`
	list, err := s.list(ctx, runs, g, ids)
	if err != nil {
		return nil, err
	}
	out := make(map[string]*graph.Run, len(list))
	for _, r := range list {
		out[r.ID] = r
	}
	return out, nil
}

func (s *Runs) list(ctx context.Context, sql string, args ...any) ([]*graph.Run, error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, runsErr(err, "read runs")
	}
	out, err := pgx.CollectRows(rows, scanRun)
	return out, runsErr(err, "read runs")
}

// ListRuns gives runs, newest first.
func (s *Runs) ListRuns(ctx context.Context, g graph.GraphKey, f graph.RunFilter) ([]*graph.Run, error) {
	const list = `-- runs: list
		SELECT ` + runColumns + ` FROM runs r
		WHERE r.graph = @graph
			AND (@state::text IS NULL OR r.state = @state) AND (@rule::text IS NULL OR r.rule = @rule)
			AND (@entity::uuid IS NULL OR r.entity = @entity) AND (@entity_kind::smallint IS NULL OR r.entity_kind = @entity_kind)
			AND (@before_version::bigint IS NULL OR (r.version, r.id) < (@before_version, @before_id::uuid))
		ORDER BY r.version DESC, r.id DESC
		LIMIT @limit`
	args := pgx.NamedArgs{
		"graph": g, "state": nil, "rule": nil, "entity": nil, "entity_kind": nil, "before_version": nil, "before_id": nil, "limit": nil,
	}
	if f.State != "" {
		args["state"] = f.State
	}
	if f.Rule != "" {
		args["rule"] = f.Rule
	}
	if f.About != nil {
		args["entity"] = *f.About
	}
	if f.Entity != nil {
		args["entity"], args["entity_kind"] = f.Entity.IDString(), int16(f.Entity.Kind)
	}
	if f.Limit > 0 {
		args["limit"] = f.Limit
	}
	if f.Before != "" {
		from, err := s.Runs(ctx, g, []string{f.Before})
		if err != nil {
			return nil, err
		}
		r := from[f.Before]
		if r == nil {
			return nil, graph.NotFound("run")
		}
		args["before_version"], args["before_id"] = r.Version, r.ID
	}
	return s.list(ctx, list, args)
}

// Fired gives the runs and the faults of a commit.
func (s *Runs) Fired(ctx context.Context, g graph.GraphKey, v graph.Version) ([]*graph.Run, []graph.RuleFault, error) {
	const fired = `-- runs: fired
		SELECT ` + runColumns + ` FROM runs r WHERE r.graph = $1 AND r.version = $2 ORDER BY r.rule, r.id`
	const faults = `-- runs: faults
		SELECT version, rule, entity::text, error FROM rule_faults WHERE graph = $1 AND version = $2 ORDER BY rule, entity`
	runs, err := s.list(ctx, fired, g, v)
	if err != nil {
		return nil, nil, err
	}
	rows, err := s.pool.Query(ctx, faults, g, v)
	if err != nil {
		return nil, nil, runsErr(err, "read the faults of rules")
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f graph.RuleFault, err error) {
		return f, row.Scan(&f.Version, &f.Rule, &f.Entity, &f.Error)
	})
	return runs, list, runsErr(err, "read the faults of rules")
}

// Made gives the versions of the commits that runs caused.
func (s *Runs) Made(ctx context.Context, g graph.GraphKey, ids []string) (map[string][]graph.Version, error) {
	const made = `-- runs: made
		SELECT r.id, c.version
		FROM unnest($2::text[]) AS r(id)
		CROSS JOIN LATERAL (
			SELECT c.version FROM commits c WHERE c.graph = $1 AND c.cause_run = r.id ORDER BY c.version
		) c`
	rows, err := s.pool.Query(ctx, made, g, ids)
	if err != nil {
		return nil, runsErr(err, "read the commits of runs")
	}
	defer rows.Close()
	out := map[string][]graph.Version{}
	for rows.Next() {
		var id string
		var v graph.Version
		if err := rows.Scan(&id, &v); err != nil {
			return nil, runsErr(err, "read the commits of runs")
		}
		out[id] = append(out[id], v)
	}
	return out, runsErr(rows.Err(), "read the commits of runs")
}

// Stats counts what is open, and dead runs, through the indexes of those alone.
func (s *Runs) Stats(ctx context.Context) (graph.RunStats, error) {
	const stats = `-- runs: stats
		SELECT r.state, count(*), coalesce(extract(epoch FROM clock_timestamp() - min(r.wake_at) FILTER (WHERE p.rule IS NULL)), 0)::float8
		FROM runs r LEFT JOIN rule_pauses p ON p.graph = r.graph AND p.rule = r.rule AND r.kind = 'rule'
		WHERE r.state <> 'succeeded' AND r.state IN ('pending', 'running', 'retrying', 'dead')
		GROUP BY r.state`
	const byRule = `-- runs: stats by rule
		SELECT r.rule, count(*) FROM runs r WHERE r.wake_at IS NOT NULL GROUP BY r.rule`
	const behind = `-- runs: commits not matched
		SELECT coalesce(sum(g.version - coalesce(c.version, 0)), 0)::bigint,
			coalesce(extract(epoch FROM clock_timestamp() - min(n.at)), 0)::float8
		FROM graphs g
		LEFT JOIN run_cursors c ON c.graph = g.key
		LEFT JOIN LATERAL (SELECT n.at FROM commits n WHERE n.graph = g.key AND n.version = coalesce(c.version, 0) + 1 LIMIT 1) n ON true
		WHERE g.name NOT LIKE '.%' AND g.version > coalesce(c.version, 0)`
	out := graph.RunStats{ByState: map[graph.RunState]int64{}, ByRule: map[string]int64{}}
	seconds := func(s float64) time.Duration { return max(0, time.Duration(s*float64(time.Second))) }
	batch := &pgx.Batch{}
	batch.Queue(stats).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var state graph.RunState
			var n int64
			var oldest float64
			if err := rows.Scan(&state, &n, &oldest); err != nil {
				return err
			}
			out.ByState[state] = n
			if state == graph.RunPending || state == graph.RunRetrying {
				out.Oldest = max(out.Oldest, seconds(oldest))
			}
		}
		return rows.Err()
	})
	batch.Queue(byRule).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var rule string
			var n int64
			if err := rows.Scan(&rule, &n); err != nil {
				return err
			}
			out.ByRule[rule] = n
		}
		return rows.Err()
	})
	batch.Queue(behind).QueryRow(func(row pgx.Row) error {
		var age float64
		if err := row.Scan(&out.Behind, &age); err != nil {
			return err
		}
		out.BehindFor = seconds(age)
		return nil
	})
	return out, runsErr(s.pool.SendBatch(ctx, batch).Close(), "count runs")
}
