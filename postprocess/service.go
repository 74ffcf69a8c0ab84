package postprocess

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
	"github.com/graphtide/graphtide/postprocess/lambda"
	"github.com/graphtide/graphtide/postprocess/webhook"
	"github.com/graphtide/graphtide/schema"
)

// shareAfter is how long a run waits for a slot here before other nodes are told
// of it.
const shareAfter = 20 * time.Millisecond

// timersKept bounds the retries that this node remembers; the sweeper knows the
// others.
const timersKept = 10000

// Service is post-processing in one process: new, running between Start and
// Stop, then stopped for good. It is also graph.RunService, which needs no
// Start.
type Service struct {
	cfg      Config
	deps     Deps
	webhooks *webhook.Client
	lambda   *lambda.Client
	programs programs

	estimates estimates
	metrics   *metrics

	claims *batcher[graph.RunClaim, *graph.Run] // nil: the run may not start
	ends   *batcher[graph.RunEnd, bool]         // whether the attempt was still held

	scheduler  *scheduler
	sweeper    *sweeper
	leases     *leases
	dispatcher *dispatcher
	queue      *queue // nil without Redis

	life   context.Context // of attempts: it ends when Stop does not wait any longer
	kill   context.CancelCauseFunc
	cancel context.CancelFunc // of the loops
	wg     sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	started bool
	stopped bool
	timers  map[string]*time.Timer
}

var _ graph.RunService = (*Service)(nil)

// New makes a Service; nothing runs before Start.
func New(cfg Config, deps Deps) (*Service, error) {
	if err := deps.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.WithDefaults()
	s := &Service{cfg: cfg, deps: deps, timers: map[string]*time.Timer{}}
	s.life, s.kill = context.WithCancelCause(context.Background())
	// The last ends are written once life is over.
	s.claims = newBatcher(s.life, s.claim)
	s.ends = newBatcher(context.WithoutCancel(s.life), s.finish)
	s.webhooks = webhook.New(webhook.Config{
		AllowPrivate: cfg.AllowPrivateWebhooks, AnswerBytes: int64(cfg.Limits.TransactionBytes) + webhook.ErrorBytes,
	})
	s.lambda = lambda.New(cfg.Lambda)
	s.leases = newLeases(deps.Runs, cfg.Lease, cfg.Log)
	s.scheduler = newScheduler(cfg.Concurrency, s.try, func() { s.sweeper.wake() })
	s.sweeper = newSweeper(cfg, deps.Runs, s.scheduler.offer, s.scheduler.left)
	s.dispatcher = newDispatcher(cfg, deps, s.ready, s.reserve)
	if cfg.RedisURL != "" {
		q, err := newQueue(cfg, s.scheduler, s.enqueued)
		if err != nil {
			return nil, err
		}
		s.queue = q
	}
	m, err := newMetrics(cfg.Metrics, deps.Runs)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	s.metrics = m
	return s, nil
}

// Start begins to follow the graphs and to run handlers. A dead Redis does not
// keep it from starting.
func (s *Service) Start(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started || s.stopped {
		return nil
	}
	if s.queue != nil {
		if err := s.queue.start(); err != nil {
			return err
		}
	}
	s.started = true
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.wg.Go(func() { s.leases.loop(ctx) })
	s.wg.Go(func() { s.sweeper.loop(ctx) })
	s.wg.Go(func() { s.prune(ctx) })
	s.dispatcher.start()
	return nil
}

// Stop drains: nothing new begins, and attempts under way may end for as long
// as ctx lasts. Then they are stopped and given back, and another node has them
// at once. It may be called twice.
func (s *Service) Stop(ctx context.Context) error {
	s.mu.Lock()
	started := s.started && !s.stopped
	s.stopped = true
	for id, t := range s.timers {
		t.Stop()
		delete(s.timers, id)
	}
	s.mu.Unlock()
	if !started {
		return nil
	}
	s.scheduler.close()
	s.dispatcher.stop()
	if s.queue != nil {
		s.queue.stop()
	}
	ended := make(chan struct{})
	go func() {
		s.scheduler.wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		s.kill(errStopping)
		<-ended
	}
	s.cancel() // leases last: attempts need them to the end
	s.wg.Wait()
	s.kill(errStopping)
	s.claims.wait()
	s.ends.wait()
	s.webhooks.Close()
	s.metrics.close()
	return nil
}

// ready takes runs that may start: here, and where they wait too long or too
// many wait, through the queue on whichever node has a slot. A process that runs
// no handlers leaves them to the sweepers of those that do.
func (s *Service) ready(refs []graph.RunRef) {
	if len(refs) == 0 || !s.working() {
		return
	}
	var wait []graph.RunRef
	for _, ref := range refs {
		switch {
		case !s.scheduler.offer(ref):
			if s.queue != nil {
				s.queue.put(ref)
			}
		case s.queue != nil && s.scheduler.waits(ref):
			wait = append(wait, ref)
		}
	}
	if len(wait) > 0 {
		time.AfterFunc(shareAfter, func() { s.share(wait) })
	}
}

// share offers runs that still wait here to other nodes: whoever claims one
// first has it.
func (s *Service) share(refs []graph.RunRef) {
	if !s.working() {
		return
	}
	for _, ref := range refs {
		if s.scheduler.waits(ref) {
			s.queue.put(ref)
		}
	}
}

func (s *Service) working() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.started && !s.stopped
}

// enqueued notes what the queue has.
func (s *Service) enqueued(ctx context.Context, refs []graph.RunRef) {
	of := map[graph.GraphKey][]string{}
	for _, r := range refs {
		of[r.Graph] = append(of[r.Graph], r.Run)
	}
	for g, runs := range of {
		if err := s.deps.Runs.Note(ctx, g, runs, graph.Hop{Hop: graph.HopEnqueued, Node: s.cfg.Node}); err != nil && ctx.Err() == nil {
			s.cfg.Log.Warn("note that runs are in the queue", "error", err)
		}
	}
}

// retryLater takes a run up again when it is due.
func (s *Service) retryLater(ref graph.RunRef, delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || len(s.timers) >= timersKept {
		return
	}
	if t := s.timers[ref.Run]; t != nil {
		t.Stop()
	}
	s.timers[ref.Run] = time.AfterFunc(delay, func() {
		s.mu.Lock()
		delete(s.timers, ref.Run)
		stopped := s.stopped
		s.mu.Unlock()
		if !stopped {
			s.ready([]graph.RunRef{ref})
		}
	})
}

// handleOf gives the graph as a run sees and writes it.
func (s *Service) handleOf(run *graph.Run, r *replica.Replica, reg *schema.Registry, asUser bool) *handle {
	fence := graph.FenceOf(run)
	h := &handle{
		run: run, author: authorOf(run, asUser), fence: &fence, replica: r, registry: reg,
		submitter: s.deps.Submitter, limits: s.cfg.Limits, committed: func(context.Context, graph.Version) {},
	}
	return h
}

// authorOf gives who a run acts as: itself with every right in its one graph,
// or the user whose change fired it.
func authorOf(run *graph.Run, asUser bool) graph.Principal {
	if asUser {
		return run.By
	}
	return graph.Principal{User: "run:" + run.ID, Graphs: []string{run.GraphName}, Admin: true}
}
