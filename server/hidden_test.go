package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/graphtide/graphtide/internal/testserver"
)

// hiddenSchema has a thing that everybody may read, and what others hang on it
// in private.
const hiddenSchema = `
graphtide: 1
types:
  Base:
    properties: {name: {type: string}}
    access: {read: [public], write: [user]}
    edges:
      in:
        of: {from: Part, as: parts, needs: read}
        one: {from: Slot, as: slot, max: 1, whenFull: replace, needs: read}
  Part:
    edges:
      out: {of: {to: Base, max: 1, onDelete: cascade}}
      in: {hold: {from: Lock, needs: read}}
  Lock: {edges: {out: {hold: {to: Part, onDelete: restrict}}}}
  Slot: {edges: {out: {one: {to: Base, max: 1, required: true, onDelete: cascade}}}}
rules:
  part-gone: {on: {object: Part, events: [delete]}, handler: {go: noted}}
operations:
  job: {handler: {go: noted}}
`

func add(id, typ string) string {
	return op("add", "/objects/"+id, m{"type": typ, "body": m{}})
}

func TestRefusalsNameNothingHidden(t *testing.T) {
	t.Parallel()
	s := testserver.New(t, testserver.Options{Schema: hiddenSchema})
	ann, bob := s.As("ann"), s.As("bob")
	base, part, lock, slot, mine := newID(), newID(), newID(), newID(), newID()
	ann.Patch(main, patchOf(add(base, "Base"))).Want(200)
	bob.Patch(main, patchOf(add(part, "Part"), add(lock, "Lock"), add(slot, "Slot"),
		addEdge(newID(), "of", part, base), addEdge(newID(), "hold", lock, part), addEdge(newID(), "one", slot, base))).Want(200)

	for name, patch := range map[string]string{
		"restricted":  patchOf(remove("/objects/" + base)),
		"cardinality": patchOf(add(mine, "Slot"), addEdge(newID(), "one", mine, base)),
	} {
		for _, path := range []string{main, main + "?dryRun=true"} {
			a := ann.Patch(path, patch)
			text := string(a.Body)
			if !strings.Contains(text, `"`+name+`"`) {
				t.Errorf("%s is answered with %s", name, text)
			}
			for _, id := range []string{part, lock, slot} {
				if strings.Contains(text, id) {
					t.Errorf("%s names what is hidden: %s", name, text)
				}
			}
		}
	}
}

func TestADryRunTellsNoRulesOfWhatIsHidden(t *testing.T) {
	t.Parallel()
	s := testserver.New(t, testserver.Options{Schema: hiddenSchema})
	ann, bob := s.As("ann"), s.As("bob")
	base, part := newID(), newID()
	ann.Patch(main, patchOf(add(base, "Base"))).Want(200)
	bob.Patch(main, patchOf(add(part, "Part"), addEdge(newID(), "of", part, base))).Want(200)
	for _, c := range []struct {
		who  *testserver.Client
		want string
	}{{ann, "[]"}, {s.Admin(), "[part-gone]"}} {
		dry := c.who.Patch(main+"?dryRun=true", patchOf(remove("/objects/"+base))).Want(200).Map()
		if got := fmt.Sprint(dry["rules"]); dry["ok"] != true || got != c.want {
			t.Errorf("the dry run is %v, want the rules %s", dry, c.want)
		}
	}
}

func TestADryRunShowsNoAccessToWhoMayNotManage(t *testing.T) {
	t.Parallel()
	s := testserver.New(t, testserver.Options{Schema: hiddenSchema})
	base := newID()
	s.As("bob").Patch(main, patchOf(add(base, "Base"))).Want(200)
	a := s.As("ann").Patch(main+"?dryRun=true", patchOf(op("test", "/objects/"+base+"/access", m{}), op("remove", "/objects/"+base+"/access/write", nil))).Want(200)
	if text := string(a.Body); strings.Contains(text, "bob") || strings.Count(text, `"forbidden"`) != 2 {
		t.Errorf("the dry run tells %s", text)
	}
}

// What an undo brings back, it brings back as it was: that is no new operation.
func TestOperationsComeBackWithAnUndo(t *testing.T) {
	t.Parallel()
	s := testserver.New(t, testserver.Options{Schema: hiddenSchema})
	ann := s.As("ann")
	base, job := newID(), newID()
	ann.Patch(main, patchOf(add(base, "Base"))).Want(200)
	ann.Patch(main, patchOf(op("add", "/objects/"+job, m{"type": "OperationRequest", "body": m{"operation": "job"}}), addEdge(newID(), "target", job, base))).Want(200)
	for _, gone := range []string{base, job} {
		v := ann.Patch(main, patchOf(remove("/objects/"+gone))).Version()
		ann.Post(main+"/revert", fmt.Sprintf(`{"versions":[%d]}`, v)).Want(200)
		ann.Get(main + "/objects/" + gone).Want(200)
	}
}
