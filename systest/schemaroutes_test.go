package systest

import (
	"strings"
	"testing"
	"time"
)

const smallSchema = `
graphtide: 1
types:
  Task:
    required: [title]
    properties:
      title: {type: string, minLength: 1}
      rank: {type: number}
    access: {read: [public], write: [public]}
    edges:
      out: {next: {to: Task}}
      in: {next: {from: Task, as: previous}}
`

func TestTheSchema(t *testing.T) {
	t.Parallel()
	w := ownNode(t, smallSchema, nil)
	root := w.root()
	user := &client{t: t, w: w, url: w.url, user: "ann", token: mintToken("ann", time.Hour, "graphs=main")}
	admin := &client{t: t, w: w, url: w.url, user: "admin of main", token: mintToken("root", time.Hour, "admin", "graphs=main")}

	// What everybody may see, and what admins may.
	v := user.get("/v1/schema?view=client").want(200).json()
	v.is("version", "1")
	for _, want := range []string{"Task", "title", "next", "previous"} {
		if !strings.Contains(v.String(), want) {
			t.Errorf("no %s in %s", want, v)
		}
	}
	user.get("/v1/schema").problem("forbidden")
	admin.get("/v1/schema").want(200)
	for _, c := range []*client{user, admin} {
		c.put("/v1/schema", "application/yaml", smallSchema).problem("forbidden")
	}
	got := root.get("/v1/schema").want(200)
	got.json().is("types.Task.properties.rank", `{"type":"number"}`)
	yaml := root.with("Accept: application/yaml").get("/v1/schema").want(200)
	if !strings.HasPrefix(yaml.header.Get("Content-Type"), "application/yaml") || !strings.Contains(string(yaml.body), "Task") {
		t.Errorf("%s %v", yaml.header.Get("Content-Type"), yaml)
	}

	// The document comes back as it was put, in JSON too.
	asPut := `{"graphtide":1,"types":{"Task":{"required":["title"],"properties":{"title":{"type":"string","minLength":1},"rank":{"type":"number"}},"access":{"read":["public"],"write":["public"]},"edges":{"out":{"next":{"to":"Task"}},"in":{"next":{"from":"Task","as":"previous"}}}}}}`
	root.put("/v1/schema", "application/json", asPut).want(200)
	root.get("/v1/schema").want(200).json().is("", asPut)

	// Wrong ones name file, line, type and key.
	for name, bad := range map[string]string{
		"no version":             "types: {}",
		"not YAML":               "a: [",
		"a duplicate key":        "graphtide: 1\ntypes:\n  A: {}\n  A: {}\n",
		"an unknown key":         "graphtide: 1\ntypez: {}\n",
		"an unknown parent":      "graphtide: 1\ntypes:\n  A: {extends: B}\n",
		"a circle":               "graphtide: 1\ntypes:\n  A: {extends: B}\n  B: {extends: A}\n",
		"a bad name":             "graphtide: 1\ntypes:\n  A: {properties: {__proto__: {type: string}}}\n",
		"a name with a dollar":   "graphtide: 1\ntypes:\n  A: {properties: {$x: {type: string}}}\n",
		"names that collide":     "graphtide: 1\ntypes:\n  A: {properties: {x: {type: string}}, edges: {out: {x: {to: A}}, in: {x: {from: A, as: y}}}}\n",
		"as and property":        "graphtide: 1\ntypes:\n  A: {properties: {y: {type: string}}, edges: {out: {x: {to: A}}, in: {x: {from: A, as: y}}}}\n",
		"both ways without as":   "graphtide: 1\ntypes:\n  A: {edges: {out: {x: {to: A}}, in: {x: {from: A}}}}\n",
		"required and unlink":    "graphtide: 1\ntypes:\n  A: {edges: {out: {x: {to: A, required: true, onDelete: unlink}}, in: {x: {from: A, as: y}}}}\n",
		"a widened property":     "graphtide: 1\ntypes:\n  A: {properties: {x: {type: string}}}\n  B: {extends: A, properties: {x: {type: number}}}\n",
		"a bad JSON Schema":      "graphtide: 1\ntypes:\n  A: {properties: {x: {type: strin}}}\n",
		"a far $ref":             "graphtide: 1\ntypes:\n  A: {properties: {x: {$ref: 'http://example.com/x'}}}\n",
		"a file $ref":            "graphtide: 1\ntypes:\n  A: {properties: {x: {$ref: 'file:///etc/passwd'}}}\n",
		"needs below write":      "graphtide: 1\ntypes:\n  A: {access: {inherit: x}, edges: {out: {x: {to: A, needs: read}}, in: {x: {from: A, as: y}}}}\n",
		"env outside of secret":  "graphtide: 1\ntypes:\n  A: {}\nrules:\n  r: {on: {object: A, events: [create]}, handler: {webhook: 'https://${env:X}/'}}\n",
		"a rule on no type":      "graphtide: 1\ntypes:\n  A: {}\nrules:\n  r: {on: {object: B, events: [create]}, handler: {script: x.js}}\n",
		"a condition that isn't": "graphtide: 1\ntypes:\n  A: {}\nrules:\n  r: {on: {object: A, events: [create]}, when: 'size(', handler: {webhook: 'https://example.com/'}}\n",
		"Object anew":            "graphtide: 1\ntypes:\n  Object: {}\n",
		"a bomb of aliases":      "graphtide: 1\na: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: [*g,*g,*g,*g,*g,*g,*g,*g,*g]\n",
	} {
		p := root.put("/v1/schema", "application/yaml", bad)
		if p.status != 400 || p.json().str("code") != "invalid-schema" {
			t.Errorf("%s: %v", name, p)
		}
		if d := root.put("/v1/schema?dryRun=true", "application/yaml", bad); d.status != 400 && !(d.status == 200 && !d.json().bool("ok") && len(d.json().list("problems")) > 0) {
			t.Errorf("%s, dry: %v", name, d)
		}
	}
	p := root.put("/v1/schema", "application/yaml", "graphtide: 1\ntypes:\n  Alpha:\n    properties:\n      x: {type: strin}\n").problem("invalid-schema")
	if text := p.String(); !strings.Contains(text, "Alpha") || !strings.Contains(text, "5") {
		t.Errorf("the fault names line and type: %s", p)
	}
	root.put("/v1/schema", "text/plain", smallSchema).problem("unsupported-media-type")
	user.get("/v1/schema?view=client").json().is("version", "1") // the same document is no new version
}

