// Command embedded is a Go program with a Graphtide server in it, and handlers
// that are Go functions: a rule that counts words, and an operation that does
// something slow and says how far it is.
//
//	go run ./examples/embedded
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/graphtide/graphtide"
)

//go:embed app.yaml
var schema []byte

func main() {
	database := flag.String("database-url", "", "the Postgres (default: a private one, in ./.data-embedded)")
	listen := flag.String("listen", graphtide.DefaultListen, "address to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *database, *listen); err != nil {
		fmt.Fprintln(os.Stderr, "embedded:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, database, listen string) error {
	s, err := start(ctx, database, ".data-embedded", listen)
	if err != nil {
		return err
	}
	defer s.Stop(context.Background())
	token, err := s.Token(graphtide.User{Name: "ann"}, time.Hour)
	if err != nil {
		return err
	}
	fmt.Printf("serving at %s, for an hour with the token\n%s\n", s.URL(), token)
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.Failed():
		return err
	}
}

// start starts the server with its handlers.
func start(ctx context.Context, database, folder, listen string) (*graphtide.Server, error) {
	return graphtide.Start(ctx, graphtide.Config{
		DatabaseURL: database, DataDir: folder, Migrate: true, Listen: listen,
		Secret: []byte("only an example, so that everybody may know this secret"),
		Schema: schema,
		Handlers: map[string]graphtide.Handler{
			"count-words": countWords,
			"shout":       shout,
		},
	})
}

// countWords keeps the number of words beside a note's text.
func countWords(_ context.Context, call *graphtide.Call) (*graphtide.Answer, error) {
	var note struct{ Text string }
	if err := json.Unmarshal(call.After.Body, &note); err != nil {
		return nil, err
	}
	patch := fmt.Sprintf(`[{"op":"add","path":"/objects/%s/body/words","value":%d}]`, call.Entity, len(strings.Fields(note.Text)))
	return &graphtide.Answer{Patch: json.RawMessage(patch)}, nil
}

// shout writes all notes in capitals, one after the other, until it is asked to
// stop.
func shout(ctx context.Context, call *graphtide.Call) (*graphtide.Answer, error) {
	raw, err := call.Graph.Load(ctx, `{"root":{"type":"Note"}}`)
	if err != nil {
		return nil, err
	}
	var all struct {
		Roots   []string
		Objects map[string]struct{ Body struct{ Text string } }
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, err
	}
	for i, id := range all.Roots {
		select {
		case <-call.Operation.Asked():
			return nil, nil // cancelled
		case <-ctx.Done():
			return nil, ctx.Err()
		default:
		}
		ops := []map[string]any{{"op": "replace", "path": "/objects/" + id + "/body/text", "value": strings.ToUpper(all.Objects[id].Body.Text)}}
		// The key makes this write happen once, even if the handler is called again.
		if _, err := call.Graph.Patch(ctx, ops, id); err != nil {
			return nil, err
		}
		if err := call.Operation.Progress(ctx, "shouted "+id, float64(i+1)/float64(len(all.Roots))); err != nil {
			return nil, err
		}
	}
	return &graphtide.Answer{Result: map[string]int{"notes": len(all.Roots)}}, nil
}
