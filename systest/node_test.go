package systest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/graphtide/graphtide/internal/node"
	"github.com/graphtide/graphtide/internal/testdb"
	"github.com/graphtide/graphtide/postprocess"
	"github.com/graphtide/graphtide/server"
	"github.com/graphtide/graphtide/server/auth"
)

// secret signs the tokens of every node here.
const secret = "the secret of the system tests, which is long enough"

// TestMain lets some more tests run at a time than there are processors: most of
// them wait for a server, some for half a minute.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(max(4, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err)
	}
	testdb.Main(m)
}

// seedEnv names the variable with the seed of the random tests; without it each
// run has its own.
const seedEnv = "GRAPHTIDE_TEST_SEED"

// seeded gives a source of chance, and says with a failure how to have the same
// again.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv(seedEnv); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("again with %s=%d", seedEnv, seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 1))
}

// freeAddress gives an address on which nobody listens, out of a range from
// which the system takes none by itself.
func freeAddress() (string, error) {
	for {
		addr := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(10_000))
		l, err := net.Listen("tcp", addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return "", err
		}
		return addr, l.Close()
	}
}

func startNode(databaseURL, redisURL string, change func(*node.Config)) (*node.Node, error) {
	level := slog.LevelError
	if os.Getenv("GRAPHTIDE_LOG_LEVEL") == "debug" {
		level = slog.LevelDebug
	}
	cfg := node.Config{
		DatabaseURL: databaseURL, RedisURL: redisURL, Migrate: true, Poll: 200 * time.Millisecond,
		Server:      server.Config{Listen: "127.0.0.1:0", AllowedOrigins: []string{"https://app.example.com"}, Drain: time.Second},
		Auth:        auth.Config{Secret: []byte(secret)},
		Postprocess: postprocess.Config{AllowPrivateWebhooks: true, RetryDelay: 50 * time.Millisecond},
		Log:         slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	}
	if change != nil {
		change(&cfg)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return node.Start(ctx, cfg)
}

func stopNode(n *node.Node) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	n.Stop(ctx)
}

type pair struct{ a, b *node.Node }

var (
	theNodes  pair
	nodesErr  error
	nodesOnce sync.Once
)

// nodes gives the two nodes that all tests share: one database, one Redis, one
// schema.
func nodes(t testing.TB) pair {
	t.Helper()
	db, redis := testdb.URL(t), testdb.Redis(t)
	nodesOnce.Do(func() {
		if theNodes.a, nodesErr = startNode(db, redis, nil); nodesErr != nil {
			return
		}
		testdb.AtEnd(func() error { stopNode(theNodes.a); return nil })
		if theNodes.b, nodesErr = startNode(db, redis, nil); nodesErr != nil {
			return
		}
		testdb.AtEnd(func() error { stopNode(theNodes.b); return nil })
		r, err := (&client{url: theNodes.a.URL(), token: mintToken("root", time.Hour, "admin", "graphs=*")}).send("PUT", "/v1/schema", "application/yaml",
			strings.ReplaceAll(appSchema, "HOOKS", hooks().url()))
		if err != nil || r.status != 200 {
			nodesErr = fmt.Errorf("put the schema: %v %v", err, r)
		}
	})
	if nodesErr != nil {
		t.Fatal(nodesErr)
	}
	return theNodes
}

// ownNode gives a node on a database of the test's own, for tests of what
// concerns all graphs of a server at once.
func ownNode(t testing.TB, schema string, change func(*node.Config)) *world {
	t.Helper()
	n, err := startNode(testdb.OwnURL(t), "", change)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopNode(n) })
	w := &world{t: t, url: n.URL(), graph: "main"}
	if schema != "" {
		w.root().put("/v1/schema", "application/yaml", strings.ReplaceAll(schema, "HOOKS", hooks().url())).want(200)
	}
	return w
}
