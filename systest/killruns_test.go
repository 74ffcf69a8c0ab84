package systest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/graphtide/graphtide/internal/embedded"
	"github.com/graphtide/graphtide/internal/testdb"
)

const ruleSchema = `
graphtide: 1
types:
  Item:
    open: true
    access: {read: [public], write: [public]}
  Mark:
    open: true
    access: {read: [public], write: [public]}
rules:
  mark:
    on: {object: Item, events: [create]}
    handler: {webhook: "HOOK/mark", secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    timeout: 20s
    retries: 12
operations:
  wait:
    handler: {script: wait.js}
    timeout: 15s
    retries: 3
  once:
    handler: {script: once.js}
    timeout: 20s
    retries: 0
scripts:
  wait.js: |
    export default async function (event, graph) {
      await event.operation.status('attempt ' + event.attempt, 0.5)
      if (event.attempt === 1) while (!event.operation.cancelled) await sleep(10)
    }
  once.js: |
    export default async function (event, graph) {
      while (!event.operation.cancelled) await sleep(10)
    }
`

// TestEveryRuleRunsThoughServersAreKilled kills the servers of one database,
// and its Redis, while rules and operations are at work: in the end every
// object that was made has been marked exactly once, however often its handler
// was called, and every operation has ended.
func TestEveryRuleRunsThoughServersAreKilled(t *testing.T) {
	t.Parallel()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	database := testdb.OwnURL(t)
	if out, err := exec.Command(bin, "migrate", "--database-url", database).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	redis, err := embedded.StartRedis(t.Context(), embedded.RedisConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { redis.Stop() })

	var mu sync.Mutex
	calls := map[string]int{}
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		v, err := decode(text)
		if err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		call := value{t, v}
		mu.Lock()
		calls[call.str("entity")]++
		slow := calls[call.str("entity")] == 1 && len(calls)%3 == 0
		mu.Unlock()
		if slow { // some are slow the first time, and die with their server
			select {
			case <-r.Context().Done():
				return
			case <-time.After(3 * time.Second):
			}
		}
		// Another id for the mark each time: only the run makes it one mark.
		answerJSON(w, 200, f(`{"patch":[{"op":"add","path":"/objects/%s","value":{"type":"Mark","body":{"of":%q},"access":{"read":{"public":true}}}}]}`, newID(), call.str("entity")))
	}))
	defer hook.Close()
	schema := filepath.Join(t.TempDir(), "app.yaml")
	if err := os.WriteFile(schema, []byte(strings.ReplaceAll(ruleSchema, "HOOK", hook.URL)), 0o600); err != nil {
		t.Fatal(err)
	}
	var addrs []string
	var servers []*child
	for range 2 {
		addr, err := freeAddress()
		if err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, addr)
		servers = append(servers, serve(t, addr, database, redis.URL(), "--schema", schema, "--allow-private-webhooks"))
	}
	w := &world{t: t, url: "http://" + addrs[0], graph: "main"}
	ann := &client{t: t, w: w, url: w.url, user: "ann", token: mintToken("ann", time.Hour, "graphs=main")}
	once := ann.request(`{"operation":"once"}`, "")
	twice := ann.request(`{"operation":"wait"}`, "")
	eventually(t, "both operations' start", func() bool {
		return ann.object(once).json().str("body.state") == "running" && ann.object(twice).json().str("body.state") == "running"
	})
	var items []string
	for round := range 4 {
		for i := range 12 {
			id, key := newID(), newID()
			items = append(items, id)
			ops := f(`[{"op":"add","path":"/objects/%s","value":{"type":"Item","body":{}}}]`, id)
			if i == 6 { // while the rest is on its way
				servers[round%2].kill()
			}
			eventually(t, "the write", func() bool {
				a, err := ann.on("http://"+addrs[(i+round)%2]).with("Idempotency-Key: "+key).send("PATCH", w.path(""), patchType, ops)
				if err != nil || a.status == 503 {
					a, err = ann.on("http://"+addrs[(i+round+1)%2]).with("Idempotency-Key: "+key).send("PATCH", w.path(""), patchType, ops)
				}
				return err == nil && a.status == 200
			})
		}
		if round == 1 { // Redis loses everything
			if err := redis.Stop(); err != nil {
				t.Error(err)
			}
		}
		servers[round%2] = serve(t, addrs[round%2], database, redis.URL(), "--allow-private-webhooks")
	}
	root := w.root()
	eventually(t, "every mark", func() bool {
		return len(root.load(`{"root":{"type":"Mark"}}`).json().list("roots")) >= len(items)
	})
	eventually(t, "the end of all runs", func() bool {
		for _, state := range []string{"pending", "running", "retrying"} {
			if len(root.get(w.path("/runs?rule=mark&state="+state)).want(200).json().list("runs")) > 0 {
				return false
			}
		}
		return true
	})
	marks := map[string]int{}
	for _, o := range root.load(`{"root":{"type":"Mark"}}`).want(200).json().members("objects") {
		marks[(value{t, o}).str("body.of")]++
	}
	for _, id := range items {
		if marks[id] != 1 {
			t.Errorf("%s has %d marks after %d calls", id, marks[id], calls[id])
		}
	}
	for _, r := range root.get(w.path("/runs?rule=mark&limit=1000")).json().list("runs") {
		if r.str("state") != "succeeded" {
			t.Errorf("%s", r)
		}
	}
	// Every operation ends in a terminal state, whatever dies.
	if b := ann.ended(once); b.str("state") != "failed" && b.str("state") != "timed-out" && b.str("state") != "succeeded" {
		t.Errorf("%s", b)
	}
	if b := ann.ended(twice); b.str("state") != "succeeded" && b.str("state") != "timed-out" && b.str("state") != "failed" {
		t.Errorf("%s", b)
	}
	for _, s := range servers {
		s.kill()
	}
	if out, err := exec.Command(bin, "verify", "--database-url", database).CombinedOutput(); err != nil {
		t.Errorf("verify: %v\n%s", err, out)
	}
}

