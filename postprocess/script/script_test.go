package script

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/graphtide/graphtide/graph"
)

func TestMain(m *testing.M) {
	// The clock of the expression engine stops by itself a while after the last match.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/dlclark/regexp2/v2.runClock"))
}

// fakeGraph records patches and knows one object.
type fakeGraph struct {
	mu      sync.Mutex
	patches []string
	keys    []string
}

func (f *fakeGraph) Get(_ context.Context, id string) (json.RawMessage, error) {
	switch id {
	case "known":
		return json.RawMessage(`{"id":"known","type":"T","body":{"n":1},"meta":{"version":3}}`), nil
	case "secret":
		return nil, errors.New("password=hunter2")
	}
	return json.RawMessage("null"), nil
}

func (f *fakeGraph) Load(_ context.Context, p json.RawMessage) (json.RawMessage, error) {
	return json.RawMessage(`{"asked":` + string(p) + `}`), nil
}

func (f *fakeGraph) Patch(_ context.Context, p json.RawMessage, key string) (json.RawMessage, error) {
	if strings.Contains(string(p), "refuse") {
		return nil, graph.Errf(graph.CodeTestFailed, "it does not hold").At("/x")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.patches = append(f.patches, string(p))
	f.keys = append(f.keys, key)
	return json.RawMessage(`{"version":7}`), nil
}

type fakeOperation struct {
	told      []string
	cancelled bool
}

func (f *fakeOperation) Status(_ context.Context, m string, p *float64) error {
	if p != nil {
		m += " " + strings.TrimRight(strings.TrimRight(jsonOf(*p), "0"), ".")
	}
	f.told = append(f.told, "status "+m)
	return nil
}
func (f *fakeOperation) Warn(_ context.Context, m string) error {
	f.told = append(f.told, "warn "+m)
	return nil
}
func (f *fakeOperation) Fail(_ context.Context, m string) error {
	f.told = append(f.told, "fail "+m)
	return nil
}
func (f *fakeOperation) Complete(_ context.Context, r, p json.RawMessage) error {
	f.told = append(f.told, "complete "+string(r)+" "+string(p))
	return nil
}
func (f *fakeOperation) Cancelled() bool         { return f.cancelled }
func (f *fakeOperation) Params() json.RawMessage { return json.RawMessage(`{"project":"X"}`) }

func jsonOf(v any) string { b, _ := json.Marshal(v); return string(b) }

func runScript(t *testing.T, name, src string) (string, error) {
	t.Helper()
	p, err := Compile(name, src)
	if err != nil {
		t.Fatalf("compile: %v", err)
	}
	out, err := p.Run(t.Context(), json.RawMessage(`{"run":"r","before":{"body":{"n":1}}}`), &fakeGraph{}, nil, Limits{})
	return string(out), err
}

func TestHandlersMayBeWrittenInEveryShape(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ file, src, want string }{
		"plain function":     {"a.js", `export default function (event) { return {patch: [event.before.body.n]} }`, `{"patch":[1]}`},
		"async":              {"a.js", `export default async (event, graph) => (await graph.get('known')).body`, `{"n":1}`},
		"get without await":  {"a.js", `export default (event, graph) => graph.get('known').meta.version`, `3`},
		"absent is null":     {"a.js", `export default (event, graph) => graph.get('other')`, `null`},
		"nothing returned":   {"a.js", `export default () => {}`, ``},
		"typescript":         {"a.ts", `interface E { run: string }; export default function (e: E): string { return e.run as string }`, `"r"`},
		"named then default": {"a.js", `function f() { return 5 }; export { f as default }`, `5`},
		"sleep awaited":      {"a.js", `export default async () => { await sleep(1); await Promise.all([sleep(1), sleep(-1)]); return 'ok' }`, `"ok"`},
		"sleep in sync":      {"a.js", `export default () => { sleep(1); return 'ok' }`, `"ok"`},
		"modern syntax":      {"a.js", `class A { #x = 2; get x() { return this.#x ?? 0 } }; export default () => new A()?.x ** 2`, `4`},
		"load":               {"a.js", `export default (e, graph) => graph.load({root: 'x'}).asked.root`, `"x"`},
		"refusal has a code": {"a.js", `export default (e, graph) => { try { graph.patch(['refuse']) } catch (x) { return [x.code, x.problem.path] } }`, `["test-failed","/x"]`},
		"inner faults are private": {"a.js", `export default (e, graph) => { try { graph.get('secret') } catch (x) { return [x.code, /hunter2/.test(x.message)] } }`,
			`["internal",false]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := runScript(t, c.file, c.src)
			if err != nil || got != c.want {
				t.Fatalf("got %s, %v; want %s", got, err, c.want)
			}
		})
	}
}

func TestPatchesAreNumberedByTheCallerOrKeyed(t *testing.T) {
	t.Parallel()
	p, err := Compile("a.js", `export default async (e, g) => { await g.patch([1]); await g.patch([2], {key: 'k'}) }`)
	if err != nil {
		t.Fatal(err)
	}
	g := &fakeGraph{}
	if _, err := p.Run(t.Context(), json.RawMessage(`{}`), g, nil, Limits{}); err != nil {
		t.Fatal(err)
	}
	if jsonOf(g.patches) != `["[1]","[2]"]` || jsonOf(g.keys) != `["","k"]` {
		t.Fatalf("patches %v keys %v", g.patches, g.keys)
	}
}

func TestOperationsReportThroughTheEvent(t *testing.T) {
	t.Parallel()
	p, err := Compile("a.js", `export default async ({operation: op}) => {
		await op.status('half ' + op.params.project, 0.5); op.warn('careful'); if (op.cancelled) op.fail('stopped')
		await op.complete({n: 1}, [{op: 'add'}]) }`)
	if err != nil {
		t.Fatal(err)
	}
	op := &fakeOperation{cancelled: true}
	if _, err := p.Run(t.Context(), json.RawMessage(`{}`), &fakeGraph{}, op, Limits{}); err != nil {
		t.Fatal(err)
	}
	want := `["status half X 0.5","warn careful","fail stopped","complete {\"n\":1} [{\"op\":\"add\"}]"]`
	if jsonOf(op.told) != want {
		t.Fatalf("told %s, want %s", jsonOf(op.told), want)
	}
}

func TestNothingButTheArgumentsIsReachable(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"fetch", "XMLHttpRequest", "process", "require", "Deno", "setTimeout", "WebAssembly", "console", "BigInt"} {
		got, err := runScript(t, "a.js", `const req = typeof `+name+`; export default () => req`)
		if name == "require" { // there is one, and it refuses
			_, err = runScript(t, "a.js", `import fs from 'fs'; export default () => fs.readFileSync('/etc/passwd')`)
			if err == nil || !strings.Contains(err.Error(), "one file") {
				t.Fatalf("import gave %v", err)
			}
			continue
		}
		if err != nil || got != `"undefined"` {
			t.Errorf("%s is %s, %v", name, got, err)
		}
	}
}

func TestRunsShareNothing(t *testing.T) {
	t.Parallel()
	p, err := Compile("a.js", `globalThis.n = (globalThis.n || 0) + 1; Array.prototype.evil = 1; export default () => globalThis.n`)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		got, err := p.Run(t.Context(), json.RawMessage(`{}`), &fakeGraph{}, nil, Limits{})
		if err != nil || string(got) != "1" {
			t.Fatalf("got %s, %v", got, err)
		}
	}
}

func TestTimeIsBounded(t *testing.T) {
	t.Parallel()
	over := errors.New("over")
	for name, src := range map[string]string{
		"infinite loop":       `export default () => { for (;;) ; }`,
		"loop in a promise":   `export default async () => { await null; for (;;) ; }`,
		"catch does not help": `export default () => { for (;;) { try { for (;;) ; } catch {} finally { continue } } }`,
		"long sleep":          `export default async () => { await sleep(1e9) }`,
		"sleep for ever":      `export default async () => { for (;;) { try { await sleep(1e9) } catch {} } }`,
		"endless jobs":        `export default async () => { const f = () => Promise.resolve().then(f); await f() }`,
		"at load":             `for (;;) ; export default () => {}`,
		"endless getter":      `export default () => ({ get a () { for (;;) ; } })`,
		"endless text":        `export default (e, graph) => graph.get({ toString () { for (;;) ; } })`,
		"endless reason":      `export default async () => { throw { get stack () { for (;;) ; } } }`,
		"endless then":        `export default async () => ({ then () { for (;;) ; } })`,
		"endless sort":        `export default () => { const a = [3, 1, 2]; for (;;) a.sort(() => Math.random() - 0.5) }`,
		"endless places":      `export default () => { for (;;) [].forEach.call({ length: 9 }, () => {}) }`,
		"endless proxy":       `export default () => { const p = new Proxy({}, { get: () => p.x }); for (;;) { try { p.x } catch {} } }`,
		"endless toJSON":      `export default () => ({ toJSON () { for (;;) ; } })`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := Compile("a.js", src)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeoutCause(t.Context(), 60*time.Millisecond, over)
			defer cancel()
			if _, err := p.Run(ctx, json.RawMessage(`{}`), &fakeGraph{}, nil, Limits{}); !errors.Is(err, over) {
				t.Fatalf("ended with %v", err)
			}
		})
	}
}

func TestAPromiseThatNothingSettlesEndsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := runScript(t, "a.js", `export default () => new Promise(() => {})`)
	var mine *Error
	if !errors.As(err, &mine) || !strings.Contains(mine.Message, "settle") {
		t.Fatalf("ended with %v", err)
	}
}

func TestWhateverIsThrownIsDescribed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ src, message, where string }{
		"error":             {`() => { throw new TypeError('no way') }`, "TypeError: no way", "at a_default (a.js:1:"},
		"error in async":    {`async () => { throw new Error('no way') }`, "Error: no way", "(a.js:1:"},
		"lines":             {`() => { throw new Error('no\nat all') }`, "Error: no\nat all", "(a.js:1:"},
		"object":            {`() => { throw {a: 1} }`, `{"a":1}`, "(a.js:1:"},
		"rejected object":   {`() => Promise.reject({a: [1]})`, `{"a":[1]}`, ""},
		"cycle":             {`() => { const o = {}; o.o = o; throw o }`, "[object Object]", "(a.js:1:"},
		"large":             {`() => { throw {a: 'x'.repeat(9000)} }`, `{"a":"` + strings.Repeat("x", 2042) + "…", ""},
		"text":              {`() => { throw 'oh' }`, "oh", "(a.js:1:"},
		"nothing":           {`() => { throw null }`, "null", "(a.js:1:"},
		"text of its own":   {`() => { throw {toString: () => 'mine'} }`, "mine", "(a.js:1:"},
		"no text":           {`() => { throw {toString () { throw 1 }} }`, "an exception that cannot be described", ""},
		"recursion":         {`() => { const f = () => 1 + f(); return f() }`, "the script called itself too deeply", "at f (a.js:1:"},
		"recursion, async":  {`async () => { const f = () => 1 + f(); return f() }`, "the script called itself too deeply", "at f (a.js:1:"},
		"text that recurs":  {`() => { const f = () => 1 + f(); throw {toString: f} }`, "an exception that cannot be described", ""},
		"no default export": {`1`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := runScript(t, "a.js", "export default "+c.src)
			var mine *Error
			if !errors.As(err, &mine) {
				t.Fatalf("ended with %v", err)
			}
			if name != "no default export" && mine.Message != c.message || !strings.Contains(mine.Where, c.where) {
				t.Errorf("got %q, %q; want %q, %q", mine.Message, mine.Where, c.message, c.where)
			}
			if strings.Contains(mine.Message, "a.js") || len(mine.Where) > 2100 {
				t.Errorf("the message is %q, %q", mine.Message, mine.Where)
			}
		})
	}
}

func TestFailuresSayWhere(t *testing.T) {
	t.Parallel()
	_, err := runScript(t, "handlers/a.ts", "export default async function (e: unknown) {\n\n  throw new Error('no way')\n}")
	if err == nil || !strings.Contains(err.Error(), "no way") || !strings.Contains(err.Error(), "handlers/a.ts:3") {
		t.Fatalf("got %v", err)
	}
	if _, err := Compile("handlers/b.js", "export default function (\n  let"); err == nil || !strings.Contains(err.Error(), "handlers/b.js:2") {
		t.Fatalf("compile gave %v", err)
	}
	if _, err := runScript(t, "c.js", "export const x = 1"); err == nil || !strings.Contains(err.Error(), "export default") {
		t.Fatalf("got %v", err)
	}
	if _, err := runScript(t, "d.js", "export default () => 2n ** 1000000000n"); err == nil || !strings.Contains(err.Error(), "BigInt") {
		t.Fatalf("a BigInt gave %v", err)
	}
}

// Not parallel: the guard looks at the heap of the whole process.
func TestMemoryIsBounded(t *testing.T) {
	for name, src := range map[string]string{
		"growing list":     `export default () => { const a = []; for (;;) a.push(new Array(1e5).fill('x')) }`,
		"doubling string":  `export default () => { let s = 'x'; for (;;) s += s }`,
		"recursion":        `export default () => { const f = n => f(n + 1) + 1; return f(0) }`,
		"repeat":           `export default () => 'x'.repeat(2 ** 29)`,
		"array buffer":     `export default () => new ArrayBuffer(2 ** 33).byteLength`,
		"typed array":      `export default () => new Float64Array(2 ** 30).length`,
		"array by apply":   `export default () => Array(2 ** 31).fill(0).length`,
		"array by its own": `export default () => new ([].constructor)(2 ** 31).fill(0).length`,
		"sparse join":      `export default () => { const a = []; a.length = 2 ** 32 - 1; return a.join('x').length }`,
		"from length":      `export default () => Array.from({length: 2 ** 32}).length`,
		"padding":          `export default () => 'x'.padEnd(2 ** 30).length`,
		"join of one":      `export default () => new Array(1000).fill('x'.repeat(2e6)).join('').length`,
		"join of lists":    `export default () => new Array(1000).fill(['x'.repeat(2e6)]).join('').length`,
		"text of a list":   `export default () => String(new Array(1000).fill('x'.repeat(2e6))).length`,
		"replace":          `export default () => 'aaa'.replace(/a/g, 'b'.repeat(1e6)).length`,
		"replaceAll":       `export default () => 'a'.repeat(2e4).replaceAll('a', 'b'.repeat(1e6)).length`,
		"replace by call":  `export default () => { const b = 'b'.repeat(1e6); return 'aaa'.replace(/a/g, () => b).length }`,
		"template":         "export default () => 'a'.repeat(2e4).replace(/a/g, \"$`$'\").length",
		"template at once": `export default () => 'a'.repeat(2e4).replace('a', "$&$'".repeat(1e4)).length`,
		"own method":       `export default () => RegExp.prototype[Symbol.replace].call(/a/g, 'aaa', 'b'.repeat(1e6)).length`,
		"concat":           `export default () => { const s = 'x'.repeat(1e6); return ''.concat(...new Array(1000).fill(s)).length }`,
		"concat of lists":  `export default () => { const a = new Array(1e5).fill(0); return [].concat(...new Array(1500).fill(a)).length }`,
		"flat":             `export default () => new Array(1e5).fill(new Array(1e5).fill(0)).flat().length`,
		"flatMap":          `export default () => { const a = []; a.length = 3e6; return [1, 2].flatMap(() => a).length }`,
		"stringify":        `export default () => JSON.stringify(new Array(1000).fill('x'.repeat(2e6))).length`,
		"stringify spaced": `export default () => { let a = []; for (let i = 0; i < 1500; i++) a = [a]; return JSON.stringify(new Array(5000).fill(a), null, 10).length }`,
		"raw":              `export default () => String.raw({raw: new Array(1000).fill('x'.repeat(2e6))}).length`,
		"typed join":       `export default () => new Uint8Array(1e6).join('x'.repeat(1e5)).length`,
		"sorted copy":      `export default () => [].toSorted.call({length: 2 ** 31}).length`,
		"reversed copy":    `export default () => [].toReversed.call({length: 2 ** 31}).length`,
		"spliced copy":     `export default () => [].toSpliced.call({length: 2 ** 31}).length`,
		"changed copy":     `export default () => [].with.call({length: 2 ** 31}, 0, 1).length`,
		"arguments":        `export default () => Math.max.apply(null, {length: 2 ** 30})`,
		"more arguments":   `export default () => Reflect.apply(Math.max, null, {length: 2 ** 30})`,
		"arguments of new": `export default () => Reflect.construct(Set, {length: 2 ** 30})`,
		"names of a proxy": `export default () => Object.keys(new Proxy({}, {ownKeys: () => ({length: 2 ** 31})}))`,
		"places":           `export default () => [...[].keys.call({length: 2 ** 31})].length`,
		"places of a list": `export default () => { const a = []; a.length = 2 ** 32 - 1; return [...a].length }`,
		"sparse answer":    `export default () => { const a = []; a.length = 2 ** 32 - 1; return a }`,
		"repeated answer":  `export default () => { let a = 'x'.repeat(5e5); for (let i = 0; i < 20; i++) a = [a, a]; return a }`,
		"names of a list":  `export default () => Object.keys(new Uint8Array(2e6)).length`,
		"text to list":     `export default () => [...'x'.repeat(2e6)].length`,
		"parse":            `export default () => JSON.parse('[' + '{},'.repeat(5e5) + '1]').length`,
		"deep parse":       `export default () => JSON.parse('['.repeat(1e5) + ']'.repeat(1e5)).length`,
		"split":            `export default () => { const s = 'x'.repeat(1e6); return [s.split(''), s.split('')].length }`,
		"large answer":     `export default () => { const s = 'x'.repeat(2e6); return s + s + s }`,
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Compile("a.js", src)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err = p.Run(ctx, json.RawMessage(`{}`), &fakeGraph{}, nil, Limits{Memory: 16 << 20})
			var mine *Error
			if !errors.Is(err, ErrMemory) && !errors.As(err, &mine) {
				t.Fatalf("ended with %v", err)
			}
		})
	}
}

