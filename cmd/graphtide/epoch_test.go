package main

import (
	"net/http"
	"strings"
	"testing"
)

func TestNewEpochReachesTheServers(t *testing.T) {
	t.Parallel()
	sh, sv := sharedDev(t)
	sh = sh.ofDatabase()
	sh.in(addNote(newID(), "eins")).run("patch").ends(exitOK)
	before := strings.TrimSpace(sh.run("epoch").ends(exitOK).stdout)
	if same := strings.TrimSpace(sh.run("epoch").ends(exitOK).stdout); same != before {
		t.Fatalf("epoch %s, then %s", before, same)
	}
	follower := sh.start("log", "--follow")
	follower.waitFor(`"version":1`)
	after := strings.TrimSpace(sh.run("epoch", "--new").ends(exitOK).stdout)
	if after == before || after == "" {
		t.Fatalf("epoch %q, before %q", after, before)
	}
	follower.waitFor("the server ended the stream")
	if status := follower.ended(); status != exitFailed {
		t.Errorf("who follows the old log ended with %d", status)
	}
	if _, text := sv.ask(t, http.MethodGet, "/v1/graphs/"+sv.graph+"/log", ""); !strings.Contains(text, `"epoch":"`+after+`"`) {
		t.Errorf("the server's epoch: %s", text)
	}
	if w := decodeJSON[written](sh.in(addNote(newID(), "zwei")).run("patch").ends(exitOK)); w.Version != 2 {
		t.Errorf("%+v", w)
	}
	sh.run("epoch", "--new", "--graph=none").ends(exitFailed, "not-found").silent()
}
