package main

import (
	"testing"
)

// Where a command would connect to tells which value won.
func TestFlagWinsOverEnvironmentOverFileOverDefault(t *testing.T) {
	t.Parallel()
	const flag, env, file = "http://127.0.0.1:2", "http://127.0.0.1:3", "http://127.0.0.1:4"
	plain := newShell(t)
	with := newShell(t)
	with.write("graphtide.yaml", "url: "+file+"\n")
	with.run("log", "--url="+flag).ends(exitFailed, "at "+flag)
	with.with("GRAPHTIDE_URL="+env).run("log", "--url="+flag).ends(exitFailed, "at "+flag)
	with.with("GRAPHTIDE_URL="+env).run("log").ends(exitFailed, "at "+env)
	with.run("log").ends(exitFailed, "at "+file)
	plain.with("GRAPHTIDE_URL="+env).run("log").ends(exitFailed, "at "+env)
	// An empty variable is none, for texts and for numbers.
	with.with("GRAPHTIDE_URL=", "GRAPHTIDE_SINCE=").run("log").ends(exitFailed, "at "+file)
	// A switch in the file can be taken back.
	with.write("graphtide.yaml", "url: "+file+"\nfollow: true\nlimit: 3\n")
	with.run("log").ends(exitFailed, "at "+file+"/v1/graphs/main/log?since=0&limit=3 ")
	with.with("GRAPHTIDE_LIMIT=4").run("log").ends(exitFailed, "limit=4 ")
}

func TestFilesAreFoundByNameFlagAndVariable(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	sh.write("graphtide.yaml", "graph: here\nurl: http://127.0.0.1:1\n")
	other := sh.write("other.yaml", "graph: there\nurl: http://127.0.0.1:1\n")
	third := sh.write("third.yaml", "graph: third\nurl: http://127.0.0.1:1\n")
	sh.run("log").ends(exitFailed, "/graphs/here/")
	sh.run("log", "--config", other).ends(exitFailed, "/graphs/there/")
	sh.run("--config="+other, "log").ends(exitFailed, "/graphs/there/")
	sh.with("GRAPHTIDE_CONFIG="+third).run("log").ends(exitFailed, "/graphs/third/")
	sh.with("GRAPHTIDE_CONFIG="+third).run("log", "--config", other).ends(exitFailed, "/graphs/there/")
	sh.with("GRAPHTIDE_CONFIG="+sh.dir+"/missing").run("log").ends(exitUsage, "missing")
}

func TestKeysMayNestAndHoldLists(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	sh.write("graphtide.yaml", `
# what serve gets
log: {format: json, level: debug}
database:
  url: postgres://127.0.0.1:1/app
jwt_secret: s
redis-url: # nothing
allowed-origins: [https://a.example, ftp://b.example]
`)
	sh.run("serve").ends(exitUsage, "ftp://b.example")
	sh.run("serve", "--allowed-origins=https://a.example").ends(exitFailed, "database")
}

func TestWrongKeysAreRefusedWithARemedy(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"databse-url: x":                      "unknown key databse-url: did you mean database-url?",
		"log: {fromat: json}":                 "unknown key log-fromat: did you mean log-format?",
		"secret: x":                           "unknown key secret: did you mean jwt-secret?",
		"colour: x":                           "unknown key colour: keys are the names of flags",
		"help: true":                          "unknown key help",
		"config: other.yaml":                  "unknown key config",
		"poll: soon":                          "graphtide.yaml sets poll too",
		"log-level: loud":                     "log-level",
		"listen: [":                           "graphtide.yaml",
		"- listen":                            "graphtide.yaml",
		"listen: 1\nlisten: 2":                "listen",
		"log-level: info\nlog: {level: info}": "twice",
	} {
		sh := newShell(t)
		sh.write("graphtide.yaml", text+"\n")
		sh.run("serve", "--database-url=postgres://127.0.0.1:1/x", "--jwt-secret=s").ends(exitUsage, want).silent()
	}
}
