package main

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/graphtide/graphtide/internal/testdb"
)

const ruleSchema = noteSchema + `rules:
  echo:
    on: {object: Note, events: [create]}
    handler: {script: handlers/echo.js}
`

func TestSchemaCheckNamesFileAndLineOfEachFault(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	sh.run("schema", "check", sh.write("good.yaml", noteSchema)).ends(exitOK).says("good.yaml", "no faults")
	sh.write("app.yaml", noteSchema)
	sh.run("schema", "check").ends(exitOK).says("no faults")
	sh.in(noteSchema).run("schema", "check", "-").ends(exitOK).says("no faults")

	sh.run("schema", "check", sh.write("bad.yaml", `graphtide: 1
types:
  Note:
    extends: Nothing
    properties:
      text: {type: strin}
    edges:
      out:
        about: {to: Nobody}
`)).ends(exitFailed, "invalid-schema", "bad.yaml:4:", "Nothing", "bad.yaml:6:", "strin", "bad.yaml:9:", "Nobody").silent()
	sh.run("schema", "check", sh.write("broken.yaml", "graphtide: 1\ntypes: {Note: [\n")).ends(exitFailed, "invalid-schema", "broken.yaml:").silent()
	sh.in("graphtide: 2\n").run("schema", "check", "-").ends(exitFailed, "invalid-schema", ":1:").silent()
}

func TestSchemaCheckLooksAtHandlers(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	file := sh.write("app.yaml", ruleSchema)
	sh.run("schema", "check").ends(exitFailed, "handlers/echo.js", "no such file").silent()
	sh.write("handlers/echo.js", "export default () => {\n  return return\n}\n")
	sh.run("schema", "check").ends(exitFailed, "handlers/echo.js:2:").silent()
	sh.write("handlers/echo.js", "import { n } from './n.js'\nexport default () => n\n")
	sh.run("schema", "check").ends(exitFailed, "./n.js").silent()
	sh.write("handlers/n.js", "export const n = null\n")
	sh.run("schema", "check").ends(exitOK).says("1 rules")
	// Found beside the file, from wherever it is named.
	elsewhere := newShell(t)
	elsewhere.run("schema", "check", file).ends(exitOK)
}

// A handler that cannot be had is a fault of the schema like any other: it has
// its line and key, and hides no other fault.
func TestAHandlerThatCannotBeHadIsAFaultWithItsPlace(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	sh.write("broken.js", "export default () => {\n  return return\n}\n")
	sh.write("whole.js", "export default () => 1\n")
	sh.write("app.yaml", `graphtide: 1
types:
  Note: {properties: {text: {type: strin}}}
rules:
  absent:
    on: {object: Note}
    handler: {script: absent.js}
  broken: {on: {object: Note}, handler: {script: broken.js}}
  outside: {on: {object: Note}, handler: {script: ../outside.js}}
  whole: {on: {object: Note}, handler: {script: whole.js}}
operations:
  folder: {handler: {script: .}}
`)
	for _, command := range []string{"check", "types", "apply", "diff"} {
		sh.run("schema", command).ends(exitFailed, "invalid-schema", "app.yaml:3: type Note, key properties.text.type",
			"app.yaml:7: rule absent, key handler.script: absent.js: there is no such file beside the schema",
			"app.yaml:8: rule broken, key handler.script: ", "broken.js:2:", "app.yaml:9: rule outside, key handler.script: ../outside.js",
			"app.yaml:12: operation folder, key handler.script: ", "(and 4 more)").silent()
	}
	sh.run("doctor", "--schema=app.yaml").ends(exitFailed, "wrong").says("the schema has 5 fault(s)")
	sh.run("serve", "--schema=app.yaml", "--database-url=postgres://127.0.0.1:1/x", "--jwt-secret=0123456789abcdef0123456789abcdef").
		ends(exitFailed, "app.yaml:7: rule absent, key handler.script").silent()
}

func TestSchemaTypesAreTypeScript(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	sh.write("app.yaml", noteSchema)
	sh.run("schema", "types").ends(exitOK).says("export interface Note", "text?: string")
	sh.run("schema", "types", sh.write("bad.yaml", "types: 1\n")).ends(exitFailed, "bad.yaml:1:").silent()
}

func TestSchemasAreComparedAndApplied(t *testing.T) {
	t.Parallel()
	base := newShell(t)
	base.write("app.yaml", noteSchema)
	sv := base.dev("--schema=app.yaml", "--database-url="+testdb.EmptyURL(t))
	sh := sv.shell(t, "main", "")
	id := newID()
	sh.in(addNote(id, "kept")).run("patch").ends(exitOK)

	type verdict struct {
		Changes json.RawMessage
		OK      bool
		Count   int
		Objects []struct{ ID string }
	}
	same := sh.write("same.yaml", noteSchema+"# a comment\n")
	if v := decodeJSON[verdict](sh.run("schema", "diff", same).ends(exitOK)); string(v.Changes) != "[]" || !v.OK {
		t.Errorf("the same: %+v", v)
	}
	wider := sh.write("wider.yaml", strings.Replace(noteSchema, "maxLength: 100", "maxLength: 200", 1))
	want := `[{"op":"replace","path":"/types/Note/properties/text/maxLength","value":200}]`
	if v := decodeJSON[verdict](sh.run("schema", "diff", wider).ends(exitOK)); string(v.Changes) != want || !v.OK {
		t.Errorf("wider: %s", v.Changes)
	}
	sh.run("schema", "apply", "--dry-run", wider).ends(exitOK).says(`"ok":true`)
	sh.in(addNote(newID(), strings.Repeat("x", 150))).run("patch").ends(exitFailed, "schema")
	sh.run("schema", "apply", wider).ends(exitOK).says(`"version":2`)
	sh.in(addNote(newID(), strings.Repeat("x", 150))).run("patch").ends(exitOK)

	narrow := sh.write("narrow.yaml", strings.Replace(noteSchema, "maxLength: 100", "maxLength: 3", 1))
	for _, args := range [][]string{{"schema", "diff", narrow}, {"schema", "apply", "--dry-run", narrow}} {
		v := decodeJSON[verdict](sh.run(args...).ends(exitFailed, "schema-in-use", "2 stored object(s)", id, "text"))
		if v.OK || v.Count != 2 || len(v.Objects) != 2 {
			t.Errorf("%v: %+v", args, v)
		}
	}
	sh.run("schema", "apply", narrow).ends(exitFailed, "schema-in-use", id).silent()
	sh.run("schema", "apply", sh.write("bad.yaml", "graphtide: 1\ntypes: {A: {extends: B}}\n")).ends(exitFailed, "invalid-schema", "bad.yaml:2:").silent()

	// Handlers travel with it.
	sh.write("handlers/echo.js", `export default (event, graph) => ({ patch: [{ op: 'replace', path: '/objects/' + event.entity + '/body/text', value: 'seen' }] })`)
	follow := sh.start("log", "--follow")
	sh.run("schema", "apply", sh.write("rule.yaml", strings.Replace(ruleSchema, "maxLength: 100", "maxLength: 200", 1))).ends(exitOK).says(`"version":3`)
	made := newID()
	at := decodeJSON[written](sh.in(addNote(made, "new")).run("patch").ends(exitOK))
	follow.waitFor(made + `/body/text","value":"seen"`)
	sh.traced(strconv.FormatInt(at.Version, 10), "echo", "succeeded")
}
