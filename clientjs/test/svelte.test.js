// @vitest-environment happy-dom
import { flushSync, mount, unmount } from 'svelte'
import { describe, expect, test } from 'vitest'
import '../src/svelte.js'
import { manyRows, ROWS } from './rows.js'
import One from './svelte/One.svelte'
import Rows from './svelte/Rows.svelte'
import ViewOf from './svelte/View.svelte'
import { addEdge, addObject, id, world } from './world.js'

const [STORE, R1, R2] = [id(1), id(3), id(4)]

async function setup() {
  const w = world()
  w.seed([
    addObject(STORE, 'DataStore', { name: 'Book', tags: ['a'], address: { city: 'Bern' } }),
    addObject(R1, 'Record', { n: 1 }),
    addObject(R2, 'Record', { n: 2 }),
    addEdge(id(11), 'dataStore', R1, STORE),
    addEdge(id(12), 'dataStore', R2, STORE),
  ])
  const db = await w.connect()
  const view = db.subscribe({ root: STORE, in: { dataStore: {} } })
  await w.sim.wait(view.ready)
  const rest = async () => {
    await w.sim.run(100)
    flushSync()
    await w.sim.settle()
  }
  const place = document.createElement('div')
  return { ...w, db, store: view.root, rest, place }
}

const listening = (/** @type {any} */ db) =>
  [...db.store.cells.byOwner.values()].flatMap((c) => [...c.values()]).reduce((n, c) => n + c.listeners.size, 0)

describe('what a component has read renders it exactly once, and nothing else does', () => {
  test.each([
    ['a property', (/** @type {any} */ s) => s.name, (/** @type {any} */ s) => (s.name = 'x'), 'x'],
    [
      'a nested one',
      (/** @type {any} */ s) => s.address.city,
      (/** @type {any} */ s) => (s.address.city = 'Basel'),
      'Basel',
    ],
    ['a new one', (/** @type {any} */ s) => s.extra ?? '', (/** @type {any} */ s) => (s.extra = 'new'), 'new'],
    ['a list', (/** @type {any} */ s) => s.records.length, (/** @type {any} */ s) => s.records[0].$delete(), '1'],
    ['an array', (/** @type {any} */ s) => s.tags.join(), (/** @type {any} */ s) => s.tags.push('b'), 'a,b'],
  ])('%s', async (_, read, change, want) => {
    const { db, store, rest, place } = await setup()
    let renders = 0
    const rendered = (/** @type {any} */ value) => {
      renders++
      return String(value)
    }
    const app = mount(One, { target: place, props: { read: () => read(store), rendered } })
    flushSync()
    expect(renders).toBe(1)
    store.unread = 1
    await rest()
    expect(renders).toBe(1)
    change(store)
    await rest()
    expect([place.textContent?.trim(), renders]).toEqual([want, 2])
    await unmount(app)
    await rest()
    expect(listening(db)).toBe(0)
  })
})

test('of ten thousand rows the one that changes renders, once, and the list does not', async () => {
  const { rows, others, at, sim } = await manyRows()
  const place = document.createElement('ul')
  const counts = { list: 0, row: 0 }
  const rendered = (/** @type {'list' | 'row'} */ what, /** @type {any} */ value) => {
    counts[what]++
    return value
  }
  const app = mount(Rows, { target: place, props: { rows, rendered } })
  flushSync()
  expect(counts).toEqual({ list: 1, row: ROWS })
  await others([{ op: 'replace', path: at(5_000, 'unread'), value: 1 }])
  flushSync()
  expect(counts).toEqual({ list: 1, row: ROWS })
  await others([{ op: 'replace', path: at(5_000, 'n'), value: 'theirs' }])
  flushSync()
  expect(counts).toEqual({ list: 1, row: ROWS + 1 })
  expect(place.children[5_000].textContent).toBe('theirs')
  rows()[7_000].n = 'mine'
  await sim.run(50)
  flushSync()
  expect([counts, place.children[7_000].textContent]).toEqual([{ list: 1, row: ROWS + 2 }, 'mine'])
  await unmount(app)
})

test('useView subscribes for as long as the component is there', async () => {
  const { db, rest, place } = await setup()
  const before = db.wire.views.size
  const app = mount(ViewOf, { target: place, props: { db, id: R1 } })
  await rest()
  expect(place.textContent?.trim()).toBe('1')
  expect(db.wire.views.size).toBe(before + 1)
  await unmount(app)
  await rest()
  expect(db.wire.views.size).toBe(before)
})