// TestLogsKeepSecrets has a server log all it can, and looks for what must not
// be there.
func TestLogsKeepSecrets(t *testing.T) {
	t.Parallel()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	database := testdb.OwnURL(t)
	if out, err := exec.Command(bin, "migrate", "--database-url", database).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	addr, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	schema := filepath.Join(t.TempDir(), "app.yaml")
	text := strings.ReplaceAll(ruleSchema, "HOOK", "http://127.0.0.1:1")
	if err := os.WriteFile(schema, []byte(strings.ReplaceAll(text, `"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"`, `"${env:CANARY_HOOK_SECRET}"`)), 0o600); err != nil {
		t.Fatal(err)
	}
	var logged lockedBuffer
	cmd := exec.Command(bin, "serve", "--listen", addr, "--schema", schema, "--log-level", "debug", "--allow-private-webhooks")
	cmd.Env = append(os.Environ(), "GRAPHTIDE_DATABASE_URL="+database, "GRAPHTIDE_JWT_SECRET="+secret, "CANARY_HOOK_SECRET=whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LWNhbmE=")
	cmd.Stdout, cmd.Stderr = &logged, &logged
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	w := &world{t: t, url: "http://" + addr, graph: "main"}
	probe := &client{t: t, url: w.url}
	eventually(t, "a ready server", func() bool {
		a, err := probe.send("GET", "/readyz", "", "")
		return err == nil && a.status == 200
	})
	ann := &client{t: t, w: w, url: w.url, user: "ann", token: mintToken("ann", time.Hour, "graphs=main")}
	id := ann.create("Item", `{"x":"canary-body"}`)
	ann.patch(f(`[{"op":"test","path":"/objects/%s/body/x","value":"canary-test"}]`, id)).problem("test-failed")
	ann.get(w.path("") + "?token=" + ann.token).want(200)
	s := w.open(t)
	s.hello(ann.token, newID())
	s.mutate(f(`[{"op":"add","path":"/objects/%s/body/y","value":"canary-socket"}]`, id))
	(&client{t: t, w: w, url: w.url, token: "canary-token"}).get(w.path("")).want(401)
	eventually(t, "a failed delivery", func() bool {
		l := w.root().get(w.path("/runs?rule=mark")).want(200).json().list("runs")
		return len(l) == 1 && l[0].str("state") == "retrying"
	})
	text = logged.String()
	if len(text) < 100 {
		t.Errorf("nothing is logged: %s", text)
	}
	for _, leak := range []string{secret, ann.token, "canary", "Y2FuYXJ5", strings.Split(ann.token, ".")[2]} {
		if i := strings.Index(text, leak); i >= 0 {
			t.Errorf("the log shows %q: %s", leak, text[max(0, i-200):min(len(text), i+200)])
		}
	}
}

