package pgstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/graphtide/graphtide/graph"
)

// Runs is a graph.RunStore in Postgres. Its times are the database's: the
// clocks of nodes need not agree.
type Runs struct {
	pool  *pgxpool.Pool
	plans plans
}

var _ graph.RunStore = (*Runs)(nil)

// NewRuns gives the runs of the database behind pool, which stays the caller's.
func NewRuns(pool *pgxpool.Pool) *Runs { return &Runs{pool: pool} }

// runsErr says what failed; all faults of the database here may be tried again.
func runsErr(err error, doing string, args ...any) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf(doing+": %w", append(args, err)...)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &graph.Error{Code: graph.CodeUnavailable, Message: "the database did not answer", RetryAfter: time.Second, Err: err}
}

// Behind gives graphs whose log is ahead of their cursor. It looks at all
// graphs: at one row each, from memory.
func (s *Runs) Behind(ctx context.Context, node string, limit int) ([]graph.RunBacklog, error) {
	const behind = `-- runs: behind
		SELECT g.key, g.name, g.version, coalesce(c.version, 0)
		FROM graphs g LEFT JOIN run_cursors c ON c.graph = g.key
		WHERE g.name NOT LIKE '.%' AND g.version > coalesce(c.version, 0)
			AND (c.holder IS NULL OR c.holder = @node OR c.until <= clock_timestamp())
		LIMIT @limit`
	rows, err := s.pool.Query(ctx, behind, pgx.NamedArgs{"node": node, "limit": limit})
	if err != nil {
		return nil, runsErr(err, "look for commits to match")
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (b graph.RunBacklog, err error) {
		return b, row.Scan(&b.Graph, &b.Name, &b.Head, &b.Cursor)
	})
	return out, runsErr(err, "look for commits to match")
}

// Cursor gives a graph's cursor.
func (s *Runs) Cursor(ctx context.Context, g graph.GraphKey) (c graph.RunCursor, err error) {
	const cursor = `-- runs: cursor
		SELECT epoch, version, holder, until FROM run_cursors WHERE graph = $1`
	err = s.pool.QueryRow(ctx, cursor, g).Scan(&c.Epoch, &c.Version, &c.Holder, &c.Until)
	if errors.Is(err, pgx.ErrNoRows) {
		return graph.RunCursor{}, nil
	}
	return c, runsErr(err, "read the cursor of graph %d", g)
}

// newRun is a run as runs_dispatch takes it.
type newRun struct {
	Version    graph.Version   `json:"version"`
	SchemaVer  int64           `json:"schema_version"`
	TimeoutMS  int64           `json:"timeout_ms"`
	ID         string          `json:"id"`
	Entity     string          `json:"entity"`
	Retries    int             `json:"retries"`
	Depth      int             `json:"depth"`
	EntityKind int             `json:"entity_kind"`
	Event      int             `json:"event"`
	State      graph.RunState  `json:"state"`
	Kind       graph.RunKind   `json:"kind"`
	Rule       string          `json:"rule"`
	GraphName  string          `json:"graph_name"`
	By         graph.Principal `json:"by"`
	Chain      []graph.RunLink `json:"chain"`
	Error      *graph.RunError `json:"error,omitempty"`
	Replay     string          `json:"replay,omitempty"`
}

// encodeRuns gives the runs as runs_make takes them; nil for none.
func encodeRuns(runs []*graph.Run) ([]byte, error) {
	if len(runs) == 0 {
		return nil, nil
	}
	list := make([]newRun, len(runs))
	for i, r := range runs {
		chain := r.Chain
		if chain == nil {
			chain = []graph.RunLink{} // the column wants a list
		}
		list[i] = newRun{
			Version: r.Version, SchemaVer: r.SchemaVer, TimeoutMS: r.Timeout.Milliseconds(), ID: r.ID, Entity: r.Entity.IDString(),
			Retries: r.Retries, Depth: r.Depth, EntityKind: int(r.Entity.Kind), Event: int(r.Event), State: r.State, Kind: r.Kind,
			Rule: r.Rule, GraphName: r.GraphName, By: r.By, Chain: chain, Error: r.Error, Replay: r.Replay,
		}
	}
	b, err := json.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("encode runs: %w", err)
	}
	return b, nil
}

