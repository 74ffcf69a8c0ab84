package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/memstore"
)

// A node that has the commits in memory still must answer as one that has not.
func TestWhatACompactionForgotIsGoneOnARunningNode(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	store := s.Store.(*memstore.Store)
	ann, id := s.As("ann"), newID()
	ann.Patch(main, patchOf(addNote(id, "x"))).Want(200)
	for _, text := range []string{"y", "z", "end"} {
		ann.Patch(main+"/objects/"+id, `[{"op":"replace","path":"/body/title","value":"`+text+`"}]`).Want(200)
	}
	info, err := store.Graph(t.Context(), graph.MainGraph)
	if err != nil {
		t.Fatal(err)
	}
	matched := &graph.Dispatch{Graph: info.Key, Node: "n", Lease: time.Minute, To: info.Head.Version, Epoch: info.Head.Epoch}
	if _, err := memstore.NewRuns(store).Dispatch(t.Context(), matched); err != nil {
		t.Fatal(err)
	}
	ann.Get(main + "/log?since=0").Want(200)
	out, err := store.Compact(t.Context(), graph.MainGraph, map[string]graph.Keep{"Note": {Versions: 1}}, 0)
	if err != nil || out.Floor == 0 {
		t.Fatalf("%+v, %v", out, err)
	}
	until := time.Now().Add(30 * time.Second) // the next poll
	for a := ann.Get(main + "/log?since=0"); a.Status == http.StatusOK; a = ann.Get(main + "/log?since=0") {
		if time.Now().After(until) {
			t.Fatal("the log is given from memory")
		}
	}
	ann.Get(main + "/log?since=0").WantCode(graph.CodeGone)
	ann.Header("Accept: text/event-stream").Get(main + "/log?since=0").WantCode(graph.CodeGone)
}
