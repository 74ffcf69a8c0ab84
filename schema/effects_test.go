package schema_test

import (
	"strings"
	"testing"

	"github.com/graphtide/graphtide/patch"
	"github.com/graphtide/graphtide/schema"
)

const effectTypes = `graphtide: 1
types:
  Entity: {abstract: true}
  Task: {extends: Entity, open: true, properties: {total: {type: number}, values: {type: object}}, edges: {out: {of: {to: Task}}, in: {of: {from: Task, as: tasks}}}}
  Note: {extends: Entity, open: true}
rules:
`

func compileRules(t *testing.T, rules string) *schema.Registry {
	t.Helper()
	reg, err := schema.Compile("app.yaml", []byte(effectTypes+rules), 1)
	if err != nil {
		t.Fatalf("%v %v", err, err.Errors)
	}
	return reg
}

func warnings(reg *schema.Registry) string {
	var all []string
	for _, w := range reg.Warnings {
		all = append(all, w.Message)
	}
	return strings.Join(all, "\n")
}

func TestCyclesOfRulesAreNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ rules, want string }{
		"none": {`
  total: {on: {object: Task, paths: [/body/values]}, handler: {go: x}, writes: [Task/body/total]}
  note: {on: {object: Task, events: [create]}, handler: {go: x}, writes: [Note]}`, ""},
		"itself": {`
  total: {on: {object: Task, paths: [/body/total]}, handler: {go: x}, writes: [Task/body/total/a]}`,
			"rule total may cause itself: total writes Task/body/total/a"},
		"by its parent type": {`
  any: {on: {object: Entity}, handler: {go: x}, writes: [Note]}`, "rule any may cause itself"},
		"each other": {`
  a: {on: {object: Task, events: [create]}, handler: {go: x}, writes: [Note]}
  b: {on: {object: Note, events: [delete]}, handler: {go: x}, writes: ["edge:of"]}
  c: {on: {edge: of}, handler: {go: x}, writes: [Task]}`,
			"rules a → b → c → a may cause each other without end: a writes Note, b writes edge:of, c writes Task"},
		"unknown": {`
  a: {on: {object: Task}, handler: {webhook: "https://x.example"}}`, ""},
		"a script that makes what it listens to": {`
  a: {on: {object: Task, events: [create]}, handler: {script: a.js}}
scripts:
  a.js: "export default (e, g) => ({patch: [{op: 'add', path: '/objects/' + e.run, value: {type: 'Task', body: {}}}]})"`,
			"rule a may cause itself: a writes Task"},
		"a script that changes its own entity elsewhere": {`
  a: {on: {object: Task, paths: [/body/values]}, handler: {script: a.js}}
scripts:
  a.js: "export default (event) => ({patch: [{op: 'add', path: '/objects/' + event.entity + '/body/total', value: 1}]})"`, ""},
		"a script that changes its own entity there": {`
  a: {on: {object: Task, paths: [/body/values]}, handler: {script: a.js}}
scripts:
  a.js: "export default (event) => ({patch: [{op: 'add', path: '/objects/' + event.entity + '/body/values', value: {}}]})"`,
			"rule a may cause itself: a writes Task/body/values"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := warnings(compileRules(t, c.rules))
			if !strings.Contains(got, c.want) || c.want == "" && got != "" {
				t.Errorf("warned of %q, want %q", got, c.want)
			}
		})
	}
}

func TestWhatAPlaceMayFireIsKnown(t *testing.T) {
	t.Parallel()
	reg := compileRules(t, `
  total: {on: {object: Task, paths: [/body/values]}, handler: {go: x}}
  any: {on: {object: Entity, events: [modify]}, handler: {go: x}}
  made: {on: {object: Task, events: [create]}, handler: {go: x}}
  note: {on: {object: Note}, handler: {go: x}}`)
	for place, want := range map[string]string{"/body/values/a": "any total", "/body/total": "any", "/body": "any total", "": "any made total"} {
		var p patch.Pointer
		if place != "" {
			p, _ = patch.ParsePointer(place)
		}
		if got := strings.Join(reg.Fires([]schema.Write{schema.Changing("Task", p)}), " "); got != want {
			t.Errorf("%q may fire %q, want %q", place, got, want)
		}
	}
}

// Removing an object removes more than it: that may fire rules too.
func TestWhatGoesAlongWithARemovalMayFireRules(t *testing.T) {
	t.Parallel()
	reg, err := schema.Compile("app.yaml", []byte(`graphtide: 1
types:
  Book: {open: true, edges: {in: {book: {from: Page, as: pages}}}}
  Page: {open: true, edges: {out: {book: {to: Book, max: 1, onDelete: cascade}}, in: {page: {from: Mark, as: marks}}}}
  Mark: {open: true, edges: {out: {page: {to: Page, max: 1, onDelete: cascade}, by: {to: User}}}}
  User: {open: true, edges: {in: {by: {from: Mark, as: made}}}}
rules:
  linked: {on: {edge: by, events: [delete]}, handler: {go: x}}
  made: {on: {object: Mark, events: [create]}, handler: {go: x}}
  user: {on: {object: User, events: [delete]}, handler: {go: x}}
  unmarked: {on: {object: Mark, events: [delete]}, handler: {go: x}, writes: [Book]}
`), 1)
	if err != nil {
		t.Fatal(err)
	}
	for typ, want := range map[string]string{"Book": "linked unmarked", "Page": "linked unmarked", "Mark": "linked made unmarked", "User": "linked user"} {
		if got := strings.Join(reg.Fires([]schema.Write{schema.Changing(typ, nil)}), " "); got != want {
			t.Errorf("a change of %s may fire %q, want %q", typ, got, want)
		}
	}
	if got := warnings(reg); !strings.Contains(got, "rule unmarked may cause itself: unmarked writes Mark") {
		t.Errorf("warned of %q", got)
	}
}

func TestWritesThatLeadNowhereAreFaults(t *testing.T) {
	t.Parallel()
	for writes, want := range map[string]string{
		`[Taks]`:         "did you mean",
		`["edge:off"]`:   "no type declares an edge",
		`[Task/values]`:  "begins with /body",
		`[Task/body/~2]`: "begins with /body",
	} {
		_, err := schema.Compile("app.yaml", []byte(effectTypes+"  a: {on: {object: Task}, handler: {go: x}, writes: "+writes+"}\n"), 1)
		if err == nil || !strings.Contains(err.Errors[0].Message, want) {
			t.Errorf("%s: %v, want %q", writes, err, want)
		}
	}
}
