package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/graphtide/graphtide/examples/workbook"
	"github.com/graphtide/graphtide/internal/testdb"
)

// below gives the processes that pid started, and those that these started.
func below(t *testing.T, pid int) (pids []int) {
	t.Helper()
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		t.Fatal(err)
	}
	children := map[int][]int{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		child, err1 := strconv.Atoi(f[0])
		parent, err2 := strconv.Atoi(f[1])
		if err1 != nil || err2 != nil {
			t.Fatalf("ps said %q", line)
		}
		children[parent] = append(children[parent], child)
	}
	for next := children[pid]; len(next) > 0; {
		pids = append(pids, next[0])
		next = append(next[1:], children[next[0]]...)
	}
	return pids
}

// alive reports whether a process is there, and is no zombie.
func alive(pid int) bool {
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	state := strings.TrimSpace(string(out))
	return err == nil && state != "" && !strings.HasPrefix(state, "Z")
}

func gone(pids []int) bool {
	for _, pid := range pids {
		if alive(pid) {
			return false
		}
	}
	return true
}

// postgresOf gives the processes of dev's private Postgres.
func postgresOf(t *testing.T, sv *running) []int {
	t.Helper()
	pids := below(t, sv.pid)
	if len(pids) < 3 { // the server and its helpers
		t.Fatalf("dev has only the processes %v below it", pids)
	}
	return pids
}

func TestDevKeepsItsDataHoweverItEnds(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	sh.write("app.yaml", noteSchema)
	sv := sh.dev("--schema=app.yaml")
	for _, want := range []string{
		"API       " + sv.url + "/v1/graphs/main", "Sync      ws", "Schema    " + sh.dir, "data in " + filepath.Join(sh.dir, ".data"), "admin user dev",
	} {
		if !strings.Contains(sv.said(), want) {
			t.Errorf("the banner lacks %q:\n%s", want, sv.said())
		}
	}
	var ids []string
	add := func(sv *running) {
		t.Helper()
		ids = append(ids, newID())
		sv.shell(t, "main", "").in(addNote(ids[len(ids)-1], "kept")).run("patch").ends(exitOK)
	}
	add(sv)

	// A second one is told who is there, and where.
	sh.run("dev", "--listen=127.0.0.1:0").ends(exitFailed, "already running", "pid "+strconv.Itoa(sv.pid), sv.url, "--data").silent()

	children := postgresOf(t, sv)
	sv.signal(syscall.SIGKILL)
	sv.ended()
	eventually(t, "the Postgres of a killed dev ends", func() bool { return gone(children) })

	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		sv = sh.dev("--schema=app.yaml")
		add(sv)
		children = postgresOf(t, sv)
		sv.signal(sig)
		if status := sv.ended(); status != exitOK {
			t.Errorf("%v ends dev with %d", sig, status)
		}
		if !gone(children) {
			t.Errorf("%v leaves some of the processes %v behind", sig, children)
		}
	}

	// Nothing was lost. Now its Postgres dies: dev says so, and ends.
	sv = sh.dev("--schema=app.yaml")
	log := sv.shell(t, "main", "").run("log").ends(exitOK)
	for i, c := range commits(log) {
		if i >= len(ids) || c.Version != int64(i+1) || !strings.Contains(string(c.Patch), ids[i]) {
			t.Errorf("line %d of the log is %+v", i+1, c)
		}
	}
	if n := len(commits(log)); n != len(ids) {
		t.Errorf("%d commits, want %d", n, len(ids))
	}
	if err := syscall.Kill(postgresOf(t, sv)[0], syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	if status := sv.ended(); status != exitFailed || !strings.Contains(sv.said(), "Postgres ended by itself") {
		t.Errorf("without its Postgres dev ends with %d", status)
	}
}