// Places that are not there are gone through as well, and in one step.
func TestStepsOverNothingAreBounded(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"every", "some", "forEach", "filter", "map", "reduce", "reduceRight", "find", "findIndex", "findLast", "findLastIndex",
		"indexOf", "includes", "lastIndexOf", "reverse", "copyWithin", "shift", "unshift", "join"} {
		_, err := runScript(t, "a.js", `export default () => [].`+name+`.call({length: 2 ** 50}, () => true, 1)`)
		var mine *Error
		if !errors.As(err, &mine) || !strings.Contains(mine.Message, "at once") {
			t.Errorf("%s ended with %v", name, err)
		}
	}
}

// A source that is nested deeply enough ends the process that reads it, and
// nothing could stop that.
func TestNoCodeIsMadeFromText(t *testing.T) {
	t.Parallel()
	for _, src := range []string{`eval('1')`, `(0, eval)('1')`, `Function('return 1')()`, `new Function('return 1')()`, `(() => 1).constructor('return 1')()`,
		`(async () => 1).constructor('return 1')()`, `(function * () {}).constructor('yield 1')()`, `Reflect.construct(Object.getPrototypeOf(() => 1).constructor, ['return 1'])()`} {
		if out, err := runScript(t, "a.js", `export default () => `+src); err == nil {
			t.Errorf("%s gave %s", src, out)
		}
	}
}

