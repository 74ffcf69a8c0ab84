package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// model gives the parser without its surroundings.
func model(t *testing.T) *kong.Kong {
	t.Helper()
	parser, err := kong.New(&cli{}, append(options(), kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) {}))...)
	if err != nil {
		t.Fatal(err)
	}
	return parser
}

// commands gives the words of every command: {"dev"}, {"schema", "check"}, …
func commands(t *testing.T) [][]string {
	var all [][]string
	for _, leaf := range model(t).Model.Leaves(true) {
		all = append(all, strings.Fields(strings.TrimPrefix(leaf.FullPath(), "graphtide ")))
	}
	if len(all) < 18 {
		t.Fatalf("only %d commands", len(all))
	}
	return all
}

// plus appends to a copy.
func plus(words []string, more ...string) []string {
	return append(append([]string{}, words...), more...)
}

func TestEveryCommandRefusesUnknownFlags(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	for _, words := range commands(t) {
		sh.run(plus(words, "--no-such-flag")...).ends(exitUsage, "--no-such-flag", "Try: graphtide "+strings.Join(words, " ")+" --help").silent()
	}
	here(t, "no-such-command").ends(exitUsage, "no-such-command", "Try: graphtide --help").silent()
	here(t, "schema").ends(exitUsage, "check", "apply").silent()
	here(t, "lod").ends(exitUsage, "did you mean", `"load"`).silent()
}

func TestWrongUseEndsWithStatus2(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	serve := []string{"serve", "--database-url=postgres://db/x", "--jwt-secret=s"}
	worker := []string{"worker", "--database-url=postgres://db/x"}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"serve", "--database-url=postgres://db/x"}, "no key to check tokens with"},
		{[]string{"serve", "--jwt-secret=s"}, "--database-url"},
		{plus(serve, "--listen=7420"), "host:port"},
		{plus(serve, "--listen=localhost:http2"), "no port"},
		{plus(serve, "--listen=localhost:70000"), "no port"},
		{plus(serve, "--redis-url=http://cache"), "redis://"},
		{plus(serve, "--allowed-origins=*"), "scheme://host"},
		{plus(serve, "--allowed-origins=https://a.example/"), "scheme://host"},
		{plus(serve, "--rate=-1"), "--rate"},
		{plus(serve, "--rate=much"), "--rate"},
		{plus(serve, "--poll=0s"), "--poll"},
		{plus(serve, "--poll=5"), "--poll"},
		{plus(serve, "--max-operations=0"), "--max-operations"},
		{plus(serve, "--max-view-entities=-1"), "--max-view-entities"},
		{plus(serve, "--max-message-bytes=-1"), "--max-message-bytes"},
		{plus(serve, "--concurrency=-1"), "--concurrency"},
		{plus(serve, "--public-url=example.com"), "--public-url"},
		{plus(serve, "--jwks-url=file:///etc/keys"), "--jwks-url"},
		{plus(serve, "--schema="+missing), "missing"},
		{plus(serve, "--log-level=loud"), "--log-level"},
		{plus(serve, "surplus"), "surplus"},
		{[]string{"worker"}, "--database-url"},
		{plus(worker, "--redis-url=redis://cache/x"), "redis://"},
		{plus(worker, "--max-touched=0"), "--max-touched"},
		{[]string{"dev", "--listen=0.0.0.0:7420"}, "this machine alone"},
		{[]string{"dev", "--listen=:7420"}, "this machine alone"},
		{[]string{"dev", "--listen=192.0.2.7:7420"}, "this machine alone"},
		{[]string{"dev", "--listen=localhost.example.com:7420"}, "this machine alone"},
		{[]string{"dev", "--listen=7420"}, "host:port"},
		{[]string{"dev", "--schema=" + missing}, "missing"},
		{[]string{"dev", "--database-url=postgres://db:x/y"}, "--database-url"},
		{[]string{"dev", "--rate=-1"}, "--rate"},
		{[]string{"migrate"}, "--database-url"},
		{[]string{"migrate", "--database-url=postgres://db:x/y"}, "--database-url"},
		{[]string{"verify"}, "--database-url"},
		{[]string{"doctor", "surplus"}, "surplus"},
		{[]string{"schema", "check", missing}, "missing"},
		{[]string{"schema", "types", missing}, "missing"},
		{[]string{"schema", "diff", missing}, "missing"},
		{[]string{"schema", "apply", missing}, "missing"},
		{[]string{"schema", "check"}, "app.yaml"}, // the default, which is not there
		{[]string{"token", "--jwt-secret=s"}, "--user"},
		{[]string{"token", "--user=ann"}, "--jwt-secret"},
		{[]string{"token", "--user=ann", "--jwt-secret=s", "--ttl=0s"}, "lifetime"},
		{[]string{"token", "--user=ann", "--jwt-secret=s", "--ttl=soon"}, "--ttl"},
		{[]string{"load", missing}, "missing"},
		{[]string{"load", "--at=now"}, "--at"},
		{[]string{"patch", missing}, "missing"},
		{[]string{"patch", "a.json", "b.json"}, "b.json"},
		{[]string{"log", "--since=-1"}, "--since"},
		{[]string{"log", "--since=x"}, "--since"},
		{[]string{"log", "--url=localhost:7420"}, "--url"},
		{[]string{"history"}, "<id>"},
		{[]string{"history", "x", "--limit=0"}, "--limit"},
		{[]string{"trace"}, "<version>"},
		{[]string{"trace", "last"}, "<version>"},
		{[]string{"rules", "pause"}, "<rule>"},
		{[]string{"rules", "test", "x"}, "<version>"},
		{[]string{"rules", "test", "x", "last"}, "last"},
		{[]string{"revert"}, "say what to undo"},
		{[]string{"revert", "3", "--mutation=x"}, "say what to undo"},
		{[]string{"revert", "three"}, "three"},
		{[]string{"version", "surplus"}, "surplus"},
		{[]string{"log", "--config=" + missing}, "missing"},
		{[]string{"log", "--config"}, "--config"},
	} {
		here(t, c.args...).ends(exitUsage, "graphtide: ", c.want).silent()
	}
}

