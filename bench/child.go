package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"time"

	"github.com/graphtide/graphtide/internal/node"
	"github.com/graphtide/graphtide/server"
	"github.com/graphtide/graphtide/server/auth"
)

// A child is a server under measurement. It tells on standard output where it
// serves, and where its inside can be looked at: profiles, and memory after a
// collection.

func announce(url string) {
	inside, err := serveInside()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	fmt.Println("URL", url, inside)
}

// memory is what a child holds once everything unused has been given back.
type memory struct {
	Heap       int64 // bytes of live objects
	Stacks     int64
	Goroutines int
}

// profile begins a CPU profile into the file named, or ends the one under way.
func profile(w http.ResponseWriter, r *http.Request) {
	pprof.StopCPUProfile()
	name := r.FormValue("file")
	if name == "" {
		return
	}
	f, err := os.Create(name)
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func serveInside() (string, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("/profile", profile)
	mux.HandleFunc("/spent", spent.serve)
	mux.HandleFunc("/memory", func(w http.ResponseWriter, _ *http.Request) {
		runtime.GC() // twice: pools keep what they hold over one
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		json.NewEncoder(w).Encode(memory{int64(m.HeapAlloc), int64(m.StackInuse), runtime.NumGoroutine()})
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go http.Serve(ln, mux) // until the process ends
	return "http://" + ln.Addr().String(), nil
}

// secret signs the tokens of a run.
var secret = []byte("a secret for measurements on the loopback alone")

// runNode is the real server, as `graphtide serve` wires it.
func runNode(ctx context.Context, db, redis, images string) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	n, err := node.Start(ctx, node.Config{DatabaseURL: db, RedisURL: redis, ImageDir: images, Migrate: true, Log: log,
		Server: server.Config{Listen: "127.0.0.1:0"}, Auth: auth.Config{Secret: secret}, Postprocess: benchHandlers(), Observe: spent.observe})
	if err != nil {
		return err
	}
	announce(n.URL())
	select {
	case <-ctx.Done():
	case err = <-n.Failed():
	}
	end, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	n.Stop(end)
	return err
}
