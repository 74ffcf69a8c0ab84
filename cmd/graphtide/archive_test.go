package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/graphtide/graphtide/internal/testdb"
)

// ofDatabase gives the same shell with the tests' database.
func (s shell) ofDatabase() shell { return s.with("GRAPHTIDE_DATABASE_URL=" + testdb.URL(s.t)) }

func body(archive string) string {
	_, rest, _ := strings.Cut(archive, "\n")
	return rest
}

func TestExportComesBackByImport(t *testing.T) {
	t.Parallel()
	sh, sv := sharedDev(t)
	sh = sh.ofDatabase()
	id := newID()
	sh.in(addNote(id, "eins")).run("patch", "--key=k1").ends(exitOK)
	sh.in(fmt.Sprintf(`[{"op":"replace","path":"/objects/%s/body/text","value":"<zwei> & \"drei\""}]`, id)).run("patch", "--note=changed").ends(exitOK)
	sh.in(addNote(newID(), "another")).run("patch").ends(exitOK)

	with := sh.run("export", "--history").ends(exitOK).stdout
	if first, _, _ := strings.Cut(with, "\n"); !strings.Contains(first, `"graph":"`+sv.graph+`"`) || !strings.Contains(first, `"schema":{`) {
		t.Errorf("the first line is %s", first)
	}
	copied := testdb.GraphName(t)
	sh.in(with).run("import", "-", "--graph="+copied).ends(exitOK).says("graph "+copied, "2 objects and 0 edges", "at version 3")
	if again := sh.run("export", "--history", "--graph="+copied).ends(exitOK).stdout; body(again) != body(with) {
		t.Errorf("exported again:\n%s\nwas\n%s", again, with)
	}
	sh.run("verify", "--graph="+copied).ends(exitOK).says("3 commits", "no faults")

	// The server has it at once, with its log and its keys.
	there := sv.shell(t, copied, "")
	if log := commits(there.run("log").ends(exitOK)); len(log) != 3 || log[1].Note != "changed" || log[0].By != "dev" {
		t.Errorf("log %+v", log)
	}
	if w := decodeJSON[written](there.in(addNote(id, "eins")).run("patch", "--key=k1").ends(exitOK)); !w.Replayed || w.Version != 1 {
		t.Errorf("a key of before the export: %+v", w)
	}
	if w := decodeJSON[written](there.in(addNote(newID(), "more")).run("patch").ends(exitOK)); w.Version != 4 {
		t.Errorf("a new commit: %+v", w)
	}

	without := sh.run("export").ends(exitOK).stdout
	file := sh.write("main.jsonl", without)
	empty := testdb.GraphName(t)
	if status, text := sv.ask(t, http.MethodPut, "/v1/graphs/"+empty, ""); status >= 300 {
		t.Fatalf("%d %s", status, text)
	}
	sh.run("import", file, "--graph="+empty, "--as=root").ends(exitOK).says("2 objects and 0 edges", "at version 1")
	sh.run("verify", "--graph="+empty).ends(exitOK).says("1 commits", "no faults")
	eventually(t, "the server sees the graph that took the empty one's place", func() bool {
		log := commits(sv.shell(t, empty, "").run("log").ends(exitOK))
		return len(log) == 1 && log[0].By == "root"
	})

	sh.run("import", file, "--graph="+empty).ends(exitFailed, "exists", "not empty").silent()
	broken := sh.write("broken.jsonl", strings.Replace(without, `another`, strings.Repeat("long", 26), 1))
	nowhere := testdb.GraphName(t)
	sh.run("import", broken, "--graph="+nowhere).ends(exitFailed, "broken.jsonl: line ", "/body/text").silent()
	sh.run("export", "--graph="+nowhere).ends(exitFailed, "not-found").silent()
	sh.run("import", sh.dir+"/missing").ends(exitUsage, "missing").silent()
	sh.run("import", file, "--graph=Main").ends(exitUsage, "--graph").silent()
}

func TestOperationsUnderWayEndWithAnImport(t *testing.T) {
	t.Parallel()
	sh, sv := sharedDev(t)
	sh = sh.ofDatabase()
	header, _, _ := strings.Cut(sh.run("export").ends(exitOK).stdout, "\n")
	open, ended := newID(), newID()
	meta := `{"version":1,"createdVersion":1,"createdAt":"2030-01-01T00:00:00Z","createdBy":"ann","updatedAt":"2030-01-01T00:00:00Z","updatedBy":"ann"}`
	lines := header + "\n"
	for id, body := range map[string]string{
		open:  `{"operation":"sync","params":{},"status":[],"state":"running","done":false}`,
		ended: `{"operation":"sync","params":{},"status":[],"state":"succeeded","done":true}`,
	} {
		lines += `{"object":{"id":"` + id + `","type":"OperationRequest","body":` + body + `,"access":{},"meta":` + meta + "}}\n"
	}
	lines += `{"end":{"marks":0,"objects":2,"edges":0,"commits":0}}` + "\n"
	sh.in(lines).run("import", "-", "--graph="+sv.graph).ends(exitOK).says("2 objects", "at version 2")
	eventually(t, "the server sees the imported graph", func() bool {
		_, text := sv.ask(t, http.MethodGet, "/v1/graphs/"+sv.graph, "")
		return strings.Contains(text, `"version":2`)
	})
	for id, want := range map[string]string{open: `"state":"failed"`, ended: `"state":"succeeded"`} {
		status, text := sv.ask(t, http.MethodGet, "/v1/graphs/"+sv.graph+"/objects/"+id, "")
		if status != http.StatusOK || !strings.Contains(text, want) || !strings.Contains(text, `"done":true`) {
			t.Errorf("%d %s, want %s", status, text, want)
		}
	}
	sh.run("verify", "--graph="+sv.graph).ends(exitOK).says("no faults")
}