// Dispatch moves the cursor and makes the runs.
func (s *Runs) Dispatch(ctx context.Context, d *graph.Dispatch) (graph.Dispatched, error) {
	const dispatch = `-- runs: dispatch
		SELECT moved, epoch, version, holder, until, run::text, rule
		FROM runs_dispatch(@graph, @node, @lease, @from, @to, @epoch, @runs, @faults)`
	runs, err := encodeRuns(d.Runs)
	if err != nil {
		return graph.Dispatched{}, err
	}
	var faults []byte
	if len(d.Faults) > 0 {
		if faults, err = json.Marshal(d.Faults); err != nil {
			return graph.Dispatched{}, fmt.Errorf("encode faults: %w", err)
		}
	}
	var out graph.Dispatched
	batch := &pgx.Batch{} // one transaction
	batch.Queue(dispatch, pgx.NamedArgs{
		"graph": d.Graph, "node": d.Node, "lease": d.Lease, "from": d.From, "to": d.To, "epoch": d.Epoch, "runs": runs, "faults": faults,
	}).Query(func(rows pgx.Rows) (err error) {
		out, err = dispatched(d.Graph, rows)
		return err
	})
	if len(d.Claims) > 0 {
		args, err := claimArgs(graph.RunClaims{Graph: d.Graph, Node: d.Node, Lease: d.Lease, Runs: d.Claims})
		if err != nil {
			return graph.Dispatched{}, err
		}
		batch.Queue(claimRuns, args).Query(func(rows pgx.Rows) error {
			begun, err := pgx.CollectRows(rows, scanRun)
			out.Began(begun)
			return err
		})
	}
	err = s.pool.SendBatch(ctx, batch).Close()
	if err != nil && !tookTooLong(err) {
		return graph.Dispatched{}, runsErr(err, "dispatch graph %d", d.Graph)
	}
	s.plans.made.Add(int64(len(d.Runs)))
	if len(d.Runs) >= crowd || err != nil { // the sweeper looks, too; a lone run is not kept waiting
		_ = s.look(ctx) // they are made, or a plan is bad; a database that does not look is slower
	}
	if err != nil {
		return graph.Dispatched{}, runsErr(err, "dispatch graph %d", d.Graph)
	}
	return out, nil
}

// crowd is how many runs in one dispatch are worth a look at the tables.
const crowd = 20

// dispatched reads the answer of runs_dispatch.
func dispatched(g graph.GraphKey, rows pgx.Rows) (out graph.Dispatched, err error) {
	for rows.Next() {
		var epoch, holder, run, rule *string
		var version *graph.Version
		var until *time.Time
		if err := rows.Scan(&out.Moved, &epoch, &version, &holder, &until, &run, &rule); err != nil {
			return out, err
		}
		if run != nil {
			out.Ready = append(out.Ready, graph.RunRef{Graph: g, Run: *run, Rule: *rule})
			continue
		}
		out.Cursor = graph.RunCursor{Epoch: *epoch, Version: *version, Holder: *holder, Until: *until}
	}
	return out, rows.Err()
}

// Release lets another node move the cursor.
func (s *Runs) Release(ctx context.Context, g graph.GraphKey, node string) error {
	const release = `-- runs: release
		UPDATE run_cursors SET holder = '', until = clock_timestamp() WHERE graph = $1 AND holder = $2`
	_, err := s.pool.Exec(ctx, release, g, node)
	return runsErr(err, "release the cursor of graph %d", g)
}