func TestWithoutAServerCommandsEndWithStatus1(t *testing.T) {
	t.Parallel()
	sh := newShell(t).with("GRAPHTIDE_URL=http://127.0.0.1:1").in("[]")
	sh.write("app.yaml", noteSchema)
	for _, args := range [][]string{
		{"load"}, {"patch"}, {"patch", "--dry-run"}, {"log"}, {"log", "--follow"}, {"history", "x"}, {"trace", "1"}, {"trace", "1", "--tree"}, {"revert", "1"},
		{"rules"}, {"rules", "map"}, {"rules", "pause", "x"}, {"rules", "test", "x", "1"}, {"rules", "replay", "x", "--from=1"},
		{"schema", "apply"}, {"schema", "apply", "--dry-run"}, {"schema", "diff"},
	} {
		sh.run(args...).ends(exitFailed, "no server answers at http://127.0.0.1:1/", "graphtide dev").silent()
	}
}

func TestPeopleAskForHelpInTheirOwnWays(t *testing.T) {
	t.Parallel()
	top := here(t).ends(exitOK).says("Usage: graphtide <command>", "Exit status", "GRAPHTIDE_DATABASE_URL").stdout
	for _, args := range [][]string{{"help"}, {"--help"}, {"-h"}} {
		if got := here(t, args...).ends(exitOK).stdout; got != top {
			t.Errorf("graphtide %v prints another help than graphtide alone", args)
		}
	}
	for _, words := range commands(t) {
		if !strings.Contains(top, "  "+strings.Join(words, " ")+" ") {
			t.Errorf("the help does not list %v", words)
		}
	}
	here(t, "help", "no-such-command").ends(exitUsage, "no-such-command")
	if a, b := here(t, "help", "schema", "apply").ends(exitOK).stdout, here(t, "schema", "apply", "--help").ends(exitOK).stdout; a != b || !strings.Contains(a, "Usage: graphtide schema apply") {
		t.Errorf("help of a command differs:\n%s\n%s", a, b)
	}
	if a, b := here(t, "version").ends(exitOK).stdout, here(t, "--version").ends(exitOK).stdout; a != b || !strings.HasPrefix(a, "graphtide ") {
		t.Errorf("versions %q and %q", a, b)
	}
}

// exampleLine finds the command in a line of a help's example.
var exampleLine = regexp.MustCompile(`graphtide((?: |'[^'\n]*'|[^|>#)'\n])*)`)

// Examples that do not work teach the wrong thing.
func TestHelpTeachesByExamplesThatParse(t *testing.T) {
	t.Parallel()
	parser := model(t) // which forgets at each parsing what the one before said
	for _, leaf := range parser.Model.Leaves(true) {
		if leaf.Name == "version" {
			continue
		}
		_, examples, ok := strings.Cut(leaf.Detail, "\nExample")
		if !ok || len(leaf.Help) < 10 {
			t.Errorf("the help of %s has no example", leaf.FullPath())
			continue
		}
		lines := exampleLine.FindAllStringSubmatch(examples, -1)
		own := 0
		for _, m := range lines {
			if strings.HasPrefix("graphtide"+m[1], leaf.FullPath()) {
				own++
			}
			_, err := parser.Parse(shellWords(m[1]))
			// What an example takes from the environment is missing here.
			if err != nil && !strings.Contains(err.Error(), "missing flags") && !strings.Contains(err.Error(), "no key to check") {
				t.Errorf("the example %q of %s: %v", m[0], leaf.FullPath(), err)
			}
		}
		if own == 0 {
			t.Errorf("no example of %s shows it:%s", leaf.FullPath(), examples)
		}
	}
}

