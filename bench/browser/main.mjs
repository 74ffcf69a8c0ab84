/**
 * Measures what a person at a browser waits for: Graphtide's client in a real
 * Chromium against a real server, beside a page that does the least for the same:
 * a bare websocket, JSON and plain DOM, no server behind it that keeps anything.
 *
 *     scripts/bench-client [--quick] [--rounds N] [--sizes 1000,10000] [--json FILE]
 *
 * Rounds alternate between the two; a figure is the median of the rounds, and a
 * round's is the median of its samples. Nothing is asserted.
 */

import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { launch } from '../../examples/workbook/test/browser.mjs'
import { Server } from '../../examples/workbook/test/server.mjs'
import { makeBook } from '../../examples/workbook/test/workbook.mjs'
import { Floor } from './floor.mjs'
import { measure, measureOnce } from './rows.mjs'
import { serve } from './serve.mjs'
import { median, table } from './table.mjs'

const { values } = parseArgs({ options: {
  quick: { type: 'boolean' }, rounds: { type: 'string' }, sizes: { type: 'string', default: '1000,10000' }, json: { type: 'string' },
} })
const rounds = Number(values.rounds ?? (values.quick ? 1 : 5))
const sizes = values.sizes.split(',').map(Number)
const samples = values.quick ? 15 : 60

const figures = new Map() // name → {unit, floor: [], graphtide: []}
let browser, server, floor
try {
  browser = await launch([
    '--js-flags=--expose-gc', '--enable-precise-memory-info',
    '--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets', // the pages are given by this program
  ])
  server = new Server()
  await server.start()
  floor = await new Floor().start()
  const books = new Map()
  for (const size of sizes) {
    // About 300 bytes an object, as everywhere in these benchmarks.
    books.set(size, await makeBook(server, `Rows ${size}`, size, (n) => ({ name: `row ${n}`, notes: `${n} `.padEnd(160, 'all work and no play ') })))
    await floor.keep(size, await server.ask('/v1/graphs/main/load', {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ root: books.get(size), in: { dataStore: { order: ['/body/rank'] } } }),
    }))
  }
  for (let round = 0; round < rounds; round++) {
    for (const side of round % 2 ? ['graphtide', 'floor'] : ['floor', 'graphtide']) {
      const opener = (size) => () => serve(browser, { floor, graphtide: server }[side].url, { side, size, book: books.get(size), region: values.quick ? 'Oceania' : 'World' })
      const add = ([name, unit, value]) => {
        if (!figures.has(name)) figures.set(name, { unit, floor: [], graphtide: [] })
        figures.get(name)[side].push(value)
      }
      for (const size of sizes) (await measure(opener(size), { size, samples })).forEach(add)
      ;(await measureOnce(opener(sizes[0]))).forEach(add)
    }
  }
} finally {
  await browser?.close()
  await floor?.stop()
  await server?.stop()
}
console.log(table([...figures].map(([name, f]) => ({ name, unit: f.unit, floor: median(f.floor), graphtide: median(f.graphtide) }))))
if (values.json) writeFileSync(values.json, JSON.stringify(Object.fromEntries(figures), null, 1))
