package postprocess

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"github.com/graphtide/graphtide/graph"
)

// taskRun is the kind of the queue's only task: a run is due.
const taskRun = "run"

// sentAtOnce is how many runs are noted as sent in one statement.
const sentAtOnce = 100

// queueHands is how many tasks this node takes out of the queue at a time: they
// are handed over, not carried out, and those that find no slot wait for
// queuePatience.
const (
	queueHands    = 4
	queuePatience = 50 * time.Millisecond
)

// Of a backlog only so many runs a second go through the queue: a node that takes
// one looks into the table for more, and each task costs as much as a good part
// of a run.
const (
	queueRate  = 50
	queueBurst = 64
)

// errBusy sends a task back into the queue.
var errBusy = errors.New("no slot is free on this node")

// queue carries the ids of due runs to whichever node has a free slot. Whatever
// it loses, the sweeper finds; whatever it repeats, the claim refuses.
type queue struct {
	name   string
	client *asynq.Client
	server *asynq.Server
	log    *slog.Logger
	sched  *scheduler
	sent   func(context.Context, []graph.RunRef) // what is in the queue now

	limit  *rate.Limiter
	outbox chan graph.RunRef
	wg     sync.WaitGroup
	cancel context.CancelFunc

	mu     sync.Mutex // guards the field below
	failed bool       // the last attempt to reach Redis failed: tell only changes
}

// payload is what a task carries.
type payload struct {
	Graph graph.GraphKey `json:"graph"`
	Run   string         `json:"run"`
	Rule  string         `json:"rule"`
}

// redisOptions reads the address as go-redis writes it, which asynq does not
// where it is a socket (unix://), and else as asynq does (redis-sentinel://).
func redisOptions(url string) (asynq.RedisConnOpt, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return asynq.ParseRedisURI(url)
	}
	return asynq.RedisClientOpt{Network: o.Network, Addr: o.Addr, Username: o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLSConfig}, nil
}

func newQueue(cfg Config, sched *scheduler, sent func(context.Context, []graph.RunRef)) (*queue, error) {
	opt, err := redisOptions(cfg.RedisURL)
	if err != nil {
		return nil, fmt.Errorf("redis-url: %w", err)
	}
	if o, ok := opt.(asynq.RedisClientOpt); ok {
		// A dead Redis must not hold up anything for long.
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout = time.Second, 2*time.Second, time.Second
		opt = o
	}
	q := &queue{
		name: cfg.Queue, client: asynq.NewClient(opt), log: cfg.Log, sched: sched, sent: sent,
		limit: rate.NewLimiter(queueRate, queueBurst), outbox: make(chan graph.RunRef, queueBurst),
	}
	q.server = asynq.NewServer(opt, asynq.Config{
		Concurrency:              queueHands,
		Queues:                   map[string]int{cfg.Queue: 1},
		TaskCheckInterval:        cfg.TaskCheckInterval,
		DelayedTaskCheckInterval: cfg.DelayedTaskCheckInterval,
		// A task that finds this node busy goes back for another one.
		IsFailure:       func(err error) bool { return !errors.Is(err, errBusy) },
		RetryDelayFunc:  func(int, error, *asynq.Task) time.Duration { return cfg.TaskCheckInterval },
		Logger:          quiet{cfg.Log},
		LogLevel:        asynq.WarnLevel,
		ShutdownTimeout: 2 * time.Second,
	})
	return q, nil
}

