package main

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/internal/testdb"
)

// token mints a token with the tests' secret.
func (s shell) token(args ...string) string {
	s.t.Helper()
	r := s.with("GRAPHTIDE_JWT_SECRET=" + secret).run(plus([]string{"token"}, args...)...).ends(exitOK)
	return strings.TrimSpace(r.stdout)
}

func sql(t *testing.T, url, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func TestServeNeedsADatabaseOfItsOwnVersion(t *testing.T) {
	t.Parallel()
	url := testdb.EmptyURL(t)
	sh := newShell(t, "GRAPHTIDE_JWT_SECRET="+secret, "GRAPHTIDE_DATABASE_URL="+url)
	for _, words := range [][]string{{"serve", "--listen=127.0.0.1:0"}, {"worker"}, {"verify"}} {
		sh.run(words...).ends(exitFailed, "older", "graphtide migrate").silent()
	}
	sh.run("migrate").ends(exitOK).says("up to date")
	sh.run("migrate").ends(exitOK).says("up to date")
	sh.run("verify").ends(exitOK).says("no faults")
	sql(t, url, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999999, true)`)
	for _, words := range [][]string{{"serve", "--listen=127.0.0.1:0"}, {"worker"}, {"migrate"}, {"verify"}} {
		sh.run(words...).ends(exitFailed, "newer").silent()
	}
	gone := strings.Replace(url, "gt_test_", "gt_gone_", 1)
	for _, words := range [][]string{{"serve", "--listen=127.0.0.1:0"}, {"worker"}, {"migrate"}, {"verify"}} {
		sh.run(plus(words, "--database-url="+gone)...).ends(exitFailed, "gt_gone_").silent()
	}
}

func TestServeTakesTokensThatTokenMints(t *testing.T) {
	t.Parallel()
	url := testdb.EmptyURL(t)
	sh := newShell(t, "GRAPHTIDE_JWT_SECRET="+secret, "GRAPHTIDE_DATABASE_URL="+url)
	sh.run("migrate").ends(exitOK)
	schemaFile := sh.write("app.yaml", noteSchema)
	sv := sh.serve("--schema=app.yaml") // it was applied before anybody is served
	ann, root := sv.shell(t, "main", sh.token("--user=ann")), sv.shell(t, "main", sh.token("--user=root", "--admin", "--graph=*"))
	id := newID()
	ann.in(addNote(id, "ann's")).run("patch").ends(exitOK).says(`"version":1`)
	bob := sv.shell(t, "main", sh.token("--user=bob"))
	bob.in(`{"root":"` + id + `"}`).run("load").ends(exitOK).says("ann's")
	bob.in(`[{"op":"remove","path":"/objects/`+id+`"}]`).run("patch").ends(exitFailed, "graphtide: forbidden: ").silent()

	sv.shell(t, "main", "").run("log").ends(exitFailed, "unauthenticated").silent()
	stranger := newShell(t).run("token", "--user=ann", "--jwt-secret=another secret, of somebody else").ends(exitOK).stdout
	sv.shell(t, "main", strings.TrimSpace(stranger)).run("log").ends(exitFailed, "unauthenticated").silent()
	sv.shell(t, "other", sh.token("--user=ann")).run("log").ends(exitFailed, "not-found").silent()

	ann.run("schema", "apply", schemaFile).ends(exitFailed, "forbidden").silent()
	ann.run("schema", "diff", schemaFile).ends(exitFailed, "forbidden").silent()
	root.run("schema", "apply", schemaFile).ends(exitOK).says(`"version":1`)

	sh.run("verify").ends(exitOK).says("graph main at version 1", "no faults")
	sh.run("verify", "--graph=none").ends(exitFailed, "not-found").silent()

	// Who comes second is told.
	taken := strings.TrimPrefix(sv.url, "http://")
	sh.run("serve", "--listen="+taken).ends(exitFailed, "address already in use", "--listen").silent()

	sv.signal(syscall.SIGTERM)
	if status := sv.ended(); status != exitOK {
		t.Errorf("SIGTERM ends it with %d", status)
	}
}

// A Redis that is down costs time, not the start.
func TestServeStartsWithoutItsRedis(t *testing.T) {
	t.Parallel()
	url := testdb.EmptyURL(t)
	sh := newShell(t, "GRAPHTIDE_JWT_SECRET="+secret, "GRAPHTIDE_DATABASE_URL="+url, "GRAPHTIDE_REDIS_URL=redis://127.0.0.1:1")
	sh.run("migrate").ends(exitOK)
	sh.write("app.yaml", ruleSchema)
	sh.write("handlers/echo.js", `export default (event) => ({ patch: [{ op: 'replace', path: '/objects/' + event.entity + '/body/text', value: 'worked' }] })`)
	sv := sh.serve("--schema=app.yaml")
	ann := sv.shell(t, "main", sh.token("--user=ann"))
	follow := ann.start("log", "--follow")
	id := newID()
	ann.in(addNote(id, "x")).run("patch").ends(exitOK)
	follow.waitFor(id + `/body/text","value":"worked"`)
	sv.signal(syscall.SIGTERM)
	if status := sv.ended(); status != exitOK {
		t.Errorf("it ended with %d", status)
	}
}

func TestServeRefusesASchemaThatDoesNotFit(t *testing.T) {
	t.Parallel()
	url := testdb.EmptyURL(t)
	sh := newShell(t, "GRAPHTIDE_JWT_SECRET="+secret, "GRAPHTIDE_DATABASE_URL="+url)
	sh.run("migrate").ends(exitOK)
	sh.write("bad.yaml", "graphtide: 1\ntypes: {A: {extends: B}}\n")
	sh.run("serve", "--listen=127.0.0.1:0", "--schema=bad.yaml").ends(exitFailed, "invalid-schema", "bad.yaml:2:").silent()
}

func TestVerifyFindsWhatTheSchemaForbids(t *testing.T) {
	t.Parallel()
	url := testdb.EmptyURL(t)
	const linked = `graphtide: 1
types:
  Book:
    access: {read: [public], write: [public]}
    edges: {in: {book: {from: Page, max: 2}}}
  Page:
    properties: {n: {type: integer}}
    access: {read: [public], write: [public]}
    edges: {out: {book: {to: Book, max: 1, required: true, onDelete: cascade}}}
`
	sh := newShell(t)
	sh.write("app.yaml", linked)
	sv := sh.dev("--schema=app.yaml", "--database-url="+url)
	api, verify := sv.shell(t, "main", ""), newShell(t, "GRAPHTIDE_DATABASE_URL="+url)
	book, page, edge := newID(), newID(), newID()
	api.in(fmt.Sprintf(`[{"op":"add","path":"/objects/%s","value":{"type":"Book","body":{}}},
		{"op":"add","path":"/objects/%s","value":{"type":"Page","body":{"n":1}}},
		{"op":"add","path":"/edges/%s","value":{"label":"book","from":"%s","to":"%s"}}]`, book, page, edge, page, book)).run("patch").ends(exitOK)
	verify.run("verify").ends(exitOK).says("1 commits", "3 objects and edges", "no faults")
	sv.signal(syscall.SIGTERM)
	sv.ended()

	// Damage that the log agrees with is the schema's to find.
	sql(t, url, `UPDATE objects SET body = '{"n":"one"}' WHERE type = 'Page'`)
	sql(t, url, `UPDATE edges SET deleted = true`)
	verify.run("verify").ends(exitFailed, "fault(s) in graph main").says("fault: object "+page, "/body/n", "lacks the required edge book", "present row")
	sql(t, url, `UPDATE edges SET deleted = false, from_id = to_id`)
	verify.run("verify").ends(exitFailed, "fault(s)").says("no edge", "Book")
}

func TestServersShareOneGraph(t *testing.T) {
	t.Parallel()
	url := testdb.EmptyURL(t)
	sh := newShell(t, "GRAPHTIDE_JWT_SECRET="+secret, "GRAPHTIDE_DATABASE_URL="+url, "GRAPHTIDE_REDIS_URL="+testdb.Redis(t))
	sh.run("migrate").ends(exitOK)
	sh.write("app.yaml", ruleSchema)
	sh.write("handlers/echo.js", `export default (event) => ({ patch: [{ op: 'replace', path: '/objects/' + event.entity + '/body/text', value: 'worked' }] })`)
	// All at once: one of them makes the schema, the other finds it made.
	serve := []string{"serve", "--listen=127.0.0.1:0", "--no-worker", "--schema=app.yaml"}
	one, two, worker := sh.start(serve...), sh.start(serve...), sh.start("worker")
	a, b := sh.serving(one), sh.serving(two)
	worker.waitFor("working on runs")

	ann := sh.token("--user=ann")
	writer, reader := a.shell(t, "main", ann), b.shell(t, "main", ann)
	follow := reader.start("log", "--follow")
	id := newID()
	at := decodeJSON[written](writer.in(addNote(id, "written")).run("patch").ends(exitOK)).Version
	// Read your own writes, on any node.
	status, text := b.ask(t, http.MethodGet, "/v1/graphs/main/objects/"+id+"/history", "",
		"Authorization: Bearer "+ann, fmt.Sprintf("Graphtide-Min-Version: %d", at))
	if status != http.StatusOK || !strings.Contains(text, `"written"`) {
		t.Errorf("the other node answers %d %s", status, text)
	}
	// The worker did its part, and both servers hear of it.
	follow.waitFor(id + `/body/text","value":"worked"`)
	reader.traced(fmt.Sprint(at), "echo", "succeeded")
	writer.in(`[{"op":"test","path":"/objects/` + id + `/body/text","value":"worked"},{"op":"remove","path":"/objects/` + id + `"}]`).run("patch").ends(exitOK)
	follow.waitFor(`"op":"remove","path":"/objects/` + id)

	// One goes, the other stays.
	one.signal(syscall.SIGTERM)
	if status := one.ended(); status != exitOK {
		t.Errorf("a server ended with %d", status)
	}
	reader.in(addNote(newID(), "still")).run("patch").ends(exitOK)
	for _, p := range []*process{two, worker} {
		p.signal(syscall.SIGTERM)
		if status := p.ended(); status != exitOK {
			t.Errorf("%v ended with %d", p.args, status)
		}
	}
	newShell(t, "GRAPHTIDE_DATABASE_URL="+url).run("verify").ends(exitOK).says("no faults")
}
