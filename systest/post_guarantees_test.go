package systest

import (
	"strings"
	"syscall"
	"testing"
)

const postGuaranteeSchema = `
graphtide: 1
types:
  Ping: {open: true, access: {read: [public], write: [public]}}
  Pong: {open: true, access: {read: [public], write: [public]}}
  Thing: {open: true, access: {read: [public], write: [public]}}
  Secret: {open: true}
rules:
  ping:
    on: {object: Ping, events: [create]}
    handler: {script: ping.js}
  pong:
    on: {object: Pong, events: [create]}
    handler: {script: pong.js}
  itself:
    on: {object: Thing, events: [modify], paths: [/body/n]}
    handler: {script: itself.js}
operations:
  steps:
    params: {thing: {type: string}}
    target: Thing
    handler: {script: steps.js}
    timeout: 3m
    retries: 3
  private:
    target: Secret
    needs: read
    handler: {script: private.js}
    timeout: 20s
scripts:
  ping.js: |
    export default async (event, graph) => ({patch: [{op: 'add', path: '/objects/' + event.run, value: {type: 'Pong', body: {}}}]})
  pong.js: |
    export default async (event, graph) => ({patch: [{op: 'add', path: '/objects/' + event.run, value: {type: 'Ping', body: {}}}]})
  itself.js: |
    export default async (event, graph) => ({patch: [{op: 'add', path: '/objects/' + event.entity + '/body/n', value: event.after.body.n + 1}]})
  steps.js: |
    export default async (event, graph) => {
      const id = event.operation.params.thing
      for (let i = 0; i < 100; i++) {
        await graph.patch([{op: 'add', path: '/objects/' + id + '/body/by/-', value: event.attempt}], {key: event.attempt + '.' + i})
        await sleep(50)
      }
    }
  private.js: |
    export default async (event, graph) => {
      await event.operation.status('CANARY-STATUS', 0.5)
      await event.operation.warn('CANARY-WARNING')
      await event.operation.complete({canary: 'CANARY-RESULT'})
    }
`

// TestP5BoundedLoops lets two rules cause each other, and one cause itself: both
// end, and say why, with the chain that led there.
func TestP5BoundedLoops(t *testing.T) {
	t.Parallel()
	w := ownNode(t, postGuaranteeSchema, nil)
	ann := w.as("ann")
	ann.create("Ping", `{}`)
	id := ann.create("Thing", `{"n":0}`)
	ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/n","value":1}]`, id))
	stopped := func(rule string) (runs []value) {
		for _, r := range w.runs(rule) {
			if r.str("state") == "stopped" {
				runs = append(runs, r)
			}
		}
		return runs
	}
	eventually(t, "the end of both loops", func() bool { return len(stopped("ping")) == 1 && len(stopped("itself")) == 1 })
	deep := w.root().get(w.path("/runs/" + stopped("ping")[0].str("id"))).want(200).json()
	deep.is("error.code", `"too-deep"`)
	// Eight runs in line, and the one that was stopped.
	if chain := deep.list("error.chain"); len(chain) != 9 || chain[0].str("rule") != "ping" || chain[1].str("rule") != "pong" {
		t.Errorf("the chain is %v", chain)
	}
	if n := len(w.runs("ping")) + len(w.runs("pong")); n != 9 {
		t.Errorf("%d runs", n)
	}
	loop := w.root().get(w.path("/runs/" + stopped("itself")[0].str("id"))).want(200).json()
	loop.is("error.code", `"loop"`)
	if chain := loop.list("error.chain"); len(chain) != 2 || chain[0].str("entity") != id {
		t.Errorf("the chain is %v", chain)
	}
	ann.object(id).json().is("body.n", "2")
}

// TestP7OperationFencing stalls the executor of an operation past its lease and
// lets it go on: what it still sends is refused.
func TestP7OperationFencing(t *testing.T) {
	t.Parallel()
	p := startPost(t, postGuaranteeSchema, 1, 2)
	server := p.servers[0]
	ann := p.user("ann")
	thing := ann.create("Thing", `{"n":0,"by":[]}`)
	// Only the workers run handlers: the server is one too many.
	server.kill()
	server.begin("--no-worker")
	id := ann.request(f(`{"operation":"steps","params":{"thing":%q}}`, thing), thing)
	by := func() []value { return ann.object(thing).want(200).json().list("body.by") }
	eventually(t, "the first step", func() bool { return len(by()) > 0 })
	// Which of the two has it, the next steps tell: the same attempt's go on where
	// the other one was stopped.
	for _, worker := range p.workers {
		process := worker.child.cmd.Process
		if err := process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		before := by()
		eventually(t, "more steps", func() bool { return len(by()) > len(before)+5 })
		now := by()
		taken := now[len(now)-1].int("") > before[len(before)-1].int("")
		if err := process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if taken {
			break
		}
	}
	ann.ended(id).is("state", `"succeeded"`)
	last, attempts := 0, 0
	for _, v := range by() {
		n := v.int("")
		if n < last {
			t.Fatalf("attempt %d wrote after attempt %d: %v", n, last, by())
		}
		if n > last {
			attempts++
		}
		last = n
	}
	if attempts < 2 {
		t.Errorf("nobody took over: %v", by())
	}
}

// TestP8OperationPrivacy looks for what an operation says on every way out, as
// somebody who may not read it.
func TestP8OperationPrivacy(t *testing.T) {
	t.Parallel()
	w := ownNode(t, postGuaranteeSchema, nil)
	w.graph = "main"
	ann, eve := w.as("ann"), w.as("eve")
	public := ann.create("Thing", `{"n":0}`)
	secret := ann.create("Secret", `{"x":1}`)
	socket := w.dial(t, "eve")
	socket.sub("s1", `"projection":{"root":{"type":"OperationRequest"}}`)
	id := ann.request(`{"operation":"private"}`, secret)
	ann.ended(id).is("state", `"succeeded"`).is("result.canary", `"CANARY-RESULT"`)
	runID := ""
	eventually(t, "the run's end", func() bool {
		l := w.root().get(w.path("/runs?rule=private")).want(200).json().list("runs")
		runID = l[0].str("id")
		return l[0].str("state") == "succeeded"
	})
	head := ann.head()
	eve.object(id).problem("not-found")
	eve.get(w.path("/runs/" + runID)).problem("not-found")
	if l := eve.get(w.path("/runs")).want(200).json().list("runs"); len(l) != 0 {
		t.Errorf("eve sees runs: %v", l)
	}
	for _, path := range []string{"/log?since=0", f("/trace/%d", head), "/objects/" + id, "/objects/" + id + "/history", "/runs", "/runs/" + runID,
		f("/objects/%s?at=%d", id, head)} {
		a := eve.get(w.path(path))
		for _, canary := range []string{"CANARY", id, runID, secret} {
			if strings.Contains(path, canary) {
				continue // her own words
			}
			if strings.Contains(string(a.body), canary) {
				t.Errorf("%s tells %s to eve: %s", path, canary, a.body)
			}
		}
	}
	for _, projection := range []string{`{"root":{"type":"OperationRequest"}}`, f(`{"root":%q,"in":{"target":{}}}`, public)} {
		if a := eve.load(projection); strings.Contains(string(a.body), id) || strings.Contains(string(a.body), "CANARY") {
			t.Errorf("a load tells eve: %s", a.body)
		}
	}
	socket.reach(head)
	if _, holds := socket.view("s1").objects[id]; holds {
		t.Error("eve's view holds the operation")
	}
}
