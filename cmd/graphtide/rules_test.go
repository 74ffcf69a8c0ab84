package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/internal/testdb"
)

const rulesSchema = `graphtide: 1
types:
  Note:
    properties: {text: {type: string}, words: {type: number}}
    access: {read: [public], write: [user]}
rules:
  count:
    on: {object: Note, events: [create, modify], paths: [/body/text]}
    handler: {script: count.js}
    writes: [Note/body/words]
    retries: 0
  wordy:
    on: {object: Note, events: [modify], paths: [/body/words]}
    when: after.body.words > 2.0
    handler: {script: wordy.js}
    retries: 0
operations:
  slow: {handler: {script: slow.js}}
scripts:
  count.js: |
    export default e => ({patch: [{op: 'add', path: '/objects/' + e.entity + '/body/words', value: e.after.body.text.split(' ').length}]})
  wordy.js: "export default () => { throw new Error('too wordy') }"
  slow.js: "export default async e => { await e.operation.status('half way', 0.5) }"
`

func TestRulesAreLookedAfterFromAShell(t *testing.T) {
	t.Parallel()
	base := newShell(t)
	base.write("app.yaml", rulesSchema)
	sh := base.dev("--schema=app.yaml", "--database-url="+testdb.EmptyURL(t)).shell(t, "main", "")

	sh.run("rules", "map").ends(exitOK).says("count, on", "writes Note/body/words", "may fire wordy", "wordy, on", "writes nothing ?")
	if fired := sh.run("rules", "map", "--type=Note", "--path=/body/words").ends(exitOK).says("wordy, on").stdout; strings.Contains(fired, "count, on") {
		t.Errorf("a change of words may fire\n%s", fired)
	}
	sh.run("rules").ends(exitOK).says("RULE", "count", "script")

	id := newID()
	at := decodeJSON[written](sh.in(addNote(id, "one two three")).run("patch").ends(exitOK)).Version
	version := fmt.Sprint(at)
	eventually(t, "the dead run", func() bool { return strings.Contains(sh.run("rules", "list").stdout, "dead: Error: too wordy") })
	listed := decodeJSON[struct{ Rules []graph.RuleInfo }](sh.run("rules", "list", "--json").ends(exitOK)).Rules
	if len(listed) != 2 || listed[1].Open["dead"] != 1 || !listed[0].Declared || listed[1].Declared {
		t.Errorf("listed %+v", listed)
	}

	sh.run("rules", "test", "count", version).ends(exitOK).says("rule count fires for version "+version, "create of Note "+id+": it fires")
	sh.run("rules", "test", "wordy", version).ends(exitOK).says("does not fire", "listens to modify")
	sh.in(`{"on":{"object":"Note"},"handler":{"go":"x"}}`).run("rules", "test", "wordy", version, "--with=-").ends(exitOK).says("rule wordy fires")
	sh.run("rules", "test", "nobody", version).ends(exitFailed, "not-found").silent()

	sh.run("rules", "pause", "count").ends(exitOK).says("rule count is paused")
	sh.run("rules").ends(exitOK).says("count (paused by dev)")
	sh.run("rules", "resume", "count").ends(exitOK).says("rule count goes on")
	sh.run("rules", "replay", "count", "--from=0", "--to="+version).ends(exitOK).says("1 changes match, 1 runs were made")
	sh.run("rules", "replay", "count").ends(exitUsage, "--from")

	// The tree: each step with its time and the milliseconds since the one before.
	sh.traced(version, `"state":"succeeded"`, `"state":"dead"`)
	tree := sh.run("trace", version, "--tree").ends(exitOK).stdout
	for _, line := range []string{
		`^commit ` + version + `  \d\d:\d\d:\d\d\.\d{3}  by dev\n`,
		`(?m)^[├└]─ rule count on ` + id + `  create  succeeded  run `,
		`(?m)^[│ ]  ├─ \d\d:\d\d:\d\d\.\d{3}  \+\d+ ms  matched`,
		`(?m)^[│ ]  ├─ .*  \+\d+ ms  started  attempt 1  on `,
		`(?m)^[│ ]  ├─ commit \d+  .*  \+\d+ ms  by run:\S+  \(run\)`,
		`(?m)^[│ ]  │  └─ rule wordy on ` + id + `  modify  dead  run `,
		`(?m)failed  attempt 1  handler-failed: Error: too wordy`,
		`(?m)^[│ ]  └─ .*  succeeded  attempt 1  on `,
	} {
		if !regexp.MustCompile(line).MatchString(tree) {
			t.Errorf("the tree has no %s:\n%s", line, tree)
		}
	}
	sh.run("trace", version).ends(exitOK).says(`"version":` + version) // a pipe gets JSON
	sh.run("trace", fmt.Sprint(at+1), "--tree").ends(exitOK).says("because of commit "+version+", by run ", "commit "+fmt.Sprint(at+1))
	sh.run("trace", id, "--tree").ends(exitOK).says("rule count on " + id)
	op := newID()
	sh.in(`[{"op":"add","path":"/objects/` + op + `","value":{"type":"OperationRequest","body":{"operation":"slow"}}}]`).run("patch").ends(exitOK)
	eventually(t, "the operation's end", func() bool {
		text := sh.run("trace", op, "--tree").stdout
		return strings.Contains(text, "operation slow on "+op+"  create  succeeded") && strings.Count(text, "(operation)") >= 2
	})
	sh.run("trace", version, "--tree", "--json").ends(exitUsage, "--json")
}
