// Package postprocess runs what follows from commits: the handlers of rules and
// of operations.
//
//	log ─► dispatcher ─► runs (the truth) ─► scheduler ─► attempt ─► handler
//	           │              ▲   ▲              ▲           │
//	           │              │   └── sweeper ───┤           ▼
//	           └─► queue ─────┼─────────────────-┘        Submitter ─► log
//	                          └──── claim, lease, finish ────┘
//
// A dispatcher follows each graph's log from a durable cursor and matches it
// with the rules of the schema under which each commit was made. The runs that
// come of it are written in the transaction that moves the cursor, so none is
// lost and none is made twice. From there on everything but the runs table may
// fail: the queue (asynq on Redis) only carries work to idle nodes sooner than
// the sweeper, which looks for runs that nobody took.
//
// What is promised:
//
//   - At least once: every change that a rule matches is handled successfully,
//     or ends in a run that is dead, stopped or cancelled and can be seen.
//   - Effectively once: what a run writes is committed once, however often its
//     handler is called: each transaction has a key made from the run's id.
//   - In order: of one rule and one entity, a run begins when the one before it
//     has ended. Runs of different entities do not wait for each other.
//   - Fenced: an attempt that lost its lease cannot write any more.
//   - Bounded: a chain of runs is at most eight long, and visits no rule twice
//     for the same entity.
//   - Operations end: the object of every operation gets to a final state,
//     once, whatever dies.
package postprocess