func TestDevAppliesTheSchemaAgainWhenItOrAHandlerChanges(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	const broken = "graphtide: 1\ntypes:\n  Note: {extends: Nothing}\n"
	sv := sh.devWithin("--schema="+sh.write("app.yaml", broken), "--database-url="+testdb.EmptyURL(t))
	sv.waitFor(`invalid-schema[\s\S]*app\.yaml:3:[\s\S]*mend it and save`)
	api := sv.shell(t, "main", "")
	api.in(addNote(newID(), "x")).run("patch").ends(exitFailed, "unknown-type")

	// Mended by saving.
	sh.write("app.yaml", noteSchema)
	sv.waitFor(`Schema applied again: version 1\n`)
	api.in(addNote(newID(), "x")).run("patch").ends(exitOK)

	// A handler that is not there yet, nor its folder.
	sh.write("app.yaml", ruleSchema)
	sv.waitFor(`handlers/echo\.js: there is no such file`)
	handler := func(text string) string {
		return "import { ops } from '../lib/ops.js'\nexport default (event) => ({ patch: ops(event, '" + text + "') })\n"
	}
	sh.write("lib/ops.js", "export const ops = (event, value) => [{ op: 'replace', path: '/objects/' + event.entity + '/body/text', value }]\n")
	sh.write("handlers/echo.js", handler("first"))
	sv.waitFor(`Schema applied again: version 2\n`)
	follow := api.start("log", "--follow")
	id := newID()
	api.in(addNote(id, "x")).run("patch").ends(exitOK)
	follow.waitFor(id + `/body/text","value":"first"`)

	// A changed handler, and a change in what it imports.
	sh.write("handlers/echo.js", handler("second"))
	sv.waitFor(`Schema applied again: version 3\n`)
	sh.write("lib/ops.js", "export const ops = (event, value) => [{ op: 'replace', path: '/objects/' + event.entity + '/body/text', value: value + ' and more' }]\n")
	sv.waitFor(`Schema applied again: version 4\n`)
	id = newID()
	api.in(addNote(id, "x")).run("patch").ends(exitOK)
	follow.waitFor(id + `/body/text","value":"second and more"`)

	// A fault is told, and the schema before it stays.
	sv.forget()
	sh.write("handlers/echo.js", "export default (\n")
	sv.waitFor(`handlers/echo\.js:2:`)
	sv.forget()
	sh.write("app.yaml", broken)
	sv.waitFor(`invalid-schema`)
	api.in(addNote(newID(), "x")).run("patch").ends(exitOK)
	sh.write("handlers/echo.js", handler("third"))
	sh.write("app.yaml", ruleSchema)
	sv.waitFor(`Schema applied again: version 5\n`)
}

// The example is in the program: it runs in an empty folder.
func TestDevRunsTheExample(t *testing.T) {
	t.Parallel()
	sh := newShell(t, "GRAPHTIDE_JWT_SECRET="+secret)
	url := testdb.EmptyURL(t)
	if whole(workbook.Files) != nil { // built by `go test` alone, without the example's own tools
		sh.run("dev", "--listen=127.0.0.1:0", "--database-url="+url).ends(exitFailed, "make build", "--schema")
		return
	}
	sv := sh.dev("--database-url=" + url)
	file := sv.waitFor(`Schema    (\S+)`)[1]
	if status, text := sv.ask(t, http.MethodGet, "/v1/schema?view=client", ""); status != http.StatusOK || !strings.Contains(text, `"DataStore"`) {
		t.Errorf("the example's schema: %d %s", status, text)
	}
	// Beside dev, others come with a token.
	sv.shell(t, "main", sh.token("--user=ann")).in(`[{"op":"add","path":"/objects/` + newID() + `","value":{"type":"DataStore","body":{"name":"Q3"}}}]`).run("patch").ends(exitOK)
	if !strings.Contains(sv.shell(t, "main", "").run("log").ends(exitOK).stdout, `"by":"ann"`) {
		t.Error("the token's user is not the author")
	}
	// What is changed in it stays.
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := string(text) + "# mine\n"
	sh.write(strings.TrimPrefix(file, sh.dir), changed)
	sv.signal(syscall.SIGTERM)
	sv.ended()
	sv = sh.dev("--database-url=" + url)
	if text, err = os.ReadFile(file); err != nil || string(text) != changed {
		t.Errorf("after another start: %v\n%s", err, text)
	}
}

func TestASignalDuringTheStartEndsEverything(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	sh.write("app.yaml", noteSchema)
	p := sh.start("dev", "--listen=127.0.0.1:0", "--schema=app.yaml")
	var children []int
	eventually(t, "dev starts something", func() bool {
		children = below(t, p.pid)
		return len(children) > 0
	})
	p.signal(syscall.SIGINT)
	if status := p.ended(); status != exitFailed || !strings.Contains(p.said(), "interrupted") {
		t.Errorf("it ends with %d", status)
	}
	eventually(t, "what it started ends", func() bool { return gone(children) })
}
