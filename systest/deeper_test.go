package systest

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/graphtide/graphtide/internal/node"
	"github.com/graphtide/graphtide/internal/testdb"
)

func TestLargeViewsComeInFrames(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	top, mid := ann.create("Node", `{}`), ann.create("Node", `{}`)
	filler := strings.Repeat("x", 90<<10)
	for range 4 {
		var ops []string
		for range 10 {
			id := newID()
			ops = append(ops, f(`{"op":"add","path":"/objects/%s","value":{"type":"Node","body":{"x":%q}}},{"op":"add","path":"/edges/%s","value":{"label":"next","from":"%s","to":"%s"}}`, id, filler, newID(), mid, id))
		}
		ann.commit("[" + strings.Join(ops, ",") + "]")
	}
	projection := f(`{"root":%q,"out":{"next":{"out":{"next":{}}}}}`, top)
	s := w.dial(t, "ann")
	frames, largest := 0, 0
	s.raw = func(m []byte) { frames, largest = frames+1, max(largest, len(m)) }
	s.sub("s1", `"projection":`+projection)
	// 3.6 MB come into the view at once, as one delta in several frames.
	frames = 0
	e := ann.link("next", top, mid)
	s.reach(ann.head())
	if len(s.view("s1").objects) != 42 || frames < 4 {
		t.Errorf("%d objects in %d messages", len(s.view("s1").objects), frames)
	}
	s.same("ann", "s1", projection)
	frames = 0
	fresh := w.dial(t, "ann")
	fresh.raw = s.raw
	fresh.sub("s1", `"projection":`+projection)
	if frames < 4 || largest > 1<<20 {
		t.Errorf("%d messages, the largest of %d bytes", frames, largest)
	}
	fresh.same("ann", "s1", projection)
	ann.commit(f(`[{"op":"remove","path":"/edges/%s"}]`, e))
	s.reach(ann.head())
	if n := len(s.view("s1").objects); n != 1 {
		t.Errorf("%d objects", n)
	}
}

func TestS3UniqueForASlowReader(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	id := ann.create("Doc", `{"n":0,"l":[]}`)
	other := ann.create("Doc", `{}`)
	s := w.openSlow(t)
	s.hello(ann.token, newID())
	s.sub("s1", f(`"projection":{"root":[%q,%q]}`, id, other))
	var wg sync.WaitGroup
	var written atomic.Int64
	began := time.Now() // who has not read for 30 s is let go
	for i := range 4 {
		wg.Go(func() {
			for j := 0; j < 30 && (j < 2 || time.Since(began) < 10*time.Second); j++ {
				if a, err := ann.send("PATCH", w.path(""), patchType, f(`[{"op":"add","path":"/objects/%s/body/l/-","value":%q}]`, id, f("%d-%d %s", i, j, strings.Repeat("y", 1500)))); err != nil || a.status != 200 {
					t.Errorf("%v %v", err, a)
				}
				written.Add(1)
			}
		})
	}
	wg.Wait() // nobody has read meanwhile
	s.reach(ann.head())
	if n := len(s.view("s1").body(t, id).list("l")); n != int(written.Load()) {
		t.Errorf("%d elements of %d", n, written.Load())
	}
	s.same("ann", "s1", f(`{"root":[%q,%q]}`, id, other))
}

func TestS4AtomicDeltasTravelTogether(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	id := ann.create("Doc", `{"n":0}`)
	s := w.dial(t, "ann")
	s.sub("s1", f(`"projection":{"root":%q}`, id))
	s.sub("s2", `"projection":{"root":{"type":"Doc"}}`)
	s.sub("s3", `"projection":{"root":{"type":"Doc","where":{"n":{"gt":3}}}}`)
	messages := 0
	s.raw = func(m []byte) {
		if strings.Contains(string(m), `"delta"`) {
			messages++
			if n := strings.Count(string(m), `"t":"delta"`); n != 3 {
				t.Errorf("%d of three deltas in one message: %s", n, m)
			}
		}
	}
	s.mutate(f(`[{"op":"replace","path":"/objects/%s/body/n","value":5}]`, id))
	if messages != 1 {
		t.Errorf("%d messages", messages)
	}
}

