package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// How long a Redis may take. Nobody waits for it but those whose work is Redis:
// these bounds keep even them from waiting long for one that is stopped.
const (
	redisDial = 500 * time.Millisecond
	redisWait = time.Second
)

// sentinelScheme begins the address of a Redis that sentinels watch.
const sentinelScheme = "redis-sentinel://"

// NewRedis gives a client for the Redis at an address; it connects when it is
// first used. The address is redis://…, rediss://… with TLS, unix://… for a
// socket, or redis-sentinel://[:password@]host:port[,host:port…]?master=name for
// one that sentinels watch. An error does not repeat the address: it may hold a
// password.
func NewRedis(address string) (redis.UniversalClient, error) {
	if strings.HasPrefix(address, sentinelScheme) {
		return newSentinel(address)
	}
	opts, err := redis.ParseURL(address)
	if err != nil {
		return nil, unreadable(err)
	}
	if opts.DialTimeout == 0 {
		opts.DialTimeout = redisDial
	}
	if opts.ReadTimeout == 0 {
		opts.ReadTimeout = redisWait
	}
	if opts.WriteTimeout == 0 {
		opts.WriteTimeout = redisWait
	}
	opts.ContextTimeoutEnabled = true // who gives less time means it
	return redis.NewClient(opts), nil
}

func newSentinel(address string) (redis.UniversalClient, error) {
	parsed, err := asynq.ParseRedisURI(address)
	if err != nil {
		return nil, unreadable(err)
	}
	opt, ok := parsed.(asynq.RedisFailoverClientOpt)
	if !ok || opt.MasterName == "" {
		return nil, unreadable(errors.New("no master is named"))
	}
	for _, sentinel := range opt.SentinelAddrs {
		if sentinel == "" {
			return nil, unreadable(errors.New("a sentinel has no address"))
		}
	}
	return redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: opt.MasterName, SentinelAddrs: opt.SentinelAddrs,
		SentinelPassword: opt.SentinelPassword, Username: opt.Username, Password: opt.Password, DB: opt.DB, TLSConfig: opt.TLSConfig,
		DialTimeout: redisDial, ReadTimeout: redisWait, WriteTimeout: redisWait, ContextTimeoutEnabled: true,
	}), nil
}

func unreadable(err error) error {
	var parse *url.Error
	if errors.As(err, &parse) {
		err = parse.Err
	}
	return fmt.Errorf("the address of the Redis cannot be read (%w): write it as redis://[user:password@]host:6379/0, rediss:// for TLS, or redis-sentinel://host:26379,host:26379?master=name", err)
}

// redisLog takes what the Redis client has to say, mostly of connections that
// broke: everything works without them, so it is for those who look closely.
type redisLog struct{ log *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, "redis client", "message", fmt.Sprintf(format, v...))
}
