package main

import (
	"fmt"
	"net/http"
	"syscall"
	"testing"

	"github.com/graphtide/graphtide/internal/testdb"
)

func TestCompactAppliesThePolicyOfTheSchema(t *testing.T) {
	t.Parallel()
	url := testdb.EmptyURL(t)
	sh := newShell(t, "GRAPHTIDE_DATABASE_URL="+url, "GRAPHTIDE_JWT_SECRET=some secret that is long enough!")
	sh.run("compact").ends(exitFailed, "migrate").silent()
	sh.run("migrate").ends(exitOK)
	sh.run("compact").ends(exitOK).says("nothing to forget", "graph main: 0 states")
	sh.write("app.yaml", noteSchema+"    history: {keep: 2 versions}\n")
	sv := sh.dev("--schema=app.yaml")
	api := sv.shell(t, "main", "")
	id := newID()
	api.in(addNote(id, "0")).run("patch").ends(exitOK)
	for i := range 4 {
		api.in(fmt.Sprintf(`[{"op":"replace","path":"/objects/%s/body/text","value":"%d"}]`, id, i+1)).run("patch").ends(exitOK)
	}
	// All of it is young, which --grace spares.
	sh.run("compact", "--grace=1h").ends(exitOK).says("graph main: 0 states forgotten", "from version 0 on")
	sh.run("compact", "--grace=-1s").ends(exitUsage, "grace").silent()
	sh.run("compact", "--graph=none").ends(exitFailed, "not-found").silent()
	forgotten := 0
	eventually(t, "the rules have seen all, and all that the policy does not keep was forgotten", func() bool {
		var n, floor int
		out := sh.run("compact", "--graph=main").ends(exitOK).stdout
		if _, err := fmt.Sscanf(out, "graph main: %d states forgotten; log and states are whole from version %d on", &n, &floor); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		forgotten += n
		return floor == 4
	})
	if forgotten != 3 {
		t.Errorf("%d states forgotten", forgotten)
	}
	sh.run("compact").ends(exitOK).says("graph main: 0 states forgotten", "from version 4 on")
	sh.run("verify").ends(exitOK).says("no faults")

	// A node may have in memory what the database forgot; another one has not.
	sv.signal(syscall.SIGTERM)
	sv.ended()
	sv = sh.dev("--schema=app.yaml")
	api = sv.shell(t, "main", "")
	api.run("log", "--since=3").ends(exitFailed, "gone").silent()
	if log := commits(api.run("log", "--since=4").ends(exitOK)); len(log) != 1 {
		t.Errorf("the log since the floor: %+v", log)
	}
	for path, want := range map[string]int{"?at=3": http.StatusGone, "?at=4": http.StatusOK, "": http.StatusOK, "/history": http.StatusOK} {
		if status, text := sv.ask(t, http.MethodGet, "/v1/graphs/main/objects/"+id+path, ""); status != want {
			t.Errorf("%s: %d, want %d: %s", path, status, want, text)
		}
	}
	api.in(`{"root":"`+id+`"}`).run("load", "--at=3").ends(exitFailed, "gone").silent()
	api.run("revert", "2").ends(exitFailed, "gone").silent()
	if w := decodeJSON[written](api.in(addNote(newID(), "more")).run("patch").ends(exitOK)); w.Version != 6 {
		t.Errorf("%+v", w)
	}
}