func shellWords(line string) []string {
	var words []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}

// A help shows defaults, and a value from the environment looks like one.
func TestHelpPrintsNoSecrets(t *testing.T) {
	const canary = "c4n4ry"
	var secrets []string
	eachFlag(model(t).Model.Node, func(_ *kong.Node, f *kong.Flag) {
		if f.Target.Kind() == reflect.String && !f.HasDefault {
			secrets = append(secrets, f.Envs...) // among them every secret there is
		}
	})
	for _, name := range secrets {
		if name != envPrefix+"_CONFIG" {
			t.Setenv(name, canary)
		}
	}
	for _, words := range commands(t) {
		if r := here(t, plus(words, "--help")...).ends(exitOK); strings.Contains(r.stdout+r.stderr, canary) {
			t.Errorf("the help of %v prints a variable's value:\n%s", words, r.stdout)
		}
	}
}

// What stands in the environment or in a file is nobody's to read in an error or
// a log.
func TestSecretsAreNeverPrinted(t *testing.T) {
	t.Parallel()
	const canary = "c4n4ry"
	sh := newShell(t,
		"GRAPHTIDE_JWT_SECRET="+canary, "GRAPHTIDE_TOKEN="+canary,
		"GRAPHTIDE_DATABASE_URL=postgres://app:"+canary+"@127.0.0.1:1/app",
		"GRAPHTIDE_REDIS_URL=redis://:"+canary+"@127.0.0.1:1/0")
	sh.write("graphtide.yaml", "token: "+canary+"\njwt-secret: "+canary+"\n")
	sh.write("app.yaml", noteSchema)
	look := func(r result) {
		t.Helper()
		if strings.Contains(r.stdout+r.stderr, canary) {
			t.Errorf("graphtide %s prints a secret:\n%s%s", strings.Join(r.args, " "), r.stdout, r.stderr)
		}
	}
	look(sh.run("log", "--url=http://127.0.0.1:1").ends(exitFailed, "no server"))
	look(sh.run("log", "--url=http://ann:"+canary+"@127.0.0.1:1").ends(exitFailed, "no server"))
	look(sh.run("log", "--url=ann:"+canary+"@127.0.0.1:1").ends(exitUsage, "--url"))
	look(sh.run("serve", "--log-level=debug").ends(exitFailed, "database"))
	look(sh.run("worker", "--log-level=debug").ends(exitFailed, "database"))
	look(sh.run("migrate").ends(exitFailed, "database"))
	look(sh.run("verify").ends(exitFailed, "database"))
	look(sh.run("doctor", "--jwks-url=http://ann:"+canary+"@127.0.0.1:1/").ends(exitFailed, "wrong"))
	look(sh.with("GRAPHTIDE_DATABASE_URL=postgres://app:"+canary+"@db:port/app").run("migrate").ends(exitUsage, "--database-url"))
	look(sh.with("GRAPHTIDE_REDIS_URL=redis://:"+canary+"@cache host:port").run("worker").ends(exitUsage, "--redis-url"))
	look(sh.with("GRAPHTIDE_REDIS_URL=redis://:"+canary+"@cache:port").run("worker").ends(exitUsage, "--redis-url"))
	look(sh.run("serve", "--jwks-url=ann:"+canary+"@issuer").ends(exitUsage, "--jwks-url"))
}

func TestTokensHoldWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	sh := newShell(t, "GRAPHTIDE_JWT_SECRET=some secret that is long enough!")
	text := sh.run("token", "--user=ann", "--team=a", "--team=b", "--org=o", "--graph=main", "--graph=t-*", "--admin", "--ttl=10m", "--jwt-issuer=me", "--jwt-audience=you").ends(exitOK).stdout
	parts := strings.Split(strings.TrimSpace(text), ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %q", text)
	}
	var got map[string]any
	if err := json.Unmarshal(unbase64(t, parts[1]), &got); err != nil {
		t.Fatal(err)
	}
	if ttl := got["exp"].(float64) - got["iat"].(float64); ttl != 600 {
		t.Errorf("it is good for %v s", ttl)
	}
	delete(got, "exp")
	delete(got, "iat")
	claims, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"admin":true,"aud":"you","graphs":["main","t-*"],"iss":"me","org":"o","sub":"ann","teams":["a","b"]}`; string(claims) != want {
		t.Errorf("claims %s\nwant   %s", claims, want)
	}
}

// A pipe that nobody reads any more must not look like success.
func TestOutputThatCannotBeWrittenIsAFailure(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		full, err = os.Open(os.DevNull) // not open for writing
	}
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	a := &app{ctx: t.Context(), hurry: context.Background(), stdin: strings.NewReader(""), stdout: full, stderr: io.Discard}
	if got := a.run([]string{"version"}); got != exitFailed {
		t.Errorf("status %d", got)
	}
}
