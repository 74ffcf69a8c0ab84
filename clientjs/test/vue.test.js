// @vitest-environment happy-dom
import { describe, expect, test } from 'vitest'
import { computed, createApp, effectScope, h, nextTick, reactive, ref, watchEffect } from 'vue'
import { useLive, useView } from '../src/vue.js'
import { manyRows, ROWS } from './rows.js'
import { addEdge, addObject, id, world } from './world.js'

const [STORE, R1, R2] = [id(1), id(3), id(4)]

async function setup() {
  const w = world()
  w.seed([
    addObject(STORE, 'DataStore', { name: 'Book', tags: ['a'], address: { city: 'Bern', zip: '3000' } }),
    addObject(R1, 'Record', { n: 1, rank: 1 }),
    addObject(R2, 'Record', { n: 2, rank: 2 }),
    addEdge(id(11), 'dataStore', R1, STORE),
    addEdge(id(12), 'dataStore', R2, STORE),
  ])
  const db = await w.connect()
  const view = db.subscribe({ root: STORE, in: { dataStore: { order: ['/body/rank'] } } })
  await w.sim.wait(view.ready)
  return { ...w, db, view, store: view.root }
}

/** Stands for a component: counts how often it renders, once a tick at most. @param {() => any} read */
function component(read) {
  const seen = { renders: 0, value: /** @type {any} */ (undefined) }
  const scope = effectScope()
  scope.run(() =>
    watchEffect(
      () => {
        seen.renders++
        seen.value = read()
      },
      { flush: 'post' },
    ),
  )
  return Object.assign(seen, { scope })
}

describe('what a component has read re-renders it exactly once, and nothing else does', () => {
  test.each([
    ['a property', (/** @type {any} */ s) => s.name, (/** @type {any} */ s) => (s.name = 'x'), 'x'],
    ['a new property', (/** @type {any} */ s) => s.extra, (/** @type {any} */ s) => (s.extra = 1), 1],
    ['a deleted one', (/** @type {any} */ s) => s.name, (/** @type {any} */ s) => delete s.name, undefined],
    [
      'a nested one',
      (/** @type {any} */ s) => s.address.city,
      (/** @type {any} */ s) => (s.address.city = 'Basel'),
      'Basel',
    ],
    [
      'a replaced object',
      (/** @type {any} */ s) => s.address?.city,
      (/** @type {any} */ s) => (s.address = null),
      undefined,
    ],
    [
      'keys',
      (/** @type {any} */ s) => Object.keys(s.address).join(),
      (/** @type {any} */ s) => (s.address.land = 1),
      'city,zip,land',
    ],
    ['an array', (/** @type {any} */ s) => s.tags.join(), (/** @type {any} */ s) => s.tags.push('b'), 'a,b'],
    ['a live list', (/** @type {any} */ s) => s.records.length, (/** @type {any} */ s) => s.records[0].$delete(), 1],
    ['over an edge', (/** @type {any} */ s) => s.records[1].n, (/** @type {any} */ s) => (s.records[1].n = 9), 9],
  ])('%s', async (_, read, change, want) => {
    const { store, sim } = await setup()
    const c = component(() => read(store))
    const other = component(() => store.address?.zip !== 'x' && store.tags[5])
    await nextTick()
    expect([c.renders, other.renders]).toEqual([1, 1])
    change(store)
    await sim.settle()
    expect(c.value).toEqual(want)
    expect(c.renders).toBe(2)
    const before = other.renders
    await sim.run(50) // the confirmation changes nothing that is seen
    expect(c.renders).toBe(2)
    expect(other.renders).toBe(before)
    if (!String(change).includes('address = null')) expect(before).toBe(1)
    c.scope.stop()
    other.scope.stop()
  })

  test('many changes of one turn are one render', async () => {
    const { store, sim } = await setup()
    const c = component(() => [store.name, store.address.city, store.records.map((/** @type {any} */ r) => r.n)])
    await nextTick()
    store.name = 'x'
    store.address.city = 'y'
    for (const r of store.records) r.n++
    await sim.settle()
    expect(c.renders).toBe(2)
    c.scope.stop()
  })

  test('what others change arrives as one render', async () => {
    const { store, sim, server } = await setup()
    const c = component(() => [store.name, store.note])
    await nextTick()
    server.commit(
      [
        { op: 'replace', path: `/objects/${STORE}/body/name`, value: 'x' },
        { op: 'add', path: `/objects/${STORE}/body/note`, value: 'y' },
      ],
      'bob',
      crypto.randomUUID(),
    )
    await sim.run(50)
    expect(c).toMatchObject({ renders: 2, value: ['x', 'y'] })
    c.scope.stop()
  })

  test('status, pending and marks are live', async () => {
    const { db, store, sim, sockets } = await setup()
    /** @type {any[]} */
    const log = []
    const scope = effectScope()
    scope.run(() =>
      watchEffect(() => log.push(`${db.status} ${db.pending.length} ${store.$pending}`), { flush: 'sync' }),
    )
    store.name = 'x'
    await sim.run(50)
    sockets[0].cut(1006)
    await sim.settle()
    expect(log[0]).toBe('live 0 false')
    expect(log).toContain('live 1 true')
    expect(log.at(-2)).toBe('live 0 false')
    expect(log.at(-1)).toBe('reconnecting 0 false')
    scope.stop()
  })
})