func TestASchemaThatStoredDataWouldBreak(t *testing.T) {
	t.Parallel()
	w := ownNode(t, smallSchema, nil)
	root := w.root()
	root.put("/v1/graphs/other", "", "").want(201)
	w.other = w.url
	ann := &client{t: t, w: w, url: w.url, user: "ann", token: mintToken("ann", time.Hour, "graphs=*")}
	a, b := ann.create("Task", `{"title":"a","rank":1}`), ann.create("Task", `{"title":"bb","rank":2}`)
	ann.link("next", a, b)
	o := *w
	o.graph = "other"
	elsewhere := *ann
	elsewhere.w = &o
	c := elsewhere.create("Task", `{"title":"c"}`)
	head := ann.head()

	tight := strings.Replace(smallSchema, "minLength: 1", "minLength: 2", 1)
	p := root.put("/v1/schema", "application/yaml", tight).problem("schema-in-use")
	p.is("count", "2")
	found := map[string]string{}
	for _, x := range p.list("objects") {
		found[x.str("id")] = x.str("graph")
		x.is("type", `"Task"`)
		if len(x.list("errors")) == 0 {
			t.Errorf("%s", x)
		}
	}
	if found[a] != "main" || found[c] != "other" {
		t.Errorf("%s", p)
	}
	d := root.put("/v1/schema?dryRun=true", "application/yaml", tight).want(200).json()
	d.is("ok", "false").is("count", "2")
	ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/title","value":"x"}]`, a)) // nothing has changed
	// A type, an edge or a property that is in use.
	for _, s := range []string{
		"graphtide: 1\ntypes: {}\n",
		strings.Replace(smallSchema, "      rank: {type: number}\n", "", 1),
		strings.Replace(strings.Replace(smallSchema, "out: {next: {to: Task}}", "out: {}", 1), "in: {next: {from: Task, as: previous}}", "in: {}", 1),
		strings.Replace(smallSchema, "required: [title]", "required: [title, rank]", 1),
		strings.Replace(smallSchema, "access: {read: [public], write: [public]}", "access: {read: [public], write: [public]}\n    abstract: true", 1),
	} {
		root.put("/v1/schema", "application/yaml", s).problem("schema-in-use")
	}
	// It may always add, and loosen.
	s := w.dialGraph(t, "main", ann.token)
	root.put("/v1/schema", "application/yaml", strings.Replace(smallSchema, "rank: {type: number}", "rank: {type: number}\n      note: {type: string}", 1)).want(200).json().is("problems", "[]")
	// Sessions go on, and hear of it.
	s.next("schema").is("version", "2")
	s.settle()
	ann.commit(f(`[{"op":"add","path":"/objects/%s/body/note","value":"n"}]`, a))
	d = root.put("/v1/schema?dryRun=true", "application/yaml", smallSchema).want(200).json()
	d.is("ok", "false").is("count", "1")

	// migrate: rename, default and drop, as ordinary commits with the cause `schema`.
	before := ann.head()
	migrated := `
graphtide: 1
types:
  Task:
    required: [name, state]
    properties:
      name: {type: string, minLength: 1}
      rank: {type: number}
      state: {type: string}
    access: {read: [public], write: [public]}
    migrate: {rename: {title: name}, default: {state: open}, drop: [note]}
    edges:
      out: {next: {to: Task}}
      in: {next: {from: Task, as: previous}}
`
	root.put("/v1/schema", "application/yaml", migrated).want(200)
	ann.object(a).want(200).json().is("body", `{"name":"x","rank":1,"state":"open"}`)
	ann.object(b).json().is("body", `{"name":"bb","rank":2,"state":"open"}`)
	elsewhere.object(c).json().is("body", `{"name":"c","state":"open"}`)
	if ann.head() <= before || before < head {
		t.Error("no commits")
	}
	for _, commit := range ann.get(w.path(f("/log?since=%d", before))).json().list("commits") {
		commit.is("cause.kind", `"schema"`)
	}
	ann.patch(f(`[{"op":"add","path":"/objects/%s/body/title","value":"t"}]`, a)).problem("schema")
	doc := (&client{t: t, w: w, url: w.url, token: mintToken("root", time.Hour, "admin", "graphs=*")}).replayed(ann.head())
	value{t, doc}.is("objects."+a+".body.name", `"x"`)
	// The past stays as it was.
	ann.get(w.path(f("/objects/%s?at=%d", a, before))).want(200).json().is("body.title", `"x"`)
}

