package systest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/graphtide/graphtide/internal/testdb"
)

// tool runs the program against the shared database.
func tool(t *testing.T, args ...string) []byte {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(bin, append(args, "--database-url", testdb.URL(t))...).Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return out
}

// TestResumingAfterAnImport has a graph imported under the eyes of sessions that had
// its name open, empty: they are sent away to come back, and what they hold counts
// for nothing. In the graph imported, whose nodes have no recent commits in memory,
// who holds an older version of it goes on from there.
func TestResumingAfterAnImport(t *testing.T) {
	t.Parallel()
	from := setup(t)
	ann := from.as("ann")
	top := ann.create("Node", `{"n":0}`)
	var ids, edges []string
	for i := range 6 {
		ids = append(ids, ann.create("Node", f(`{"n":%d}`, i)))
		edges = append(edges, ann.link("next", top, ids[i]))
	}
	then := ann.head()
	ann.commit(f(`[{"op":"replace","path":"/objects/%s/body/n","value":"changed"}]`, ids[0]))
	ann.commit(f(`[{"op":"remove","path":"/edges/%s"}]`, edges[1]))
	ann.commit(f(`[{"op":"remove","path":"/objects/%s"}]`, ids[2]))
	entered := ann.create("Node", `{}`)
	ann.link("next", top, entered)
	head := ann.head()
	archive := filepath.Join(t.TempDir(), "archive.jsonl")
	if err := os.WriteFile(archive, tool(t, "export", "--history", "--graph", from.graph), 0o600); err != nil {
		t.Fatal(err)
	}

	w := setup(t)
	other := *w
	other.url = w.other
	projection := f(`{"root":%q,"out":{"next":{}}}`, top)
	var before []*socket
	for _, on := range []*world{w, &other} {
		s := on.dial(t, "ann")
		s.sub("s1", `"projection":`+projection)
		before = append(before, s)
	}
	epoch, key := before[0].welcome.str("epoch"), before[0].view("s1").key
	tool(t, "import", archive, "--graph", w.graph)
	var after []*socket
	for i, on := range []*world{w, &other} {
		if code := before[i].closeCode(); code != 4503 {
			t.Errorf("closed with %d: the graph is there, and another one", code)
		}
		s := on.dial(t, "ann")
		if now := s.welcome.str("epoch"); now == epoch || s.welcome.int("version") != head {
			t.Fatalf("the epoch is %s, was %s, the version %d", now, epoch, s.welcome.int("version"))
		}
		s.send(f(`{"t":"sub","sub":"s1","projection":%s,"since":0,"epoch":%q,"key":%q}`, projection, epoch, key))
		s.next("load").is("reset", "true").is("version", f("%d", head))
		s.same("ann", "s1", projection)

		// A copy as of an older version, to go on from.
		old := s.sub("past", f(`"projection":%s,"at":%d`, projection, then))
		if old.key != s.view("s1").key {
			t.Errorf("the keys of one projection are %s and %s", old.key, s.view("s1").key)
		}
		again := on.dial(t, "ann")
		again.subs["s1"], again.views["held"] = "held", old
		again.send(f(`{"t":"sub","sub":"s1","projection":%s,"since":%d,"epoch":%q,"key":%q}`, projection, then, s.welcome.str("epoch"), old.key))
		m := again.next("load")
		if m.has("reset") {
			t.Errorf("the log was imported, and the whole view is sent: %s", m)
		}
		m.is("objects."+ids[1], `{"leave":"unlinked"}`).is("objects."+ids[2], `{"leave":"deleted"}`).only("objects."+entered, "enter").is("objects."+ids[0]+".was", "2").
			only("objects", ids[0]+" "+ids[1]+" "+ids[2]+" "+entered)
		again.same("ann", "s1", projection)
		after = append(after, again)
	}
	// And they follow.
	for i, s := range after {
		s.mutate(f(`[{"op":"replace","path":"/objects/%s/body/n","value":%d}]`, ids[4], 100+i))
	}
	for _, s := range after {
		s.reach(head + 2)
		s.same("ann", "s1", projection)
	}
}