test('of ten thousand rows the one that changes renders, once, and the list does not', async () => {
  const { rows, others, at, sim } = await manyRows()
  const counts = { list: 0, row: 0 }
  const Row = {
    props: ['row'],
    render: (/** @type {any} */ { row }) => {
      counts.row++
      return h('li', row.n)
    },
  }
  const List = {
    render: () => {
      counts.list++
      return rows().map((/** @type {any} */ row) => h(/** @type {any} */ (Row), { row, key: row.$id }))
    },
  }
  const place = document.createElement('ul')
  const app = createApp(List)
  app.mount(place)
  expect(counts).toEqual({ list: 1, row: ROWS })
  await others([{ op: 'replace', path: at(5_000, 'unread'), value: 1 }])
  await nextTick()
  expect(counts).toEqual({ list: 1, row: ROWS })
  await others([{ op: 'replace', path: at(5_000, 'n'), value: 'theirs' }])
  await nextTick()
  expect(counts).toEqual({ list: 1, row: ROWS + 1 })
  expect(place.children[5_000].textContent).toBe('theirs')
  rows()[7_000].n = 'mine'
  await sim.run(50)
  await nextTick()
  expect([counts, place.children[7_000].textContent]).toEqual([{ list: 1, row: ROWS + 2 }, 'mine'])
  app.unmount()
})

test('the order of a view’s list is live', async () => {
  const { view, store, sim } = await setup()
  const list = view.list(store, 'records')
  const c = component(() => list.map((r) => r.n))
  await nextTick()
  expect(c.value).toEqual([1, 2])
  store.records[0].rank = 5
  await sim.settle()
  expect(c).toMatchObject({ renders: 2, value: [2, 1] })
  c.scope.stop()
})

test('objects keep their identity in refs and reactive objects', async () => {
  const { store, db } = await setup()
  expect(ref(store).value).toBe(store)
  const state = reactive({ chosen: store, rows: store.records, address: store.address })
  expect(state.chosen).toBe(db.get(STORE))
  expect(state.rows).toBe(store.records)
  expect(state.address).toBe(store.address)
})

test('a computed value follows', async () => {
  const { store } = await setup()
  const upper = useLive(() => store.name.toUpperCase())
  const twice = computed(() => upper.value + upper.value)
  expect(twice.value).toBe('BOOKBOOK')
  store.name = 'x'
  expect(twice.value).toBe('XX')
})

test('useView ends with its scope', async () => {
  const { db, sim } = await setup()
  const scope = effectScope()
  const view = /** @type {any} */ (scope.run(() => useView(db, { root: R1 })))
  await sim.wait(view.ready)
  scope.stop()
  expect(view.status).toBe('closed')
  expect(db.wire.views.has(view)).toBe(false)
})

test('an object that leaves and comes back is heard of again', async () => {
  const { db, sim, view } = await setup()
  const c = component(() => db.get(R1)?.n)
  await nextTick()
  view.close()
  await sim.settle()
  expect(c.value).toBeUndefined()
  const again = db.subscribe({ root: R1 })
  await sim.wait(again.ready)
  await sim.settle()
  expect(c.value).toBe(1)
  c.scope.stop()
})
