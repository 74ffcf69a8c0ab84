package server_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/memstore"
	"github.com/graphtide/graphtide/internal/testserver"
)

// meddled is a store in which something happens just before the history of an edge
// is read for the first time.
type meddled struct {
	graph.Store
	once   sync.Once
	meddle func()
}

func (s *meddled) History(ctx context.Context, g graph.GraphKey, ref graph.Ref, before graph.Version, limit int) ([]*graph.HistoryEntry, error) {
	if ref.Kind == graph.KindEdge {
		s.once.Do(s.meddle)
	}
	return s.Store.History(ctx, g, ref, before, limit)
}

// What an undo reads it reads piece by piece. Where somebody, on another node, removes
// all that is to be undone between two pieces, nothing is in the way: it is as if it
// were undone.
func TestAnUndoIsNotRefusedForWhatIsToBeUndone(t *testing.T) {
	t.Parallel()
	store := &meddled{Store: memstore.New()}
	s := testserver.New(t, testserver.Options{Schema: testSchema, Store: store})
	other := testserver.New(t, testserver.Options{Schema: testSchema, Store: store}).As("ann")
	ann := s.As("ann")
	a, b, link := newID(), newID(), newID()
	ann.Patch(main, patchOf(addNote(b, "b"))).Want(200)
	ann.Patch(main, patchOf(addNote(a, "a"), addEdge(link, "link", a, b))).Want(200) // 2
	store.meddle = func() { other.Patch(main, patchOf(remove("/objects/"+a))).Want(200) }
	ann.Post(main+"/revert", undo(2)).Want(200)
	ann.Get(main + "/objects/" + a).Want(404)
	ann.Get(main + "/objects/" + b).Want(200)
}

// Where something cannot be brought back because of what others did to it, that is the
// conflict: not that an edge which is to come back with it misses it.
func TestAConflictDoesNotNameWhatIsToBeUndone(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := s.As("ann")
	a, b, link := newID(), newID(), newID()
	at := "/objects/" + a
	ann.Patch(main, patchOf(addNote(a, "a"), addNote(b, "b"), addEdge(link, "link", a, b))).Want(200)
	ann.Patch(main, patchOf(remove("/edges/"+link), op("replace", at+"/body/title", "mine"))).Want(200) // 2
	ann.Patch(main, patchOf(op("replace", at+"/body/title", "theirs"))).Want(200)                       // 3
	ann.Patch(main, patchOf(remove(at))).Want(200)                                                      // 4
	if got, want := conflicts(t, ann.Post(main+"/revert", undo(2, 4))), at+"/body/title@3"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// overtaken is a store in which something happens after each read of an object's
// history.
type overtaken struct {
	graph.Store
	change func()
}

func (s *overtaken) History(ctx context.Context, g graph.GraphKey, ref graph.Ref, before graph.Version, limit int) ([]*graph.HistoryEntry, error) {
	entries, err := s.Store.History(ctx, g, ref, before, limit)
	s.change()
	return entries, err
}

// What others have changed since is in the way, however often they change it again.
func TestAnUndoOfWhatChangesAllTheTimeHearsOfTheConflict(t *testing.T) {
	t.Parallel()
	store := &overtaken{Store: memstore.New()}
	s := testserver.New(t, testserver.Options{Schema: testSchema, Store: store})
	ann, id := s.As("ann"), newID()
	title := func(to string) { ann.Patch(main+"/objects/"+id, patchOf(op("replace", "/body/title", to))).Want(200) }
	n := 0
	store.change = func() { n++; title(fmt.Sprint("theirs ", n)) }
	ann.Patch(main, patchOf(addNote(id, "a"))).Want(200)
	title("mine") // 2
	title("theirs")
	if got, want := conflicts(t, ann.Post(main+"/revert", undo(2))), "/objects/"+id+"/body/title@"; !strings.HasPrefix(got, want) {
		t.Errorf("%s, want %s…", got, want)
	}
}