func TestHowNotToConnect(t *testing.T) {
	t.Parallel()
	w := setup(t)
	dial := func(url string, protocols ...string) (*websocket.Conn, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		c, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{Subprotocols: protocols})
		if err == nil {
			t.Cleanup(func() { c.CloseNow() })
		}
		return c, err
	}
	code := func(c *websocket.Conn) websocket.StatusCode {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, _, err := c.Read(ctx)
		return websocket.CloseStatus(err)
	}
	for _, protocols := range [][]string{nil, {"graphtide.v0"}, {"graphtide.v2"}, {"graphql-ws", "graphtide.v2"}} {
		c, err := dial(w.socketURL(), protocols...)
		if err != nil {
			t.Fatal(err)
		}
		// A browser closes a connection on which none of its subprotocols was agreed to,
		// and never tells the code.
		if agreed := c.Subprotocol(); agreed != strings.Join(protocols[:min(len(protocols), 1)], "") {
			t.Errorf("%v: agreed to %q", protocols, agreed)
		}
		if got := code(c); got != 4426 {
			t.Errorf("%v: closed with %d", protocols, got)
		}
	}
	// Who speaks another one as well is spoken to in ours.
	for _, protocols := range [][]string{{"graphtide.v2", "graphtide.v1"}, {"graphtide.v1", "graphtide.v0"}} {
		c, err := dial(w.socketURL(), protocols...)
		if err != nil {
			t.Fatal(err)
		}
		if c.Subprotocol() != "graphtide.v1" {
			t.Errorf("%v: agreed to %q", protocols, c.Subprotocol())
		}
		if err := c.Write(t.Context(), websocket.MessageText, []byte(f(`{"t":"hello","token":%q,"session":%q,"pending":[]}`, w.as("ann").token, newID()))); err != nil {
			t.Fatal(err)
		}
		if _, text, err := c.Read(t.Context()); err != nil || !strings.Contains(string(text), `"welcome"`) {
			t.Errorf("%v: %s %v", protocols, text, err)
		}
	}
	c, err := dial(w.socketURL()+"?token="+w.as("ann").token, "graphtide.v1")
	if err != nil {
		t.Fatal(err)
	}
	if got := code(c); got != 4401 {
		t.Errorf("a token in the address: closed with %d", got)
	}
	s := w.dial(t, "ann")
	if err := s.conn.Write(t.Context(), websocket.MessageBinary, []byte(`{"t":"ping"}`)); err != nil {
		t.Fatal(err)
	}
	if got := s.closeCode(); got != 4400 {
		t.Errorf("a binary message: closed with %d", got)
	}
	// A plain request to the address of the websocket.
	if a := w.as("ann").get(w.path("/sync")); a.status != 426 && a.status != 400 {
		t.Errorf("%v", a)
	}
	// Too many messages.
	s = w.dial(t, "ann")
	go func() {
		many := strings.Repeat(`{"t":"ping"}`+"\n", 5000)
		for range 20 {
			if s.conn.Write(context.Background(), websocket.MessageText, []byte(many)) != nil {
				return
			}
		}
	}()
	if got := s.closeCode(); got != 4429 {
		t.Errorf("closed with %d", got)
	}
}

func TestS6BookmarkableWhenIdle(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	pinged := make(chan struct{}, 10)
	conn, _, err := websocket.Dial(ctx, w.socketURL(), &websocket.DialOptions{Subprotocols: []string{"graphtide.v1"},
		OnPingReceived: func(context.Context, []byte) bool { pinged <- struct{}{}; return true }})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if err := conn.Write(ctx, websocket.MessageText, []byte(f(`{"t":"hello","token":%q,"session":%q,"pending":[]}`, w.as("ann").token, newID()))); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for {
		_, text, err := conn.Read(ctx)
		if err != nil {
			t.Fatalf("after %v: %v", time.Since(begin), err)
		}
		if strings.Contains(string(text), `"t":"at"`) {
			break
		}
	}
	if late := time.Since(begin); late > 35*time.Second {
		t.Errorf("after %v", late)
	}
	select {
	case <-pinged:
	default:
		t.Error("no ping")
	}
}

