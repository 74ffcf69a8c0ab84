// Package script runs handlers written in JavaScript or TypeScript inside the
// server.
//
// A script is one file that exports a function by default:
//
//	export default async function (event, graph) { … }
//
// Each run has a runtime of its own, and nothing in it but the language, the
// two arguments and a global sleep(ms): no network, no files, no timers, no
// modules, no state that outlives the run. A run ends when its context does,
// when it holds too much memory, or when it returns.
//
// The calls of graph and of event.operation wait for the server and then give
// their value, so a handler that is not async can use them; `await` before them
// does no harm.
//
// The language is what goja offers (ES2017 and most of what came after, which
// esbuild lowers); BigInt is left out, because one expression of it can take
// the processor for hours without a point at which it could be stopped.
//
// Memory and time are bounded as far as goja allows. A script is stopped between
// two steps of the language, by its context or by a guard that watches the
// process's heap while scripts run: when that has grown by more than the limit,
// the script that runs is stopped. The growth may be another's; the guard then
// errs on the side of the server, and the run is tried again.
//
// Within one step nothing can stop it. So steps whose result, or whose work, can
// be many times as large as what they are given count first and refuse more than
// an eighth of the limit, in elements or characters (a sixteenth of that where
// each makes an object); see prelude.js. They see lengths as they were when they
// were first read. Code is not made from text, since to read a source is such a
// step: eval and the constructors of functions are left out.
//
// What remains: one step may hold a few times the limit for as long as it takes;
// a step that goes through as many places as are allowed takes seconds. When it
// does not end within the grace the run is given up, and its goroutine ends with
// the step. To compile a source is not bounded: whoever may put a schema could
// nest one deeply enough to end the process, and is trusted not to.
package script
