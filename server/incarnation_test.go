package server_test

import (
	"fmt"
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/internal/testserver"
)

// A node that still holds a graph that was deleted and made again elsewhere must
// not take the old one's version for the one asked for.
func TestMinVersionIsOfTheGraphAsItIsNow(t *testing.T) {
	t.Parallel()
	a := newServer(t)
	b := testserver.New(t, testserver.Options{Store: a.Store})
	if err := b.Live.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	const team = "/v1/graphs/team"
	for range 5 {
		a.Admin().Put(team, "").Want(201)
		old := newID()
		for range 3 {
			b.Admin().Patch(team, patchOf(addNote(old, "old"))).Want(200)
			old = newID()
		}
		a.Admin().Delete(team).Want(204)
		a.Admin().Put(team, "").Want(201)
		id := newID()
		v := a.Admin().Patch(team, patchOf(addNote(id, "new"))).Version()
		b.Admin().Header("Graphtide-Min-Version: " + fmt.Sprint(v)).Get(team + "/objects/" + id).Want(200)
		b.Admin().Header("Graphtide-Min-Version: 3").Get(team).WantCode(graph.CodeInvalidVersion)
		a.Admin().Delete(team).Want(204)
		b.Admin().Header("Graphtide-Min-Version: 0").Get(team + "/log").WantCode(graph.CodeNotFound)
	}
}