// claimRuns starts attempts, all in one statement. The rows are locked, by version
// and id, by the look that judges them. Of a lane that has two among those asked
// for, the first one alone begins. The columns of a lane are compared as expressions
// so that no index but the lanes' fits (see plans).
//
// What a rule's handler left open for reports comes back as it is.
const claimRuns = `-- runs: claim
	WITH old AS MATERIALIZED (
		SELECT r.*, s.token
		FROM (
			SELECT a.id, a.token, v.version
			FROM unnest(@runs::uuid[], @tokens::bytea[]) AS a(id, token)
			CROSS JOIN LATERAL (SELECT r.version FROM runs r WHERE r.graph = @graph AND r.id = a.id LIMIT 1) v
			ORDER BY v.version, a.id
		) s
		CROSS JOIN LATERAL (
			SELECT r.id, r.version, r.entity, r.rule, r.kind, r.entity_kind, r.state, r.attempt, r.open, r.node
			FROM runs r
			WHERE r.graph = @graph AND r.id = s.id AND r.version = s.version AND r.wake_at <= clock_timestamp() AND NOT EXISTS (
				SELECT FROM runs e
				WHERE e.graph + 0 = r.graph AND e.entity = r.entity AND e.rule || '' = r.rule AND e.kind = r.kind AND e.entity_kind = r.entity_kind
					AND e.id <> r.id AND e.ended_at IS NULL
					AND (e.version < r.version OR (e.state = 'running' AND e.wake_at > clock_timestamp())))
				AND NOT EXISTS (SELECT FROM rule_pauses p WHERE p.graph = r.graph AND p.rule = r.rule AND r.kind = 'rule')
			LIMIT 1 FOR NO KEY UPDATE OF r
		) r
	), begun AS (
		UPDATE runs r SET
			state = 'running', open = false, node = @node, token_hash = old.token, attempt = r.attempt + 1,
			started_at = coalesce(r.started_at, clock_timestamp()),
			wake_at = clock_timestamp() + @lease::interval,
			deadline = CASE WHEN r.kind = 'operation' AND r.deadline IS NOT NULL THEN r.deadline
				ELSE clock_timestamp() + r.timeout_ms * interval '1 millisecond' END,
			retries_left = r.retries_left - CASE WHEN r.state = 'running' THEN 1 ELSE 0 END
		FROM old
		WHERE r.graph = @graph AND r.id = old.id AND NOT (old.open AND old.kind = 'rule') AND NOT EXISTS (
			SELECT FROM old o
			WHERE o.entity = old.entity AND o.rule = old.rule AND o.kind = old.kind AND o.entity_kind = old.entity_kind
				AND (o.version, o.id) < (old.version, old.id))
		RETURNING r.*
	), noted AS ( -- one insert, for the order of its rows
		INSERT INTO run_hops (graph, run, attempt, hop, node, error)
		SELECT @graph, id, attempt, hop, node, error FROM (
			SELECT 1 AS ord, o.id, o.attempt, 'failed' AS hop, o.node, CASE WHEN o.open THEN @late::json ELSE @lost::json END AS error
			FROM old o JOIN begun b ON b.id = o.id WHERE o.state = 'running'
			UNION ALL
			SELECT 2, id, attempt, 'started', node, NULL FROM begun
		) h ORDER BY ord
	)
	SELECT ` + runColumns + ` FROM begun r
	UNION ALL
	SELECT ` + runColumns + ` FROM old JOIN runs r ON r.graph = @graph AND r.id = old.id WHERE old.open AND old.kind = 'rule'`

// Claim starts attempts.
func (s *Runs) Claim(ctx context.Context, c graph.RunClaims) ([]*graph.Run, error) {
	args, err := claimArgs(c)
	if err != nil {
		return nil, err
	}
	return s.list(ctx, claimRuns, args)
}

// claimArgs gives the arguments of claimRuns.
func claimArgs(c graph.RunClaims) (pgx.NamedArgs, error) {
	late, err := json.Marshal(graph.LostAttempt(true))
	if err != nil {
		return nil, fmt.Errorf("encode an error: %w", err)
	}
	lost, err := json.Marshal(graph.LostAttempt(false))
	if err != nil {
		return nil, fmt.Errorf("encode an error: %w", err)
	}
	ids, tokens := make([]string, len(c.Runs)), make([][]byte, len(c.Runs))
	for i, r := range c.Runs {
		ids[i], tokens[i] = r.Run, r.TokenHash
	}
	return pgx.NamedArgs{
		"graph": c.Graph, "runs": ids, "tokens": tokens, "node": c.Node, "lease": c.Lease, "late": late, "lost": lost,
	}, nil
}

// Extend prolongs leases, graph by graph.
func (s *Runs) Extend(ctx context.Context, lease time.Duration, held []graph.RunRef) ([]graph.RunRef, error) {
	const extend = `-- runs: extend
		WITH mine AS (
			SELECT r.id FROM unnest(@runs::uuid[], @attempts::integer[]) AS h(run, attempt)
			JOIN runs r ON r.graph = @graph AND r.id = h.run AND r.attempt = h.attempt AND r.state = 'running' AND NOT r.open
			ORDER BY r.version, r.id
			FOR NO KEY UPDATE OF r
		)
		UPDATE runs r SET wake_at = clock_timestamp() + @lease::interval
		FROM mine WHERE r.graph = @graph AND r.id = mine.id
		RETURNING r.id::text`
	of := map[graph.GraphKey][]graph.RunRef{}
	for _, h := range held {
		of[h.Graph] = append(of[h.Graph], h)
	}
	var out []graph.RunRef
	for g, refs := range of {
		ids, attempts := make([]string, len(refs)), make([]int32, len(refs))
		byID := make(map[string]graph.RunRef, len(refs))
		for i, r := range refs {
			ids[i], attempts[i] = r.Run, int32(r.Attempt)
			byID[r.Run] = r
		}
		rows, err := s.pool.Query(ctx, extend, pgx.NamedArgs{"graph": g, "lease": lease, "runs": ids, "attempts": attempts})
		if err != nil {
			return nil, runsErr(err, "extend leases")
		}
		alive, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, runsErr(err, "extend leases")
		}
		for _, id := range alive {
			out = append(out, byID[id])
		}
	}
	return out, nil
}