func TestAnonymousReaders(t *testing.T) {
	t.Parallel()
	w := ownNode(t, smallSchema+"  Hidden: {open: true}\n", func(c *node.Config) { c.Auth.Anonymous = true })
	ann := w.as("ann")
	ann.token = mintToken("ann", time.Hour, "graphs=main")
	id, hidden := ann.create("Task", `{"title":"t"}`), ann.create("Hidden", `{"x":"canary"}`)
	nobody := w.as("")
	nobody.object(id).want(200)
	nobody.object(hidden).problem("not-found")
	nobody.load(`{"root":{"type":"Task"}}`).want(200)
	nobody.get("/v1/schema?view=client").want(200)
	if a := nobody.patch(f(`[{"op":"add","path":"/objects/%s","value":{"type":"Task","body":{"title":"x"}}}]`, newID())); a.status != 401 && a.status != 403 {
		t.Errorf("nobody signed in creates: %v", a)
	}
	(&client{t: t, w: w, url: w.url, token: "bad"}).object(id).problem("unauthenticated")
	s := w.open(t)
	s.send(f(`{"t":"hello","session":%q,"pending":[]}`, newID()))
	s.next("welcome").is("user.admin", "false")
	if v := s.sub("s1", `"projection":{"root":{"type":"Object"}}`); v.objects[id] == nil || v.objects[hidden] != nil {
		t.Errorf("%v", v.objects)
	}
}

func TestDevMode(t *testing.T) {
	t.Parallel()
	w := ownNode(t, "", func(c *node.Config) { c.Server.Dev, c.Auth.Dev = true, true })
	w.as("").put("/v1/schema", "application/yaml", smallSchema).want(200)
	id := w.as("").create("Task", `{"title":"t"}`)
	w.as("").object(id).json().is("meta.createdBy", `"dev"`)
	r, err := http.NewRequest("GET", w.url+w.path(""), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "evil.example.com"
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode < 400 {
		t.Errorf("a foreign Host: %d", resp.StatusCode)
	}
	s := w.open(t)
	s.send(f(`{"t":"hello","session":%q,"pending":[]}`, newID()))
	s.next("welcome").is("user", `{"id":"dev","teams":[],"org":"","admin":true}`)
}

func TestASchemaReachesAllNodes(t *testing.T) {
	t.Parallel()
	db, redis := testdb.OwnURL(t), testdb.Redis(t)
	var urls []string
	for range 2 {
		n, err := startNode(db, redis, func(c *node.Config) { c.Postprocess.Queue = newID() })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stopNode(n) })
		urls = append(urls, n.URL())
	}
	w := &world{t: t, url: urls[0], other: urls[1], graph: "main"}
	root := w.root()
	root.put("/v1/schema", "application/yaml", smallSchema).want(200)
	id := root.create("Task", `{"title":"t"}`)
	o := *w
	o.url = w.other
	s := o.dialGraph(t, "main", root.token)
	for i := range 6 {
		// A write to the other node right after the PUT is judged by the new schema.
		s1 := strings.Replace(smallSchema, "rank: {type: number}", f("rank: {type: number}\n      p%d: {type: string}", i), 1)
		v := root.put("/v1/schema", "application/yaml", s1).want(200).int("version")
		root.on(w.other).patch(f(`[{"op":"add","path":"/objects/%s/body/p%d","value":"x"}]`, id, i)).want(200)
		for s.next("schema").int("version") < v {
		}
		root.commit(f(`[{"op":"remove","path":"/objects/%s/body/p%d"}]`, id, i))
	}
}