// dialGraph connects to a graph with a token.
func (w *world) dialGraph(t testing.TB, name, token string) *socket {
	t.Helper()
	o := *w
	o.graph = name
	s := o.open(t)
	s.hello(token, newID())
	return s
}

func TestASchemaChangeUnderWrites(t *testing.T) {
	t.Parallel()
	w := ownNode(t, smallSchema, nil)
	root := w.root()
	ann := &client{t: t, w: w, url: w.url, user: "ann", token: mintToken("ann", time.Hour, "graphs=*")}
	id := ann.create("Task", `{"title":"long enough"}`)
	stop := make(chan struct{})
	bad := make(chan string, 100)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			a, err := ann.send("PATCH", w.path(""), patchType, f(`[{"op":"replace","path":"/objects/%s/body/title","value":%q}]`, id, strings.Repeat("x", 1+i%6)))
			if err != nil || a.status != 200 && a.status != 422 {
				bad <- f("%v %v", err, a)
				return
			}
		}
	}()
	loose, tight := smallSchema, strings.Replace(smallSchema, "minLength: 1", "minLength: 4", 1)
	changed := 0
	for i := range 30 {
		s := []string{tight, loose}[i%2]
		if a := root.put("/v1/schema", "application/yaml", s); a.status == 200 {
			changed++
			// From here on every write is judged by this schema.
			short := ann.patch(f(`[{"op":"add","path":"/objects/%s","value":{"type":"Task","body":{"title":"abc"}}}]`, newID()))
			if want := []int{422, 200}[i%2]; short.status != want {
				t.Errorf("under schema %d: %v", i, short)
			}
			if i%2 == 1 {
				for _, o := range ann.load(`{"root":{"type":"Task","where":{"title":"abc"}}}`).json().list("roots") {
					ann.commit(f(`[{"op":"remove","path":"/objects/%s"}]`, o.v))
				}
			}
		} else if a.status != 409 {
			t.Fatalf("%v", a)
		}
	}
	close(stop)
	<-finished
	select {
	case m := <-bad:
		t.Error(m)
	default:
	}
	if changed < 2 {
		t.Errorf("%d changes", changed)
	}
}
