/**
 * Plays many histories, shared among the processors; prints the seed of each that
 * breaks a promise, and what the histories were made of.
 *
 *     node test/histories.js [count] [first seed]
 */

import { availableParallelism } from 'node:os'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { history } from './history.js'

/** @typedef {keyof import('./history.js').Told} Kind */
/** How many histories had how many of each. @typedef {Record<Kind, Map<number, number>>} Spread */
/** @typedef {{spread: Spread, broken: string[]}} Played */

const KINDS = /** @type {Kind[]} */ (['clients', 'edits', 'commits', 'refused', 'again', 'faults'])

/** @returns {Spread} */
const empty = () => /** @type {any} */ (Object.fromEntries(KINDS.map((kind) => [kind, new Map()])))

/** @param {number} first @param {number} count @param {number} step @returns {Promise<Played>} */
async function play(first, count, step) {
  console.warn = () => {} // refusals are part of it
  Error.stackTraceLimit = count === 1 ? 10 : 0
  const spread = empty()
  /** @type {string[]} */
  const broken = []
  for (let seed = first; seed < first + count && broken.length < 3; seed += step) {
    try {
      const told = await history(seed)
      for (const kind of KINDS) spread[kind].set(told[kind], (spread[kind].get(told[kind]) ?? 0) + 1)
    } catch (err) {
      const text = err instanceof Error ? err.stack : String(err)
      broken.push(`seed ${seed}: ${text}\nreplay: node test/histories.js 1 ${seed}`)
    }
  }
  return { spread, broken }
}

/** @param {Map<number, number>} counts @returns {string} the sum, and the least, the middle and the most of one history */
function describe(counts) {
  const sorted = [...counts].sort(([a], [b]) => a - b)
  const total = sorted.reduce((n, [value, times]) => n + value * times, 0)
  const half = sorted.reduce((n, [, times]) => n + times, 0) / 2
  let seen = 0
  const middle = sorted.find(([, times]) => (seen += times) >= half)
  return `${total} (${sorted[0]?.[0]}, ${middle?.[0]}, ${sorted.at(-1)?.[0]})`
}

if (!isMainThread) {
  const { first, count, step } = workerData
  parentPort?.postMessage(await play(first, count, step))
} else {
  const [count, first] = [Number(process.argv[2] ?? 20_000), Number(process.argv[3] ?? 1)]
  const workers = Math.min(count, availableParallelism())
  const began = performance.now()
  /** @type {Played[]} */
  const parts = await Promise.all(
    Array.from({ length: workers }, (_, i) => {
      const worker = new Worker(new URL(import.meta.url), {
        workerData: { first: first + i, count: count - i, step: workers },
        resourceLimits: { maxYoungGenerationSizeMb: 64 },
      })
      return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
    }),
  )
  const spread = empty()
  for (const kind of KINDS)
    for (const part of parts)
      for (const [value, times] of part.spread[kind]) spread[kind].set(value, (spread[kind].get(value) ?? 0) + times)
  const played = [...spread.clients.values()].reduce((n, times) => n + times, 0)
  const seconds = (performance.now() - began) / 1000
  const broken = parts.flatMap((part) => part.broken)
  for (const text of broken) console.error(text)
  console.log(
    `${played} histories from seed ${first} in ${seconds.toFixed(1)} s: ` +
      (broken.length ? `${broken.length} broken` : 'every client equal to the server'),
  )
  console.log('in all, and the least, the middle and the most of one history:')
  for (const kind of KINDS) console.log(`  ${kind.padEnd(8)} ${describe(spread[kind])}`)
  process.exitCode = broken.length ? 1 : 0
}