// Park leaves an attempt open for reports.
func (s *Runs) Park(ctx context.Context, g graph.GraphKey, run string, attempt int, hops []graph.Hop) (bool, error) {
	const park = `-- runs: park
		WITH parked AS (
			UPDATE runs r SET open = true, wake_at = least(r.deadline, r.stop_by), deadline = least(r.deadline, r.stop_by)
			WHERE r.graph = @graph AND r.id = @run AND r.attempt = @attempt AND r.state = 'running'
			RETURNING r.id, r.attempt
		), noted AS (
			INSERT INTO run_hops (graph, run, attempt, hop, node, version, request, answer, error)
			SELECT @graph, p.id, p.attempt, h.hop, h.node, h.version, h.request, h.answer, h.error
			FROM parked p, json_to_recordset(@hops) AS h(hop text, node text, version bigint, request json, answer json, error json)
		)
		SELECT count(*) FROM parked`
	list, err := encodeHops(hops)
	if err != nil {
		return false, err
	}
	var n int
	err = s.pool.QueryRow(ctx, park, pgx.NamedArgs{"graph": g, "run": run, "attempt": attempt, "hops": list}).Scan(&n)
	return n > 0, runsErr(err, "park run %s", run)
}

// runEnd is an end as runs_end takes it.
type runEnd struct {
	N       int             `json:"n"`
	Run     string          `json:"run"`
	Attempt int             `json:"attempt"`
	State   graph.RunState  `json:"state"`
	DelayMS float64         `json:"delay"`
	Refund  bool            `json:"refund"`
	Error   *graph.RunError `json:"error,omitempty"`
	Hops    []newHop        `json:"hops"`
}

// Finish ends attempts, all in one statement.
func (s *Runs) Finish(ctx context.Context, g graph.GraphKey, ends []graph.RunEnd) ([]bool, []graph.RunRef, error) {
	const finish = `-- runs: finish
		SELECT n, id::text, rule, attempt FROM runs_end($1, $2)`
	list := make([]runEnd, len(ends))
	for i, e := range ends {
		list[i] = runEnd{i, e.Run, e.Attempt, e.State, float64(e.Delay) / float64(time.Millisecond), e.Refund, e.Error, newHops(e.Hops)}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return nil, nil, fmt.Errorf("encode the ends of runs: %w", err)
	}
	rows, err := s.pool.Query(ctx, finish, g, text)
	if err != nil {
		return nil, nil, runsErr(err, "end runs")
	}
	defer rows.Close()
	ended := make([]bool, len(ends))
	var next []graph.RunRef
	for rows.Next() {
		var n, attempt *int
		var run, rule *string
		if err := rows.Scan(&n, &run, &rule, &attempt); err != nil {
			return nil, nil, runsErr(err, "end runs")
		}
		if n != nil {
			ended[*n] = true
			continue
		}
		next = append(next, graph.RunRef{Graph: g, Run: *run, Rule: *rule, Attempt: *attempt})
	}
	return ended, next, runsErr(rows.Err(), "end runs")
}

// Cancel ends a run that is not final.
func (s *Runs) Cancel(ctx context.Context, g graph.GraphKey, run string) (bool, []graph.RunRef, error) {
	const cancel = `-- runs: cancel
		SELECT $1::bigint, id::text, rule, attempt FROM run_end($1, $2, NULL, 'cancelled', NULL, false, NULL, $3)`
	hops, err := encodeHops([]graph.Hop{{Hop: graph.HopCancelled}})
	if err != nil {
		return false, nil, err
	}
	rows, err := s.pool.Query(ctx, cancel, g, run, hops)
	if err != nil {
		return false, nil, runsErr(err, "cancel run %s", run)
	}
	refs, err := pgx.CollectRows(rows, scanRef)
	if err != nil || len(refs) == 0 {
		return false, nil, runsErr(err, "cancel run %s", run)
	}
	return true, refs[1:], nil
}

// newHop is a hop as the functions take it: times are the database's, and the
// attempt is the run's.
type newHop struct {
	Hop     graph.HopKind   `json:"hop"`
	Node    string          `json:"node,omitempty"`
	Version graph.Version   `json:"version,omitempty"`
	Request json.RawMessage `json:"request,omitempty"`
	Answer  json.RawMessage `json:"answer,omitempty"`
	Error   *graph.RunError `json:"error,omitempty"`
}

