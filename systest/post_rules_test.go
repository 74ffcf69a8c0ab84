package systest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const rulesRoutesSchema = `
graphtide: 1
types:
  Note: {open: true, access: {read: [public], write: [public]}}
  Diary: {open: true}
  Log: {open: true, access: {read: [public], write: [public]}}
  Line:
    open: true
    access: {inherit: of}
    edges: {out: {of: {to: Note, max: 1, required: true, onDelete: cascade}}}
rules:
  count:
    on: {object: Note, events: [create, modify], paths: [/body/text]}
    when: after.body.text != "quiet"
    handler: {script: count.js}
    writes: [Note/body/words]
    retries: 0
  counted:
    on: {object: Note, events: [modify], paths: [/body/words]}
    handler: {script: counted.js}
    retries: 0
  diary:
    on: {object: Diary}
    handler: {script: diary.js}
    writes: []
    retries: 0
  linked:
    on: {edge: of, from: Line, to: Note, events: [create, delete]}
    handler: {script: fine.js}
    writes: []
operations:
  import: {handler: {script: fine.js}, target: Note}
scripts:
  count.js: |
    export default e => ({patch: [{op: 'add', path: '/objects/' + e.entity + '/body/words', value: e.after.body.text.length}]})
  counted.js: "export default e => { if (e.after.body.fail) throw new Error('CANARY-ERROR') }"
  diary.js: "export default e => { throw new Error('CANARY-ERROR ' + e.after.body.text) }"
  fine.js: "export default () => ({said: 'CANARY-ANSWER'})"
`

// rulesRoutes is a node with the schema above in which Note opts in to lines.
func rulesRoutes(t *testing.T) *world {
	w := ownNode(t, strings.Replace(rulesRoutesSchema, "Note: {open: true,", "Note: {open: true, edges: {in: {of: {from: Line, as: lines}}},", 1), nil)
	w.graph = "main"
	return w
}

// TestADryRunNamesTheRulesThatWouldFire asks before writing, for each kind of
// change, and then writes: the same rules fire.
func TestADryRunNamesTheRulesThatWouldFire(t *testing.T) {
	t.Parallel()
	w := rulesRoutes(t)
	ann := w.as("ann")
	note, line, edge, diary := newID(), newID(), newID(), newID()
	fired := func(version int) (names []string) {
		for _, r := range w.root().get(w.path(f("/trace/%d", version))).want(200).json().list("commit.rules") {
			names = append(names, r.str("rule"))
		}
		slices.Sort(names)
		return names
	}
	for _, c := range []struct{ name, ops, want string }{
		{"a new object", f(`[{"op":"add","path":"/objects/%s","value":{"type":"Note","body":{"text":"a"}}}]`, note), "[count]"},
		{"a condition that is false", f(`[{"op":"add","path":"/objects/%s","value":{"type":"Note","body":{"text":"quiet"}}}]`, newID()), "[]"},
		{"a path that matches", f(`[{"op":"replace","path":"/objects/%s/body/text","value":"b"}]`, note), "[count]"},
		{"another path", f(`[{"op":"add","path":"/objects/%s/body/colour","value":"b"}]`, note), "[]"},
		{"two paths", f(`[{"op":"replace","path":"/objects/%[1]s/body/text","value":"c"},{"op":"add","path":"/objects/%[1]s/body/words","value":9}]`, note), "[count counted]"},
		{"an edge", f(`[{"op":"add","path":"/objects/%[1]s","value":{"type":"Line","body":{}}},{"op":"add","path":"/edges/%[2]s","value":{"label":"of","from":"%[1]s","to":"%[3]s"}}]`, line, edge, note), "[linked]"},
		{"of a private object", f(`[{"op":"add","path":"/objects/%s","value":{"type":"Diary","body":{"text":"x"}}}]`, diary), "[diary]"},
		{"what goes along with a removal", f(`[{"op":"remove","path":"/objects/%s"}]`, note), "[linked]"},
	} {
		w.idle()
		head := ann.head()
		dry := ann.do("PATCH", w.path("?dryRun=true"), patchType, c.ops).want(200).json()
		var names []string
		for _, r := range dry.list("rules") {
			names = append(names, r.str(""))
		}
		slices.Sort(names)
		if fmt.Sprint(names) != c.want || !dry.bool("ok") {
			t.Errorf("%s would fire %v, want %s: %s", c.name, names, c.want, dry)
		}
		if len(w.runsOf(head+1)) != 0 {
			t.Errorf("%s: the dry run made runs", c.name)
		}
		version := ann.commit(c.ops)
		eventually(t, "the runs of "+c.name, func() bool { return fmt.Sprint(fired(version)) == c.want })
	}
}

