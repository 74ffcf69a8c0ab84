package pipeline

import (
	"cmp"
	"context"
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// dryRunTries is how often a dry run is judged anew because what it rests on has
// changed meanwhile.
const dryRunTries = 5

// DryRun implements graph.Submitter. However much there is to judge, nobody waits
// for it: the replica is locked for single reads, and what was read has to be
// current still at the end, so that the answer is that of one version. A graph
// that does not hold still for it gives CodeUnavailable.
func (p *Pipeline) DryRun(ctx context.Context, name string, m *graph.Mutation) (*graph.DryRun, error) {
	rep, err := p.cfg.Replicas.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := rep.CatchUp(ctx); err != nil {
		return nil, err
	}
	req, refusal := decode(m, p.cfg.Limits, true)
	if refusal != nil {
		return &graph.DryRun{Problems: []*graph.Error{refusal}}, nil
	}
	if brought := gather(ctx, rep, req); brought != nil {
		defer brought.End()
	}
	for range dryRunTries {
		out, d, err := p.dryRun(ctx, rep, req)
		if err != nil || p.unchanged(rep, d) {
			return out, err
		}
	}
	return nil, unavailable("what this would change is being changed by others", nil)
}

// dryRun judges a request on states of the replica from the draft's on.
func (p *Pipeline) dryRun(ctx context.Context, rep *replica.Replica, req *request) (*graph.DryRun, *Draft, error) {
	base := &lockedReader{rep: rep, ctx: ctx}
	reg := p.cfg.Live.Current()
	d := newDraft(req, reg, p.cfg.Limits, base, rep.Head(), &past{rep: rep, store: p.cfg.Store, ctx: ctx})
	d.collect = true
	for i := range req.ops {
		if lost := req.ops[i].lost; lost != nil {
			d.tell(lost)
		}
	}
	if err := d.run(p.cfg.Observe); err != nil {
		d.problems = append(d.problems, err)
	}
	slices.SortStableFunc(d.problems, byOp)
	out := &graph.DryRun{OK: len(d.problems) == 0, Problems: d.problems}
	if out.OK {
		now := p.cfg.Clock()
		d.stamp(d.at.Version+1, now)
		commit := newCommit(d, d.at.Version+1, d.at.Epoch, now)
		for i := range d.changes {
			var rules []string
			for _, match := range reg.Match(commit, &d.changes[i], d.typeOf) {
				if match.Err == nil {
					rules = append(rules, match.Rule.Name)
				}
			}
			out.Changes, out.Rules = append(out.Changes, &d.changes[i]), append(out.Rules, rules)
		}
	}
	return out, d, base.err
}

// byOp orders problems by operation, behind those of the transaction as a whole.
func byOp(a, b *graph.Error) int {
	at := func(e *graph.Error) int {
		if e.Op == nil {
			return -1
		}
		return *e.Op
	}
	return cmp.Compare(at(a), at(b))
}

// unchanged reports whether all that a draft read was so at the replica's present
// head.
func (p *Pipeline) unchanged(rep *replica.Replica, d *Draft) (ok bool) {
	reading := rep.Begin()
	defer reading.End()
	reading.Try(func(st *replica.State) { // under the lock, commits and state go together
		commits, whole := rep.Since(d.at.Version)
		if !whole || st.Head().Epoch != d.at.Epoch || p.cfg.Live.Current() != d.reg {
			return
		}
		index := newChangeIndex(d.at.Version, maxFacets)
		for _, c := range commits {
			index.add(c.Version, c.Changes)
		}
		ok = index.current(d.at.Version, d.read.read)
	})
	return ok
}
