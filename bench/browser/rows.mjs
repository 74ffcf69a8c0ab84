/** What is measured, with one side and one number of rows. */

import { median, percentile } from './table.mjs'

const thousands = (n) => n.toLocaleString('en')

/**
 * @param {() => Promise<import('playwright-core').Page>} open a fresh page, connected
 * @param {{size: number, samples: number}} options
 * @returns {Promise<[name: string, unit: string, value: number][]>}
 */
export async function measure(open, { size, samples }) {
  const [ann, bob, lean] = [await open(), await open(), await open()]
  const empty = await lean.evaluate(() => window.bench.heap())
  await lean.evaluate(() => window.bench.loadOnly())
  const held = (await lean.evaluate(() => window.bench.heap())) - empty
  await lean.context().close()

  const load = await ann.evaluate(() => window.bench.load())
  await bob.evaluate(() => window.bench.load())
  const [shown, painted, across] = [[], [], []]
  for (let i = 0; i < samples; i++) {
    const index = (i * 7) % 40 // on the first screen
    const text = `sample ${i} of ${size}, ${Math.random()}`
    const seen = bob.evaluate(([at, what]) => window.bench.expect(at, what), [index, text])
    const local = await ann.evaluate(([at, what]) => window.bench.write(at, what), [index, text])
    shown.push(local.shown)
    painted.push(local.painted)
    across.push((await seen) - local.began)
    await ann.evaluate(() => window.bench.settled())
  }
  for (const page of [ann, bob]) await page.context().close()

  const roller = await open()
  const frames = await roller.evaluate(() => window.bench.scroll())
  await roller.context().close()
  const with_ = `with ${thousands(size)} rows`
  return [
    [`load of ${thousands(size)} rows to first paint`, 'ms', load],
    [`local write to the page, ${with_}`, 'ms', median(shown)],
    [`local write to paint, ${with_}`, 'ms', median(painted)],
    [`write to the other page, ${with_}`, 'ms', median(across)],
    [`a frame while scrolling through ${thousands(size)} rows, p95`, 'ms', percentile(frames, 0.95)],
    [`frames over 50 ms of the ${frames.length} while scrolling through ${thousands(size)} rows`, '', frames.filter((ms) => ms > 50).length],
    [`JS heap of ${thousands(size)} rows`, 'MiB', held / 2 ** 20],
  ]
}

/**
 * What does not depend on how many rows there are.
 * @param {() => Promise<import('playwright-core').Page>} open
 * @returns {Promise<[name: string, unit: string, value: number][]>}
 */
export async function measureOnce(open) {
  const page = await open()
  const delays = await page.evaluate(() => window.bench.work())
  await page.context().close()
  return [['report of an operation to the page', 'ms', median(delays)]]
}
