package rediscache

import (
	"context"
	"log/slog"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/graphtide/graphtide/graph"
)

// node is one node's Hints over a Redis at addr, with what it hears.
func node(t *testing.T, addr string) (*Hints, <-chan hint) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, DialTimeout: time.Second})
	h := New(Config{Client: client, Log: slog.New(slog.DiscardHandler)})
	h.look = time.Hour // nobody is found by looking
	for range 2 {      // starting twice is starting once
		if err := h.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	heard := make(chan hint, 1000)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.Listen(ctx, func(g graph.GraphKey, epoch string, v graph.Version) {
			select {
			case heard <- hint{g, epoch, v}:
			default: // Announce waits for no listener
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		for range 2 {
			if err := h.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		}
		client.Close()
	})
	return h, heard
}

// until announces ever newer versions until the listener hears one of them: a
// subscription may not stand yet, and hints before it are lost.
func until(t *testing.T, h *Hints, heard <-chan hint, from graph.Version) hint {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for v := from; ; v++ {
		h.Announce(1, "epoch", v)
		select {
		case got := <-heard:
			if got.version < from {
				continue // of before
			}
			return got
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("never heard")
		}
	}
}

func TestHintReachesEveryNode(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	a, heardA := node(t, server.Addr())
	_, heardB := node(t, server.Addr())
	for _, heard := range []<-chan hint{heardA, heardB} {
		if got := until(t, a, heard, 1); got.graph != 1 || got.epoch != "epoch" {
			t.Errorf("heard %+v", got)
		}
	}
	a.Announce(7, "4f", 1<<40)
	for got := range heardB {
		if got.graph == 7 {
			if want := (hint{7, "4f", 1 << 40}); got != want {
				t.Errorf("heard %+v, want %+v", got, want)
			}
			return
		}
	}
}

// A node that nobody else listens to keeps Redis out of its commits, and whoever
// arrives hears of the newest of them without another commit.
func TestWhoArrivesHearsWhatWaitedForNobody(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	a, heard := node(t, server.Addr())
	lone := func() (alone bool, waiting graph.Version) {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.alone && a.subscribed, a.waiting[1].version
	}
	v := graph.Version(1)
	for alone := false; !alone; alone, _ = lone() {
		a.Announce(1, "epoch", v)
		v++
		for len(heard) > 0 { // no more than fit are kept
			<-heard
		}
		runtime.Gosched()
	}
	a.Announce(1, "epoch", v)
	if _, waiting := lone(); waiting != v {
		t.Fatalf("version %d waits, want %d", waiting, v)
	}
	for got := range heard { // this node itself hears of it at once
		if got.version == v {
			break
		}
	}
	_, heardB := node(t, server.Addr())
	if got := <-heardB; got.version != v {
		t.Errorf("heard %+v, want version %d", got, v)
	}
}

func TestListenComesBackAfterRedisDoes(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	h, _ := node(t, server.Addr())
	_, heard := node(t, server.Addr())
	until(t, h, heard, 1)
	server.Close()
	h.Announce(1, "epoch", 1_000_000) // to nobody
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	until(t, h, heard, 2_000_000)
}

func TestAnnounceNeverWaitsForRedis(t *testing.T) {
	t.Parallel()
	// A Redis that takes connections and never answers.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	h, _ := node(t, silent.Addr().String())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for v := range graph.Version(100_000) {
			h.Announce(graph.GraphKey(v%3), "epoch", v)
		}
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second): // some 10 ms are expected, each waiting would take a second
		t.Fatal("announcing waits")
	}
}

func TestWaitingHintsAreTheNewestAndBounded(t *testing.T) {
	t.Parallel()
	h := New(Config{Client: redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})})
	for g := range graph.GraphKey(2 * maxWaiting) {
		h.Announce(g, "old", 5)
	}
	for _, v := range []graph.Version{7, 6, 9, 8} {
		h.Announce(1, "old", v)
	}
	h.Announce(2, "new", 1)
	got := h.take()
	if len(got) != maxWaiting {
		t.Errorf("%d wait, want %d", len(got), maxWaiting)
	}
	if got[1].version != 9 {
		t.Errorf("version %d waits, want the newest", got[1].version)
	}
	if got[2] != (hint{2, "new", 1}) {
		t.Errorf("%+v waits, want the one of the new epoch", got[2])
	}
	if len(h.take()) != 0 {
		t.Error("hints wait twice")
	}
}

func TestForeignMessagesAreIgnored(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	h, heard := node(t, server.Addr())
	until(t, h, heard, 1)
	for _, text := range []string{"", "hello", "1 2", "x 2 e", "1 x e", "1 -2 e", "1  e"} {
		server.Publish(DefaultChannel, text)
	}
	if got := until(t, h, heard, 1_000); got.epoch != "epoch" || got.version < 1_000 {
		t.Errorf("heard %+v", got)
	}
}

func FuzzParseHint(f *testing.F) {
	for _, s := range []string{"1 2 e", "-1 0 ", "1 2", "9223372036854775808 1 e", "1 2 e f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, ok := parseHint(s)
		if !ok {
			return
		}
		again, ok := parseHint(string(h.append(nil)))
		if !ok || again != h || h.version < 0 {
			t.Errorf("%q reads as %+v, which writes as %q", s, h, h.append(nil))
		}
	})
}
