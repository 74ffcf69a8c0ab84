/**
 * Plays many histories, shared among the processors, and prints the seed of
 * each that breaks a promise.
 *
 *     node test/histories.js [count] [first seed]
 */

import { availableParallelism } from 'node:os'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { history } from './history.js'

/** @typedef {{histories: number, commits: number, refused: number, again: number, broken: string[]}} Sum */

/** @param {number} first @param {number} count @param {number} step @returns {Promise<Sum>} */
async function play(first, count, step) {
  console.warn = () => {} // refusals are part of it
  Error.stackTraceLimit = count === 1 ? 10 : 1
  const sum = { histories: 0, commits: 0, refused: 0, again: 0, broken: /** @type {string[]} */ ([]) }
  for (let seed = first; seed < first + count && sum.broken.length < 3; seed += step) {
    try {
      const told = await history(seed)
      sum.histories++
      sum.commits += told.commits
      sum.again += told.again
      sum.refused += told.refused
    } catch (err) {
      const text = err instanceof Error ? err.stack : String(err)
      sum.broken.push(`seed ${seed}: ${text}\nreplay: node test/histories.js 1 ${seed}`)
    }
  }
  return sum
}

if (!isMainThread) {
  const { first, count, step } = workerData
  parentPort?.postMessage(await play(first, count, step))
} else {
  const [count, first] = [Number(process.argv[2] ?? 20_000), Number(process.argv[3] ?? 1)]
  const workers = Math.min(count, availableParallelism())
  const began = performance.now()
  /** @type {Sum[]} */
  const sums = await Promise.all(
    Array.from({ length: workers }, (_, i) => {
      const worker = new Worker(new URL(import.meta.url), {
        workerData: { first: first + i, count: count - i, step: workers },
        resourceLimits: { maxYoungGenerationSizeMb: 64 },
      })
      return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
    }),
  )
  const total = (/** @type {'histories'|'commits'|'refused'|'again'} */ key) => sums.reduce((n, s) => n + s[key], 0)
  const broken = sums.flatMap((s) => s.broken)
  for (const text of broken) console.error(text)
  console.log(
    `${total('histories')} histories from seed ${first} in ${((performance.now() - began) / 1000).toFixed(1)} s: ` +
      `${total('commits')} commits, ${total('refused')} refused, ${total('again')} sent again; ` +
      (broken.length ? `${broken.length} broken` : 'every client equal to the server'),
  )
  process.exitCode = broken.length ? 1 : 0
}