func newHops(hops []graph.Hop) []newHop {
	list := make([]newHop, len(hops))
	for i, h := range hops {
		list[i] = newHop{h.Hop, h.Node, h.Version, h.Request, h.Answer, h.Error}
	}
	return list
}

// encodeHops gives a JSON array. What handlers sent must have been checked.
func encodeHops(hops []graph.Hop) ([]byte, error) {
	b, err := json.Marshal(newHops(hops))
	if err != nil {
		return nil, fmt.Errorf("encode hops: %w", err)
	}
	return b, nil
}

// Note adds a hop to each of the runs.
func (s *Runs) Note(ctx context.Context, g graph.GraphKey, runs []string, hop graph.Hop) error {
	const note = `-- runs: note
		INSERT INTO run_hops (graph, run, attempt, hop, node, version, request, answer, error)
		SELECT @graph, r.id, @attempt, h.hop, h.node, h.version, h.request, h.answer, h.error
		FROM unnest(@runs::uuid[]) AS r(id),
			json_to_recordset(@hops) AS h(hop text, node text, version bigint, request json, answer json, error json)`
	list, err := encodeHops([]graph.Hop{hop})
	if err != nil {
		return err
	}
	_, err = s.pool.Exec(ctx, note, pgx.NamedArgs{"graph": g, "runs": runs, "attempt": hop.Attempt, "hops": list})
	return runsErr(err, "note a step of runs")
}

// Retry makes an unsuccessful run due again.
func (s *Runs) Retry(ctx context.Context, g graph.GraphKey, run string) (bool, error) {
	const retry = `-- runs: retry
		WITH again AS (
			UPDATE runs r SET state = 'retrying', retries_left = r.retries, wake_at = clock_timestamp(),
				deadline = NULL, ended_at = NULL, error = NULL
			WHERE r.graph = @graph AND r.id = @run AND r.state IN ('dead', 'cancelled', 'stopped')
			RETURNING r.id, r.attempt
		), noted AS (
			INSERT INTO run_hops (graph, run, attempt, hop) SELECT @graph, id, attempt, 'retried' FROM again
		)
		SELECT count(*) FROM again`
	var n int
	err := s.pool.QueryRow(ctx, retry, pgx.NamedArgs{"graph": g, "run": run}).Scan(&n)
	return n > 0, runsErr(err, "retry run %s", run)
}

// Overdue gives runs that somebody should have looked at. It looks at all
// graphs, through an index that holds what waits for somebody alone, from one
// rule that has any to the next: a flood of one rule costs and hides nothing of
// the others.
func (s *Runs) Overdue(ctx context.Context, grace time.Duration, limit, perRule int) ([]graph.RunRef, error) {
	const overdue = `-- runs: overdue
		WITH RECURSIVE rules AS (
			(SELECT graph, rule, kind FROM runs WHERE wake_at IS NOT NULL ORDER BY graph, rule, kind LIMIT 1)
			UNION ALL
			SELECT n.graph, n.rule, n.kind
			FROM rules l
			CROSS JOIN LATERAL (
				SELECT r.graph, r.rule, r.kind FROM runs r
				WHERE r.wake_at IS NOT NULL AND (r.graph, r.rule, r.kind) > (l.graph, l.rule, l.kind)
				ORDER BY r.graph, r.rule, r.kind LIMIT 1
			) n
		)
		SELECT l.graph, d.id::text, l.rule, d.attempt
		FROM rules l
		CROSS JOIN LATERAL (
			SELECT r.id, r.attempt, r.wake_at, row_number() OVER (ORDER BY r.wake_at) AS n
			FROM (
				SELECT r.id, r.attempt, r.wake_at FROM runs r
				WHERE r.graph = l.graph AND r.rule = l.rule AND r.kind = l.kind AND r.wake_at <= clock_timestamp() - @grace::interval
				ORDER BY r.wake_at LIMIT @per_rule
			) r
		) d
		WHERE NOT EXISTS (SELECT FROM rule_pauses p WHERE p.graph = l.graph AND p.rule = l.rule AND l.kind = 'rule')
		ORDER BY d.n, d.wake_at LIMIT @limit`
	if err := s.look(ctx); err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, overdue, pgx.NamedArgs{"grace": grace, "per_rule": perRule, "limit": limit})
	if err != nil {
		return nil, runsErr(err, "look for overdue runs")
	}
	out, err := pgx.CollectRows(rows, scanRef)
	return out, runsErr(err, "look for overdue runs")
}

// scanRef reads graph, id, rule and attempt.
func scanRef(row pgx.CollectableRow) (r graph.RunRef, err error) {
	return r, row.Scan(&r.Graph, &r.Run, &r.Rule, &r.Attempt)
}