type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// TestCompactedHistoryIsGone has a type keep two versions, and forgets the rest
// while the server runs.
func TestCompactedHistoryIsGone(t *testing.T) {
	t.Parallel()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	database := testdb.OwnURL(t)
	n, err := startNode(database, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopNode(n) })
	w := &world{t: t, url: n.URL(), graph: "main"}
	root := w.root()
	root.put("/v1/schema", "application/yaml", "graphtide: 1\ntypes:\n  Short: {open: true, history: {keep: 2 versions}}\n  Long: {open: true}\n").want(200)
	short, long := root.create("Short", `{"n":0}`), root.create("Long", `{"n":0}`)
	first := root.with("Idempotency-Key: the first")
	ops := f(`[{"op":"replace","path":"/objects/%s/body/n","value":1}]`, short)
	v := first.patch(ops).want(200).int("version")
	for i := range 6 {
		root.commit(f(`[{"op":"replace","path":"/objects/%s/body/n","value":%d},{"op":"replace","path":"/objects/%s/body/n","value":%d}]`, short, i+2, long, i+2))
	}
	eventually(t, "all but two versions gone", func() bool {
		if out, err := exec.Command(bin, "compact", "--database-url", database).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return len(root.object(short+"/history").want(200).json().list("entries")) == 2
	})
	root.object(short + f("?at=%d", v)).problem("gone")
	root.post(w.path(f("/load?at=%d", v)), f(`{"root":%q}`, short)).problem("gone")
	root.object(short).want(200).json().is("body.n", "7")
	head := root.head()
	root.object(short+f("?at=%d", head-1)).want(200).json().is("body.n", "6")
	// A type that keeps all keeps all.
	if n := len(root.object(long + "/history").want(200).json().list("entries")); n != 7 {
		t.Errorf("%d entries", n)
	}
	root.object(long+f("?at=%d", v+2)).want(200).json().is("body.n", "3")
	// Keys outlive compaction.
	first.patch(ops).want(200).json().is("replayed", "true").is("version", f("%d", v))
	first.patch(`[]`).problem("mutation-conflict")
	root.object(short).json().is("body.n", "7")
	// A node that starts now finds it gone as well.
	m, err := startNode(database, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopNode(m) })
	fresh := root.on(m.URL())
	fresh.get(w.path("/log?since=0")).problem("gone")
	fresh.get(w.path(f("/log?since=%d", head-1))).want(200)
	fresh.post(w.path("/revert"), f(`{"versions":[%d]}`, v)).problem("gone")
	s := (&world{t: t, url: m.URL(), graph: "main"}).dialGraph(t, "main", root.token)
	s.send(f(`{"t":"sub","sub":"s","projection":{"root":%q},"at":%d}`, short, v))
	s.refused("s", "gone")
	s.send(f(`{"t":"sub","sub":"s","projection":{"root":%q},"since":%d,"epoch":%q,"key":"x"}`, short, v, s.welcome.str("epoch")))
	s.next("load").is("reset", "true")
}
