package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

func TestTransactionsLoadsAndHistoryGoRound(t *testing.T) {
	t.Parallel()
	sh, _ := sharedDev(t)
	id := newID()

	// From a file, from `-`, and from standard input.
	first := decodeJSON[written](sh.run("patch", sh.write("add.json", addNote(id, "eins")), "--note=the first").ends(exitOK))
	second := decodeJSON[written](sh.in(fmt.Sprintf(`[{"op":"replace","path":"/objects/%s/body/text","value":"zwei"}]`, id)).run("patch", "-").ends(exitOK))
	third := decodeJSON[written](sh.in(fmt.Sprintf(`[{"op":"replace","path":"/objects/%s/body/text","value":"drei"}]`, id)).run("patch").ends(exitOK))
	if first.Version != 1 || second.Version != 2 || third.Version != 3 || first.Replayed {
		t.Fatalf("versions %+v %+v %+v", first, second, third)
	}

	if log := commits(sh.run("log").ends(exitOK)); len(log) != 3 || log[0].Note != "the first" || log[0].By != "dev" {
		t.Errorf("log %+v", log)
	}
	if log := commits(sh.run("log", "--since=1").ends(exitOK)); len(log) != 2 || log[0].Version != 2 {
		t.Errorf("since 1: %+v", log)
	}
	if log := commits(sh.run("log", "--since=1", "--limit=1").ends(exitOK)); len(log) != 1 || log[0].Version != 2 {
		t.Errorf("since 1, at most one: %+v", log)
	}

	text := func(args ...string) string {
		t.Helper()
		loaded := decodeJSON[struct {
			Objects map[string]struct {
				Body struct{ Text string }
			}
		}](sh.in(fmt.Sprintf(`{"root":%q}`, id)).run(plus([]string{"load"}, args...)...).ends(exitOK))
		return loaded.Objects[id].Body.Text
	}
	if got := text(); got != "drei" {
		t.Errorf("now: %q", got)
	}
	if got := text("--at=1"); got != "eins" {
		t.Errorf("at version 1: %q", got)
	}

	history := decodeJSON[struct {
		Entries []struct {
			Version int64
			Entity  struct{ Body struct{ Text string } }
		}
	}](sh.run("history", id).ends(exitOK)).Entries
	if len(history) != 3 || history[0].Version != 3 || history[2].Entity.Body.Text != "eins" {
		t.Errorf("history %+v", history)
	}
	sh.run("history", id, "--limit=1", "--before=3").ends(exitOK).says(`"version":2`)
	sh.run("trace", "2").ends(exitOK).says(`"version":2`)

	// An undo is a commit of its own.
	if undone := decodeJSON[written](sh.run("revert", "3", "--note=oops").ends(exitOK)); undone.Version != 4 {
		t.Errorf("undone as %+v", undone)
	}
	if got := text(); got != "zwei" {
		t.Errorf("after the undo: %q", got)
	}
	sh.run("revert", "3").ends(exitFailed, "undo-conflict", "/body/text", "version 4").silent()
}

func TestDryRunsWriteNothing(t *testing.T) {
	t.Parallel()
	sh, _ := sharedDev(t)
	id := newID()
	sh.in(addNote(id, "good")).run("patch", "--dry-run").ends(exitOK).says(`"ok":true`, id)
	sh.in(addNote(id, strings.Repeat("x", 101))).run("patch", "--dry-run").ends(exitFailed, "schema:", "text").says(`"ok":false`)
	sh.in(`[{"op":"remove","path":"/objects/`+id+`"}]`).run("patch", "--dry-run").ends(exitFailed, "not-found").says(`"ok":false`)
	if log := commits(sh.run("log").ends(exitOK)); len(log) != 0 {
		t.Errorf("the dry run wrote %+v", log)
	}
}

func TestKeysMakeTransactionsSafeToSendAgain(t *testing.T) {
	t.Parallel()
	sh, _ := sharedDev(t)
	id, key := newID(), newID()
	first := decodeJSON[written](sh.in(addNote(id, "once")).run("patch", "--key", key).ends(exitOK))
	again := decodeJSON[written](sh.in(addNote(id, "once")).run("patch", "--key", key).ends(exitOK))
	if first.Replayed || !again.Replayed || again.Version != first.Version {
		t.Errorf("first %+v, again %+v", first, again)
	}
	sh.in(addNote(id, "twice")).run("patch", "--key", key).ends(exitFailed, "mutation-conflict").silent()
	sh.run("revert", "--mutation", key).ends(exitOK).says(`"version":2`)
}