// cable is a connection to the database that can be cut.
type cable struct {
	target string
	l      net.Listener
	mu     sync.Mutex // guards the fields below
	cut    bool
	conns  map[net.Conn]bool
}

// through gives the address of the database through a cable.
func through(t testing.TB, database string) (string, *cable) {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	c := &cable{target: q.Get("host") + "/.s.PGSQL.5432", conns: map[net.Conn]bool{}}
	if q.Get("host") == "" {
		t.Fatalf("not a database behind a socket: %s", database)
	}
	if c.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.l.Close(); c.set(true) })
	go c.run()
	q.Set("host", "127.0.0.1")
	_, port, _ := net.SplitHostPort(c.l.Addr().String())
	q.Set("port", port)
	q.Set("sslmode", "disable")
	u.RawQuery = q.Encode()
	return u.String(), c
}

func (c *cable) run() {
	for {
		a, err := c.l.Accept()
		if err != nil {
			return
		}
		b, err := net.Dial("unix", c.target)
		c.mu.Lock()
		if err != nil || c.cut {
			c.mu.Unlock()
			a.Close()
			if b != nil {
				b.Close()
			}
			continue
		}
		c.conns[a], c.conns[b] = true, true
		c.mu.Unlock()
		for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
			go func() {
				io.Copy(way[0], way[1])
				way[0].Close()
				way[1].Close()
			}()
		}
	}
}

func (c *cable) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	if cut {
		for x := range c.conns {
			x.Close()
		}
		clear(c.conns)
	}
}

func TestW8KnownOutcomeWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	database, wire := through(t, testdb.OwnURL(t))
	quiet := func(c *node.Config) { c.Log = slog.New(slog.DiscardHandler) }
	n, err := startNode(database, "", quiet)
	for range 3 { // where the machine is busy, a database at the end of a cable may seem to be away
		if err == nil {
			break
		}
		n, err = startNode(database, "", quiet)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopNode(n) })
	w := &world{t: t, url: n.URL(), graph: "main"}
	root := w.root()
	root.put("/v1/schema", "application/yaml", smallSchema).want(200)
	id := root.create("Task", `{"title":"t","rank":0}`)
	keys := map[string]int{}
	for i := range 3 {
		wire.set(true)
		key := newID()
		ops := f(`[{"op":"replace","path":"/objects/%s/body/rank","value":%d}]`, id, i+1)
		begin := time.Now()
		a := root.with("Idempotency-Key: " + key).patch(ops)
		p := a.problem("unavailable")
		if a.header.Get("Retry-After") == "" || p.int("retryAfterMs") <= 0 || time.Since(begin) > 20*time.Second {
			t.Errorf("%v after %v", a, time.Since(begin))
		}
		if s := root.get("/readyz").status; s != 503 {
			t.Errorf("ready without a database: %d", s)
		}
		root.get("/healthz").want(200)
		wire.set(false)
		eventually(t, "the write", func() bool {
			a := root.with("Idempotency-Key: " + key).patch(ops)
			if a.status == 200 {
				keys[key] = a.int("version")
			}
			return a.status == 200
		})
		root.object(id).json().is("body.rank", f("%d", i+1))
	}
	seen := map[string]int{}
	for _, c := range root.log() {
		seen[c.str("mutation")] = c.int("version")
	}
	for k, v := range keys {
		if seen[k] != v {
			t.Errorf("%s is at %d, was said to be at %d", k, seen[k], v)
		}
	}
	if len(seen) != 4 {
		t.Errorf("%d commits", len(seen))
	}
	eventually(t, "a ready node", func() bool { return root.get("/readyz").status == 200 })
}

