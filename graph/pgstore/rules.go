package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
)

// Pause keeps the runs of a rule from starting.
func (s *Runs) Pause(ctx context.Context, g graph.GraphKey, rule, by string) error {
	const pause = `-- rules: pause
		INSERT INTO rule_pauses (graph, rule, by) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
	_, err := s.pool.Exec(ctx, pause, g, rule, by)
	return runsErr(err, "pause rule %s", rule)
}

// Resume lets them start.
func (s *Runs) Resume(ctx context.Context, g graph.GraphKey, rule string) error {
	const resume = `-- rules: resume
		DELETE FROM rule_pauses WHERE graph = $1 AND rule = $2`
	_, err := s.pool.Exec(ctx, resume, g, rule)
	return runsErr(err, "resume rule %s", rule)
}

// Paused gives the paused rules of a graph.
func (s *Runs) Paused(ctx context.Context, g graph.GraphKey) (map[string]graph.RulePause, error) {
	const paused = `-- rules: paused
		SELECT rule, by, at FROM rule_pauses WHERE graph = $1`
	rows, err := s.pool.Query(ctx, paused, g)
	if err != nil {
		return nil, runsErr(err, "read the paused rules")
	}
	defer rows.Close()
	out := map[string]graph.RulePause{}
	for rows.Next() {
		var rule string
		var p graph.RulePause
		if err := rows.Scan(&rule, &p.By, &p.At); err != nil {
			return nil, runsErr(err, "read the paused rules")
		}
		out[rule] = p
	}
	return out, runsErr(rows.Err(), "read the paused rules")
}

// RuleRecords gives of each rule its last runs, each from an index, whatever
// other rules did.
func (s *Runs) RuleRecords(ctx context.Context, g graph.GraphKey, rules []string, n int) (map[string]*graph.RuleRecord, error) {
	const matches = `-- rules: matches
		SELECT ` + runColumns + `
		FROM unnest($2::text[]) AS w(rule)
		CROSS JOIN LATERAL (
			SELECT * FROM runs r WHERE r.graph = $1 AND r.rule = w.rule AND r.kind = 'rule'
			ORDER BY r.version DESC, r.id DESC LIMIT $3
		) r
		ORDER BY r.version DESC, r.id DESC`
	const failures = `-- rules: failures
		SELECT ` + runColumns + `
		FROM unnest($2::text[]) AS w(rule)
		CROSS JOIN unnest(ARRAY['dead', 'stopped', 'retrying']) AS f(state)
		CROSS JOIN LATERAL (
			SELECT * FROM runs r
			WHERE r.graph = $1 AND r.rule = w.rule AND r.state = f.state AND r.state <> 'succeeded' AND r.kind = 'rule'
			ORDER BY r.version DESC LIMIT $3
		) r
		ORDER BY r.version DESC, r.id DESC`
	const open = `-- rules: open runs
		SELECT w.rule, f.state, c.n
		FROM unnest($2::text[]) AS w(rule)
		CROSS JOIN unnest(ARRAY['pending', 'running', 'retrying', 'dead']) AS f(state)
		CROSS JOIN LATERAL (
			SELECT count(*) AS n FROM runs r
			WHERE r.graph = $1 AND r.rule = w.rule AND r.state = f.state AND r.state <> 'succeeded' AND r.kind = 'rule'
		) c
		WHERE c.n > 0`
	const faults = `-- rules: faults
		SELECT f.version, f.rule, f.entity::text, f.error
		FROM unnest($2::text[]) AS w(rule)
		CROSS JOIN LATERAL (
			SELECT * FROM rule_faults f WHERE f.graph = $1 AND f.rule = w.rule ORDER BY f.version DESC LIMIT $3
		) f
		ORDER BY f.version DESC`
	out := make(map[string]*graph.RuleRecord, len(rules))
	for _, r := range rules {
		out[r] = &graph.RuleRecord{Open: map[graph.RunState]int64{}}
	}
	batch := &pgx.Batch{}
	runs := func(sql string, list func(*graph.RuleRecord) *[]*graph.Run) {
		batch.Queue(sql, g, rules, n).Query(func(rows pgx.Rows) error {
			all, err := pgx.CollectRows(rows, scanRun)
			for _, r := range all {
				if l := list(out[r.Rule]); len(*l) < n {
					*l = append(*l, r)
				}
			}
			return err
		})
	}
	runs(matches, func(r *graph.RuleRecord) *[]*graph.Run { return &r.Matches })
	runs(failures, func(r *graph.RuleRecord) *[]*graph.Run { return &r.Failures })
	batch.Queue(open, g, rules).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var rule string
			var state graph.RunState
			var count int64
			if err := rows.Scan(&rule, &state, &count); err != nil {
				return err
			}
			out[rule].Open[state] = count
		}
		return rows.Err()
	})
	batch.Queue(faults, g, rules, n).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var f graph.RuleFault
			if err := rows.Scan(&f.Version, &f.Rule, &f.Entity, &f.Error); err != nil {
				return err
			}
			out[f.Rule].Faults = append(out[f.Rule].Faults, f)
		}
		return rows.Err()
	})
	return out, runsErr(s.pool.SendBatch(ctx, batch).Close(), "read what became of rules")
}

// Make makes runs beside the cursor.
func (s *Runs) Make(ctx context.Context, g graph.GraphKey, node string, runs []*graph.Run) (int, []graph.RunRef, error) {
	// How many there are more is counted in the function's own transaction, before
	// it and after it.
	const make = `-- runs: make
		WITH wanted AS MATERIALIZED (
			SELECT count(*) AS n FROM json_to_recordset($3) AS w(id uuid)
			WHERE NOT EXISTS (SELECT FROM runs r WHERE r.graph = $1 AND r.id = w.id)
		), made AS MATERIALIZED (
			SELECT run, rule FROM runs_make($1, $2, $3)
		)
		SELECT w.n, m.run::text, m.rule FROM wanted w LEFT JOIN made m ON true`
	list, err := encodeRuns(runs)
	if err != nil || list == nil {
		return 0, nil, err
	}
	rows, err := s.pool.Query(ctx, make, g, node, list)
	if err != nil {
		return 0, nil, runsErr(err, "make runs")
	}
	defer rows.Close()
	var made int
	var ready []graph.RunRef
	for rows.Next() {
		var run, rule *string
		if err := rows.Scan(&made, &run, &rule); err != nil {
			return 0, nil, runsErr(err, "make runs")
		}
		if run != nil {
			ready = append(ready, graph.RunRef{Graph: g, Run: *run, Rule: *rule})
		}
	}
	s.plans.made.Add(int64(made))
	return made, ready, runsErr(rows.Err(), "make runs")
}

// RetryAll makes runs due again, oldest first.
func (s *Runs) RetryAll(ctx context.Context, g graph.GraphKey, f graph.RunRetries) ([]graph.RunRef, error) {
	const retry = `-- runs: retry all
		WITH chosen AS (
			SELECT r.id FROM runs r
			WHERE r.graph = @graph AND r.state = @state AND r.state IN ('dead', 'cancelled', 'stopped') AND r.kind = 'rule'
				AND (@rule = '' OR r.rule = @rule)
			ORDER BY r.version, r.id LIMIT @limit
			FOR NO KEY UPDATE
		), again AS (
			UPDATE runs r SET state = 'retrying', retries_left = r.retries, wake_at = clock_timestamp(),
				deadline = NULL, ended_at = NULL, error = NULL
			FROM chosen WHERE r.graph = @graph AND r.id = chosen.id
			RETURNING r.graph, r.id, r.rule, r.attempt, r.version
		), noted AS (
			INSERT INTO run_hops (graph, run, attempt, hop) SELECT graph, id, attempt, 'retried' FROM again
		)
		SELECT graph, id::text, rule, attempt FROM again ORDER BY version, id`
	rows, err := s.pool.Query(ctx, retry, pgx.NamedArgs{"graph": g, "state": f.State, "rule": f.Rule, "limit": f.Limit})
	if err != nil {
		return nil, runsErr(err, "retry runs")
	}
	out, err := pgx.CollectRows(rows, scanRef)
	return out, runsErr(err, "retry runs")
}

// AskToStop tells the runs of operations to end.
func (s *Runs) AskToStop(ctx context.Context, g graph.GraphKey, operations []graph.ObjectID, grace time.Duration) ([]graph.RunRef, error) {
	const ask = `-- runs: ask to stop
		WITH asked AS (
			UPDATE runs r SET
				stop_by = least(r.stop_by, clock_timestamp() + @grace::interval),
				wake_at = CASE
					WHEN r.state = 'retrying' THEN least(r.wake_at, clock_timestamp())
					WHEN r.open THEN least(r.wake_at, clock_timestamp() + @grace::interval)
					ELSE r.wake_at END,
				deadline = CASE WHEN r.open THEN least(r.deadline, clock_timestamp() + @grace::interval) ELSE r.deadline END
			WHERE r.graph = @graph AND r.entity = ANY (@ids::uuid[]) AND r.kind = 'operation' AND r.entity_kind = 0
				AND r.ended_at IS NULL
			RETURNING r.graph, r.id, r.rule, r.attempt, r.state, r.open
		)
		SELECT graph, id::text, rule, attempt FROM asked WHERE state = 'retrying' OR (open AND @grace::interval <= '0')`
	ids := make([][16]byte, len(operations))
	for i, id := range operations {
		ids[i] = id
	}
	rows, err := s.pool.Query(ctx, ask, pgx.NamedArgs{"graph": g, "ids": ids, "grace": grace})
	if err != nil {
		return nil, runsErr(err, "ask operations to stop")
	}
	out, err := pgx.CollectRows(rows, scanRef)
	return out, runsErr(err, "ask operations to stop")
}

// Took gives how long the last successful runs of an operation took.
func (s *Runs) Took(ctx context.Context, g graph.GraphKey, operation string) (time.Duration, error) {
	const took = `-- runs: took
		SELECT coalesce(extract(epoch FROM percentile_disc(0.5) WITHIN GROUP (ORDER BY r.ended_at - r.started_at)), 0)::float8
		FROM (
			SELECT r.started_at, r.ended_at FROM runs r
			WHERE r.graph = $1 AND r.rule = $2 AND r.kind = 'operation' AND r.state = 'succeeded' AND r.started_at IS NOT NULL
			ORDER BY r.version DESC LIMIT 20
		) r`
	var seconds float64
	err := s.pool.QueryRow(ctx, took, g, operation).Scan(&seconds)
	return time.Duration(seconds * float64(time.Second)), runsErr(err, "read how long operation %s takes", operation)
}

// Prune removes runs that ended long ago, of all graphs: the oldest first,
// through an index of their ends.
func (s *Runs) Prune(ctx context.Context, keep time.Duration, limit int) (int, error) {
	const runs = `-- runs: prune
		WITH old AS (
			SELECT r.graph, r.id FROM runs r
			WHERE r.ended_at < clock_timestamp() - @keep::interval
			ORDER BY r.ended_at LIMIT @limit
			FOR UPDATE SKIP LOCKED
		), gone AS (
			DELETE FROM runs r USING old WHERE r.graph = old.graph AND r.id = old.id RETURNING r.graph, r.id
		), hops AS (
			DELETE FROM run_hops h USING old WHERE h.graph = old.graph AND h.run = old.id
		)
		SELECT count(*) FROM gone`
	const faults = `-- runs: prune faults
		DELETE FROM rule_faults WHERE ctid = ANY (ARRAY(
			SELECT ctid FROM rule_faults WHERE at < clock_timestamp() - @keep::interval LIMIT @limit))`
	args := pgx.NamedArgs{"keep": keep, "limit": limit}
	var n int
	if err := s.pool.QueryRow(ctx, runs, args).Scan(&n); err != nil {
		return 0, runsErr(err, "forget old runs")
	}
	_, err := s.pool.Exec(ctx, faults, args)
	return n, runsErr(err, "forget old faults")
}