func TestRefusalsSayTheCodeAndWhere(t *testing.T) {
	t.Parallel()
	sh, sv := sharedDev(t)
	id := newID()
	sh.in(addNote(id, "x")).run("patch").ends(exitOK)
	sh.in(addNote(id, "x")).run("patch").ends(exitFailed, "graphtide: exists: ").silent()
	sh.in(`[{"op":"add","path":"/objects/`+newID()+`","value":{"type":"Note","body":{"colour":1}}}]`).run("patch").ends(exitFailed, "graphtide: schema: ", "colour").silent()
	sh.in(`[{"op":"test","path":"/objects/`+id+`/body/text","value":"y"}]`).run("patch").ends(exitFailed, "test-failed", "at /objects/"+id+"/body/text").silent()
	sh.in(`{`).run("patch").ends(exitFailed, "invalid-json").silent()
	sh.in(`[]`).run("patch", "--base=x").ends(exitFailed, "invalid-patch").silent()
	sh.in(`{"root":1}`).run("load").ends(exitFailed, "invalid-projection").silent()
	sh.in(`{"root":"`+newID()+`"}`).run("load").ends(exitFailed, "not-found").silent()
	sh.in(`{"root":"`+id+`"}`).run("load", "--at=99").ends(exitFailed, "invalid-version").silent()
	sh.run("history", "nonsense").ends(exitFailed, "invalid-id").silent()
	sh.run("history", newID()).ends(exitFailed, "not-found").silent()
	sh.run("history", "--edge", id).ends(exitFailed, "not-found").silent()
	sh.run("trace", "99").ends(exitFailed, "graphtide: ").silent()
	sh.run("log", "--since=99").ends(exitFailed, "invalid-version").silent()
	sh.run("log", "--follow", "--since=99").ends(exitFailed, "invalid-version").silent()
	sh.run("log", "--graph=no-such-graph").ends(exitFailed, "not-found").silent()
	sh.run("log", "--graph=../schema").ends(exitFailed, "graphtide: ").silent()
	sh.run("log", "--token=nonsense").ends(exitFailed, "unauthenticated").silent()
	// Something else answers there.
	sh.run("log", "--url="+sv.url+"/elsewhere").ends(exitFailed, "graphtide: ").silent()
}

func TestFollowPrintsCommitsAsTheyCome(t *testing.T) {
	t.Parallel()
	sh, _ := sharedDev(t)
	sh.in(addNote(newID(), "before")).run("patch").ends(exitOK)
	follow := sh.start("log", "--follow", "--since=0")
	follow.waitFor(`"version":1,.*\n`)
	sh.in(addNote(newID(), "after")).run("patch").ends(exitOK)
	line := follow.waitFor(`(\{"version":2,.*)\n`)[1]
	if !json.Valid([]byte(line)) {
		t.Errorf("no JSON: %s", line)
	}
	follow.signal(syscall.SIGINT)
	if status := follow.ended(); status != exitOK {
		t.Errorf("it ended with %d", status)
	}
	if log := commits(sh.run("log", "--follow", "--limit=2").ends(exitOK)); len(log) != 2 {
		t.Errorf("at most two: %+v", log)
	}
}

// More commits than a page of the log has.
func TestLogPrintsEveryPage(t *testing.T) {
	t.Parallel()
	sh, sv := sharedDev(t)
	id := newID()
	sh.in(addNote(id, "0")).run("patch").ends(exitOK)
	for i := range logPage {
		patch := fmt.Sprintf(`[{"op":"replace","path":"/objects/%s/body/text","value":"%d"}]`, id, i+1)
		if status, text := sv.ask(t, http.MethodPatch, "/v1/graphs/"+sv.graph, patch, "Content-Type: application/json-patch+json"); status != http.StatusOK {
			t.Fatalf("%d %s", status, text)
		}
	}
	log := commits(sh.run("log").ends(exitOK))
	for i, c := range log {
		if c.Version != int64(i+1) {
			t.Fatalf("line %d holds version %d", i+1, c.Version)
		}
	}
	if len(log) != logPage+1 {
		t.Errorf("%d commits", len(log))
	}
}

func TestDevAnswersToThisMachineAlone(t *testing.T) {
	t.Parallel()
	_, sv := sharedDev(t)
	for host, want := range map[string]int{
		"evil.example": http.StatusForbidden, "evil.example:7420": http.StatusForbidden, "localhost.evil.example": http.StatusForbidden,
		"localhost": http.StatusOK, "localhost:1": http.StatusOK, "127.0.0.1": http.StatusOK, "[::1]:7420": http.StatusOK,
	} {
		if got, text := sv.ask(t, http.MethodGet, "/v1/graphs/main", "", "Host: "+host); got != want {
			t.Errorf("Host %s: %d, want %d\n%s", host, got, want, text)
		}
	}
}