func TestUndoWithAllThatRulesDid(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	w.on("watched", func(rw http.ResponseWriter, d delivery) {
		after, _ := d.call.v.(map[string]any)["after"].(map[string]any)
		id, _ := d.call.v.(map[string]any)["entity"].(string)
		if after["body"].(map[string]any)["n"] == json.Number("2") && after["body"].(map[string]any)["seen"] == nil {
			answerJSON(rw, 200, f(`{"patch":[{"op":"add","path":"/objects/%s/body/seen","value":true}]}`, id))
			return
		}
		answerJSON(rw, 200, `{}`)
	})
	id := ann.create("Watched", `{"n":1}`)
	v := ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/n","value":2}]`, id))
	eventually(t, "what the rule does", func() bool { return ann.object(id).json().has("body.seen") })
	r := ann.post(w.path("/revert"), f(`{"versions":[%d],"caused":true}`, v)).want(200).int("version")
	ann.object(id).json().is("body", `{"n":1}`)
	ann.get(w.path(f("/log?since=%d", r-1))).json().is("commits.0.cause.kind", `"revert"`)
	// The trace of the first shows the run and the commit that it made.
	tr := w.as("root").get(w.path(f("/trace/%d", v))).want(200)
	if !strings.Contains(string(tr.body), "watched") || !strings.Contains(string(tr.body), f("%d", v+1)) {
		t.Errorf("%s", tr.body)
	}
	ann.get(w.path("/trace/99999")).problem("invalid-version")
}

func TestOneObjectsRunsNeverStopForADeadOne(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann := w.as("ann")
	calls := make(chan delivery, 100)
	w.on("watched", func(rw http.ResponseWriter, d delivery) {
		calls <- d
		if d.call.v.(map[string]any)["event"] == "create" {
			answerJSON(rw, 400, `{}`)
			return
		}
		answerJSON(rw, 200, `{}`)
	})
	id := ann.create("Watched", `{"n":0}`)
	ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/n","value":1}]`, id))
	var order []string
	for range 4 { // the first, two retries, then the next run
		d := take(t, calls)
		order = append(order, d.call.str("event"))
		if d.call.str("event") == "create" && d.header.Get("Webhook-Id") == "" {
			t.Error("no id")
		}
	}
	if strings.Join(order, " ") != "create create create modify" {
		t.Errorf("%v", order)
	}
	eventually(t, "the end of both", func() bool {
		l := w.runs("watched")
		return len(l) == 2 && l[0].str("state") == "dead" && l[1].str("state") == "succeeded"
	})
}

func TestARunIsCancelledByHand(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ann, root := w.as("ann"), w.as("root")
	calls := make(chan delivery, 10)
	w.on("watched", func(rw http.ResponseWriter, d delivery) {
		rw.WriteHeader(202)
		calls <- d
	})
	ann.create("Watched", `{}`)
	d := take(t, calls)
	run := d.call.str("run")
	if s := ann.post(w.path("/runs/"+run+"/cancel"), "").status; s != 403 && s != 404 {
		t.Errorf("a user cancels: %d", s)
	}
	root.post(w.path("/runs/"+run+"/cancel"), "").want(200)
	eventually(t, "its end", func() bool { return w.runs("watched")[0].str("state") == "cancelled" })
	h := &client{t: t, w: w, url: w.url, token: d.call.str("token")}
	if s := h.post(w.path("/runs/"+run+"/report"), `{"complete":{}}`).status; s < 400 {
		t.Errorf("a report after the end: %d", s)
	}
}

func TestMetricsAndVersion(t *testing.T) {
	t.Parallel()
	w := setup(t)
	if b := w.as("").get("/version").want(200).json().v; b == nil {
		t.Error("nothing")
	}
	a := w.as("").get("/metrics")
	if a.status != 200 || !strings.Contains(string(a.body), "# TYPE") {
		t.Errorf("%d", a.status)
	}
	if strings.Contains(string(a.body), w.graph) {
		t.Error("metrics name graphs")
	}
	for _, p := range []string{"/console", "/console/"} {
		if s := w.as("").get(p).status; s >= 500 {
			t.Errorf("%s: %d", p, s)
		}
	}
}