// idle waits until no run is open: what they write is written.
func (w *world) idle() {
	w.t.Helper()
	eventually(w.t, "the end of all runs", func() bool {
		for _, state := range []string{"pending", "running", "retrying"} {
			if len(w.root().get(w.path("/runs?state="+state)).want(200).json().list("runs")) > 0 {
				return false
			}
		}
		return true
	})
}

// runsOf gives the runs that a version fired.
func (w *world) runsOf(version int) (out []value) {
	w.t.Helper()
	for _, r := range w.root().get(w.path("/runs?limit=1000")).want(200).json().list("runs") {
		if r.int("version") == version {
			out = append(out, r)
		}
	}
	return out
}

// TestTheRoutesOfRules goes through them all as an admin, and as those who are
// none.
func TestTheRoutesOfRules(t *testing.T) {
	t.Parallel()
	w := rulesRoutes(t)
	ann, bob, root := w.as("ann"), w.as("bob"), w.root()
	note := ann.create("Note", `{"text":"one","fail":true}`)
	made := ann.head()
	diary := ann.create("Diary", `{"text":"CANARY-TEXT"}`)
	rule := func(name string) value {
		for _, r := range root.get(w.path("/rules")).want(200).json().list("rules") {
			if r.str("name") == name {
				return r
			}
		}
		t.Fatalf("there is no rule %s", name)
		panic("unreachable")
	}
	eventually(t, "the dead runs", func() bool {
		return len(rule("counted").list("failures")) == 1 && len(rule("diary").list("failures")) == 1
	})
	eventually(t, "the first match", func() bool {
		m := rule("count").list("matches")
		return len(m) == 1 && m[0].str("state") == "succeeded"
	})

	// The list and the map.
	r := rule("count")
	r.is("handler", `"script"`).is("on.object", `"Note"`).is("writes", `["Note/body/words"]`).is("writesDeclared", "true").is("fires", `["counted"]`)
	rule("counted").is("open.dead", "1").is("writesDeclared", "false")
	if got := rule("counted").list("failures")[0]; got.str("entity") != note || !strings.Contains(got.str("error.message"), "CANARY-ERROR") {
		t.Errorf("the failure is %s", got)
	}
	names := func(query string) (out []string) {
		for _, r := range root.get(w.path("/rules" + query)).want(200).json().list("rules") {
			out = append(out, r.str("name"))
		}
		return out
	}
	for query, want := range map[string]string{"": "[count counted diary linked]", "?type=Note&path=/body/text": "[count]", "?type=Note": "[count counted linked]", "?type=Log": "[]"} {
		if got := fmt.Sprint(names(query)); got != want {
			t.Errorf("rules%s gives %s, want %s", query, got, want)
		}
	}
	root.get(w.path("/rules?type=Nobody")).want(400)

	// Pause, test, resume, replay.
	root.post(w.path("/rules/count/pause"), `{}`).want(200).json().is("paused.by", `"root"`)
	second := ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/text","value":"two"}]`, note))
	eventually(t, "the run that waits", func() bool { l := w.runsOf(second); return len(l) == 1 && l[0].str("state") == "pending" })
	verdict := root.post(w.path("/rules/count/test"), f(`{"version":%d}`, second)).want(200).json()
	verdict.is("fires", "true")
	quiet := ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/text","value":"quiet"}]`, note))
	verdict = root.post(w.path("/rules/count/test"), f(`{"version":%d}`, quiet)).want(200).json()
	if why := verdict.list("changes")[0].str("why"); verdict.bool("fires") || !strings.Contains(why, "its condition is false") {
		t.Errorf("the verdict is %s", verdict)
	}
	root.post(w.path("/rules/count/resume"), `{}`).want(200)
	eventually(t, "the run that waited", func() bool { return w.runsOf(second)[0].str("state") == "succeeded" })
	replay := newID()
	for n, want := range []string{"2", "0"} { // sent again it makes nothing
		done := root.post(w.path("/rules/count/replay"), f(`{"from":0,"to":%d,"id":%q}`, quiet, replay)).want(200).json()
		if done.is("made", want).int("matched") != 2 {
			t.Errorf("replay %d: %s", n, done)
		}
	}
	eventually(t, "the replayed runs", func() bool {
		l := w.runs("count")
		return len(l) == 4 && !slices.ContainsFunc(l, func(r value) bool { return r.str("state") != "succeeded" })
	})

	// Retry one, and all.
	dead := rule("counted").list("failures")[0].str("id")
	root.post(w.path("/runs/"+dead+"/retry"), `{}`).want(200)
	eventually(t, "its second death", func() bool {
		return root.get(w.path("/runs/"+dead)).want(200).json().str("state") == "dead"
	})
	if n := root.post(w.path("/runs/retry?rule=diary"), `{}`).want(200).json().int("retried"); n != 1 {
		t.Errorf("%d were retried", n)
	}

	// Who is no admin sees the runs of what he may read, and not what was said in them.
	secret := w.runs("diary")[0].str("id")
	for _, c := range []*client{ann, bob} {
		for _, route := range []string{"pause", "resume", "test", "replay"} {
			body := map[string]string{"test": f(`{"version":%d}`, made), "replay": `{"from":0}`}[route]
			c.post(w.path("/rules/count/"+route), body).problem("forbidden")
		}
		c.get(w.path("/rules")).problem("forbidden")
		c.post(w.path("/runs/"+dead+"/retry"), `{}`).problem("forbidden")
		c.post(w.path("/runs/"+dead+"/cancel"), `{}`).problem("forbidden")
		c.post(w.path("/runs/retry"), `{}`).problem("forbidden")
		one := c.get(w.path("/runs/" + dead)).want(200)
		tr := c.get(w.path(f("/trace/%d", made))).want(200)
		for what, a := range map[string]*answer{"a run": one, "a trace": tr, "the list": c.get(w.path("/runs")).want(200)} {
			for _, canary := range []string{"CANARY-ERROR", "CANARY-ANSWER", `"request"`, `"answer"`} {
				if strings.Contains(string(a.body), canary) {
					t.Errorf("%s tells %s %s: %s", what, c.user, canary, a.body)
				}
			}
		}
		if len(one.json().list("attempts")) == 0 || one.json().list("attempts")[0].str("startedAt") == "" {
			t.Errorf("%s does not see when it was tried: %s", c.user, one.body)
		}
	}
	ann.get(w.path("/runs/" + secret)).want(200)
	bob.get(w.path("/runs/" + secret)).problem("not-found")
	bob.get(w.path("/trace/" + diary)).problem("not-found")
	bob.post(w.path("/runs/"+secret+"/cancel"), `{}`).problem("not-found")
	for _, l := range bob.get(w.path("/runs?limit=1000")).want(200).json().list("runs") {
		if l.str("entity") == diary {
			t.Errorf("bob sees %s", l)
		}
	}
	full := root.get(w.path("/runs/" + secret)).want(200)
	if !strings.Contains(string(full.body), "CANARY-TEXT") || !strings.Contains(string(full.body), "CANARY-ERROR") {
		t.Errorf("an admin sees %s", full.body)
	}

	// Who may not open the graph hears of nothing; without a token even less.
	outside := &client{t: t, w: w, url: w.url, user: "eve", token: mintToken("eve", time.Hour, "graphs=elsewhere", "admin")}
	nobody := &client{t: t, w: w, url: w.url}
	for _, route := range []string{"/rules", "/runs", "/runs/" + dead, "/trace/1", "/trace/" + note} {
		outside.get(w.path(route)).problem("not-found")
		nobody.get(w.path(route)).problem("unauthenticated")
	}
	for _, route := range []string{"/rules/count/pause", "/rules/count/resume", "/runs/" + dead + "/retry", "/runs/retry"} {
		outside.post(w.path(route), `{}`).problem("not-found")
		nobody.post(w.path(route), `{}`).problem("unauthenticated")
	}
	root.post(w.path("/rules/nobody/pause"), `{}`).problem("not-found")
	root.post(w.path("/rules/count/test"), `{"version":999999}`).problem("invalid-version")
	root.post(w.path("/rules/count/test"), `{"verson":1}`).problem("unknown-field")
}
