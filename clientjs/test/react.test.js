// @vitest-environment happy-dom
import { createElement as h, StrictMode, version } from 'react'
import { createRoot } from 'react-dom/client'
import { describe, expect, test } from 'vitest'
import { live, useLive, useView } from '../src/react.js'
import { manyRows, ROWS } from './rows.js'
import { addEdge, addObject, id, world } from './world.js'

const [STORE, R1, R2] = [id(1), id(3), id(4)]

async function setup() {
  const w = world()
  w.seed([
    addObject(STORE, 'DataStore', { name: 'Book', tags: ['a'], address: { city: 'Bern' } }),
    addObject(R1, 'Record', { n: 1, rank: 1 }),
    addObject(R2, 'Record', { n: 2, rank: 2 }),
    addEdge(id(11), 'dataStore', R1, STORE),
    addEdge(id(12), 'dataStore', R2, STORE),
  ])
  const db = await w.connect()
  const view = db.subscribe({ root: STORE, in: { dataStore: { order: ['/body/rank'] } } })
  await w.sim.wait(view.ready)
  const place = document.createElement('div')
  const root = createRoot(place)
  /** Lets React, the graph and the network come to rest. */
  const rest = async () => {
    for (let i = 0; i < 5; i++) {
      await w.sim.run(50)
      await new Promise((resolve) => setTimeout(resolve))
    }
  }
  const show = async (/** @type {any} */ element) => {
    root.render(element)
    await rest()
  }
  return { ...w, db, view, store: view.root, root, place, rest, show }
}

test('is tested with the version that the project names', () => {
  expect(version.split('.')[0]).toMatch(/18|19/)
})

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
    const { store, place, rest, show } = await setup()
    let renders = 0
    const One = live(() => {
      renders++
      return h('p', null, String(read(store)))
    })
    await show(h(One))
    expect(renders).toBe(1)
    store.unread = 1
    await rest()
    expect(renders).toBe(1)
    change(store)
    await rest()
    expect(place.textContent).toBe(want)
    expect(renders).toBe(2)
  })

  test('several changes of one tick, and of others too, are one rendering', async () => {
    const { store, place, rest, show, server } = await setup()
    let renders = 0
    const One = () => {
      renders++
      return h(
        'p',
        null,
        useLive(() => `${store.name} ${store.records.length}`),
      )
    }
    await show(h(One))
    const path = `/objects/${STORE}/body/name`
    server.commit([{ op: 'replace', path, value: 'by bob' }], 'bob', crypto.randomUUID())
    await rest()
    expect([place.textContent, renders]).toEqual(['by bob 2', 2])
    store.name = 'mine'
    store.records[0].$delete()
    await rest()
    expect([place.textContent, renders]).toEqual(['mine 1', 3])
  })

  test('a row of many renders alone', async () => {
    const { store, rest, show } = await setup()
    /** @type {Record<string, number>} */
    const renders = {}
    const count = (/** @type {string} */ what) => (renders[what] = (renders[what] ?? 0) + 1)
    const Row = live((/** @type {{row: any}} */ { row }) => {
      count(row.$id)
      return h('li', null, row.n)
    })
    const List = live(() => {
      count('list')
      return store.records.map((/** @type {any} */ row) => h(Row, { row, key: row.$id }))
    })
    await show(h(List))
    store.records[0].n = 7
    await rest()
    expect(renders).toEqual({ list: 1, [R1]: 2, [R2]: 1 })
  })
})

test('of ten thousand rows the one that changes renders, once, and the list does not', async () => {
  const { rows, others, at, sim } = await manyRows()
  const counts = { list: 0, row: 0 }
  const Row = live((/** @type {{row: any}} */ { row }) => {
    counts.row++
    return h('li', null, row.n)
  })
  const List = live(() => {
    counts.list++
    return h('ul', null, ...rows().map((/** @type {any} */ row) => h(Row, { row, key: row.$id })))
  })
  const place = document.createElement('div')
  const root = createRoot(place)
  root.render(h(List))
  const items = () => place.firstElementChild?.children ?? []
  const until = async (/** @type {() => boolean} */ shown) => {
    while (!shown()) await new Promise((resolve) => setTimeout(resolve))
  }
  await until(() => items().length === ROWS)
  expect(counts).toEqual({ list: 1, row: ROWS })
  await others([{ op: 'replace', path: at(5_000, 'unread'), value: 1 }])
  await others([{ op: 'replace', path: at(5_000, 'n'), value: 'theirs' }])
  await until(() => items()[5_000].textContent === 'theirs')
  expect(counts).toEqual({ list: 1, row: ROWS + 1 })
  rows()[7_000].n = 'mine'
  await sim.run(50)
  await until(() => items()[7_000].textContent === 'mine')
  expect(counts).toEqual({ list: 1, row: ROWS + 2 })
  root.unmount()
})

test('what changes between rendering and its effects is not missed', async () => {
  const { store, place, rest, root } = await setup()
  const One = live(() => h('p', null, store.name))
  root.render(h(One))
  store.name = 'at once'
  await rest()
  expect(place.textContent).toBe('at once')
})

test('in strict mode too, and after it is gone nothing listens', async () => {
  const { store, place, rest, root, show, db } = await setup()
  const One = live(() => h('p', null, store.name))
  await show(h(StrictMode, null, h(One)))
  store.name = 'strict'
  await rest()
  expect(place.textContent).toBe('strict')
  root.unmount()
  await rest()
  const cells = [...db.store.cells.byOwner.values()].flatMap((c) => [...c.values()])
  expect(cells.reduce((n, c) => n + c.listeners.size, 0)).toBe(0)
})

test('useView subscribes for as long as the component is there', async () => {
  const { db, place, rest, root, show } = await setup()
  const before = db.wire.views.size
  const One = live((/** @type {{id: string}} */ props) => {
    const view = useView(db, { root: props.id })
    return h('p', null, view?.root?.n ?? 'loading')
  })
  root.render(h(One, { id: R1 }))
  await rest()
  expect(place.textContent).toBe('1')
  await show(h(One, { id: R2 }))
  expect(place.textContent).toBe('2')
  expect(db.wire.views.size).toBe(before + 1)
  root.unmount()
  await rest()
  expect(db.wire.views.size).toBe(before)
})
