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
// Memory is bounded as far as goja allows: the operations that can ask for any
// amount in one step refuse more than the limit, the call stack has a depth,
// and a guard watches the process's heap while scripts run and stops the
// script that runs when the heap has grown by more than the limit. The growth
// may be another's: the guard then errs on the side of the server, and the run
// is tried again.
package script