// start begins to take and to send tasks. A Redis that is away is tried again
// for as long as the queue lives.
func (q *queue) start() error {
	if err := q.server.Start(asynq.HandlerFunc(q.handle)); err != nil {
		return fmt.Errorf("start the queue: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	q.cancel = cancel
	q.wg.Go(func() { q.send(ctx) })
	return nil
}

// stop hands out nothing more; what was not sent is found by the sweeper.
func (q *queue) stop() {
	q.cancel()
	q.wg.Wait()
	q.server.Shutdown()
	if err := q.client.Close(); err != nil {
		q.log.Warn("close the queue", "error", err)
	}
}

// handle hands a task over to the scheduler. What its rule has no room for stays
// in the table; where no slot is free, or the run waits here for one, the task
// waits a little and then goes back, for another node may have one.
func (q *queue) handle(ctx context.Context, t *asynq.Task) error {
	var p payload
	if err := json.Unmarshal(t.Payload(), &p); err != nil || t.Type() != taskRun {
		q.log.Warn("a task in the queue is not ours", "type", t.Type())
		return nil
	}
	ref := graph.RunRef{Graph: p.Graph, Run: p.Run, Rule: p.Rule}
	patience := time.NewTimer(queuePatience)
	defer patience.Stop()
	for {
		freed := q.sched.freed()
		switch q.sched.now(ref) {
		case roomTaken:
			// There are more where it came from, as a rule.
			q.sched.left()
			return nil
		case roomRule:
			q.sched.left()
			return nil
		}
		select {
		case <-freed:
		case <-patience.C:
			return errBusy
		case <-ctx.Done():
			return errBusy
		}
	}
}

// put sends a run to the queue without waiting, or not at all where others have
// been sent of late: sweepers find it.
func (q *queue) put(ref graph.RunRef) {
	if !q.limit.Allow() {
		return
	}
	select {
	case q.outbox <- ref:
	default:
	}
}

func (q *queue) send(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case ref := <-q.outbox:
			q.sendAll(ctx, ref)
		}
	}
}

// sendAll sends a run and those that wait behind it, and notes them together.
func (q *queue) sendAll(ctx context.Context, ref graph.RunRef) {
	var sent []graph.RunRef
	for {
		err := q.enqueue(ctx, ref)
		q.tell(err)
		if err == nil {
			sent = append(sent, ref)
		}
		if len(sent) < sentAtOnce {
			select {
			case ref = <-q.outbox:
				continue
			default:
			}
		}
		break
	}
	if len(sent) > 0 {
		q.sent(ctx, sent)
	}
}

func (q *queue) enqueue(ctx context.Context, ref graph.RunRef) error {
	body, err := json.Marshal(payload{ref.Graph, ref.Run, ref.Rule})
	if err != nil {
		return err
	}
	// One retry is none: going back from a busy node does not count, and nothing
	// else is an error. With no retry at all asynq would put the task away.
	_, err = q.client.EnqueueContext(ctx, asynq.NewTask(taskRun, body),
		asynq.Queue(q.name), asynq.TaskID(ref.Run+":"+strconv.Itoa(ref.Attempt)), asynq.MaxRetry(1))
	if errors.Is(err, asynq.ErrTaskIDConflict) || errors.Is(err, asynq.ErrDuplicateTask) {
		return nil // it is there
	}
	return err
}

// tell logs that the queue is out of reach, or back, once.
func (q *queue) tell(err error) {
	q.mu.Lock()
	changed := q.failed != (err != nil)
	q.failed = err != nil
	q.mu.Unlock()
	switch {
	case changed && err != nil:
		q.log.Warn("the queue is out of reach; runs go on without it, more slowly", "error", err)
	case changed:
		q.log.Info("the queue is back")
	}
}

// quiet passes on what asynq has to say as debug messages: it repeats its
// complaints about a Redis that is away many times a second.
type quiet struct{ log *slog.Logger }

func (l quiet) Debug(args ...any) { l.log.Debug(fmt.Sprint(args...), "from", "asynq") }
func (l quiet) Info(args ...any)  { l.log.Debug(fmt.Sprint(args...), "from", "asynq") }
func (l quiet) Warn(args ...any)  { l.log.Debug(fmt.Sprint(args...), "from", "asynq") }
func (l quiet) Error(args ...any) { l.log.Debug(fmt.Sprint(args...), "from", "asynq") }
func (l quiet) Fatal(args ...any) { l.log.Error(fmt.Sprint(args...), "from", "asynq") }