// What bounds the language's own steps must not change what they do; the wanted
// values are those of another engine (V8).
func TestBoundedStepsDoWhatTheLanguageSays(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		`['a', null, undefined, [1, [2]], {}].join('-')`: `"a---1,2-[object Object]"`,
		`[1, 2].join()`: `"1,2"`,
		`(() => { const a = [1]; a.push(a); return a.join() })()`:                                   `"1,"`,
		`String([1, [2, 3]]) + [].toString()`:                                                       `"1,2,3"`,
		`Array.prototype.join.call({length: 2, 0: 'x', 1: 'y'}, '')`:                                `"xy"`,
		`'abc'.concat(1, null, [2])`:                                                                `"abc1null2"`,
		`'a.b.c'.replace('.', '$$')`:                                                                `"a$b.c"`,
		`'a.b.c'.replaceAll('.', '[$&]')`:                                                           `"a[.]b[.]c"`,
		`'John Smith'.replace(/(\w+) (\w+)/, '$2, $1 $3 $01 $')`:                                    `"Smith, John $3 John $"`,
		"'abcde'.replace('c', \"<$`|$'>\")":                                                         `"ab<ab|de>de"`,
		`'2026-11'.replace(/(?<y>\d+)-(?<m>\d+)/, '$<m>/$<y>$<z>')`:                                 `"11/2026"`,
		`'abcdefghijkl'.replace(/(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(k)/, '$11$10$1')`:                   `"kjal"`,
		`'aXbX'.replace(/x/gi, (m, at, s) => m + at + s.length)`:                                    `"aX14bX34"`,
		`'ab'.replace(/(x)?b/, '[$1]')`:                                                             `"a[]"`,
		`'a-b'.split('-').concat('c', ['d', ['e']])`:                                                `["a","b","c","d",["e"]]`,
		`[1, [2, [3, [4]]]].flat()`:                                                                 `[1,2,[3,[4]]]`,
		`[1, [2, [3, [4]]]].flat(Infinity)`:                                                         `[1,2,3,4]`,
		`[1, 2].flatMap(function (v, i) { return [v, i, this.x] }, {x: 9})`:                         `[1,0,9,2,1,9]`,
		`JSON.stringify({b: 1, a: {b: [2, {a: 3, c: 4}]}, c: 5}, ['a', 'b'])`:                       `"{\"a\":{\"b\":[2,{\"a\":3}]},\"b\":1}"`,
		`JSON.stringify({a: [1, undefined], b: undefined}, null, 1)`:                                `"{\n \"a\": [\n  1,\n  null\n ]\n}"`,
		`JSON.stringify({a: 1, b: 2}, (k, v) => k === 'a' ? undefined : v)`:                         `"{\"b\":2}"`,
		`[JSON.stringify('x'), typeof JSON.stringify(undefined)]`:                                   `["\"x\"","undefined"]`,
		"String.raw`a\\n${1}b`":                                                                     `"a\\n1b"`,
		`[...'a1b2'.matchAll(/\d/g)].map(m => m[0])`:                                                `["1","2"]`,
		`Math.max.apply(null, [1, 3, 2]) + Math.max(...new Set([4, 5]))`:                            `8`,
		`Array.from(new Map([[1, 2]])).concat(Array.from({length: 1}))`:                             `[[1,2],null]`,
		`[].map.call('ab', c => c + c)`:                                                             `["aa","bb"]`,
		`[].reverse.call({length: 2, 0: 'x', 1: 'y'})`:                                              `{"0":"y","1":"x","length":2}`,
		`(function () { return [].slice.call(arguments, 1) })(1, 2, 3)`:                             `[2,3]`,
		`[...new Proxy([1, 2], {})].concat(Object.keys(new Proxy({a: 1}, {ownKeys: () => ['a']})))`: `[1,2,"a"]`,
		`[[...'ab'], [3, 1].toSorted(), [1, 2].with(0, 9), [...[5].entries()]]`:                     `[["a","b"],[1,3],[9,2],[[0,5]]]`,
		`JSON.parse('{"a":[1,"]["]}', (k, v) => v === 1 ? 2 : v)`:                                   `{"a":[2,"]["]}`,
		// A length counts as it was when it was first read.
		`(() => { let n = 0; const o = {get length () { return n++ ? 2 ** 40 : 1 }}; return Array.from(o).length })()`: `1`,
		`(() => 1) instanceof Function`:                                        `true`,
		`Uint8Array.from([1, 2]).length + new Uint8Array(new Set([1])).length`: `3`,
		`new Uint8Array([1, 2]).join('+')`:                                     `"1+2"`,
	} {
		p, err := Compile("a.js", "export default () => "+src)
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		got, err := p.Run(t.Context(), json.RawMessage(`{}`), &fakeGraph{}, nil, Limits{})
		if err != nil || string(got) != want {
			t.Errorf("%s\ngives %s %v\nwant  %s", src, got, err, want)
		}
	}
}

func TestBacktrackingExpressionsAreBounded(t *testing.T) {
	t.Parallel()
	p, err := Compile("a.js", `export default () => /^(a+)+\1$/.test('a'.repeat(40) + 'b')`)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = p.Run(ctx, json.RawMessage(`{}`), &fakeGraph{}, nil, Limits{})
	if ctx.Err() != nil {
		t.Fatalf("the expression ran on: %v", err)
	}
}

func FuzzCompileAndRun(f *testing.F) {
	f.Add(`export default () => 1`)
	f.Add(`export default async (e, g) => { for (;;) await g.get('x') }`)
	f.Add(`export default class {}`)
	f.Fuzz(func(t *testing.T, src string) {
		p, err := Compile("f.ts", src)
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		out, err := p.Run(ctx, json.RawMessage(`{}`), &fakeGraph{}, nil, Limits{Memory: 64 << 20})
		if err == nil && len(out) > 0 && !json.Valid(out) {
			t.Fatalf("the answer is not JSON: %q", out)
		}
	})
}
