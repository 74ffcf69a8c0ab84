package postprocess

import (
	"testing"

	"github.com/hibiken/asynq"
)

func TestRedisIsReachedByPortOrSocket(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]asynq.RedisClientOpt{
		"redis://u:p@h:1/2":        {Network: "tcp", Addr: "h:1", Username: "u", Password: "p", DB: 2},
		"unix:///run/redis.s?db=3": {Network: "unix", Addr: "/run/redis.s", DB: 3},
	} {
		got, err := redisOptions(url)
		if o, ok := got.(asynq.RedisClientOpt); err != nil || !ok || o != want {
			t.Errorf("%s: %+v, %v", url, got, err)
		}
	}
	if got, err := redisOptions("redis-sentinel://h:1,i:2?master=m"); err != nil {
		t.Error(err)
	} else if o, ok := got.(asynq.RedisFailoverClientOpt); !ok || o.MasterName != "m" {
		t.Errorf("%+v", got)
	}
	if _, err := redisOptions("http://h"); err == nil {
		t.Error("http is no Redis")
	}
}
