import 'fake-indexeddb/auto'
import { expect, test, vi } from 'vitest'
import { observe } from '../src/cells.js'
import { connect } from '../src/index.js'
import { persist } from '../src/persist.js'
import { share } from '../src/share.js'
import { browser } from './browser.js'
import { fakeWebSocket } from './sim.js'
import { addEdge, addObject, id, world } from './world.js'

const [STORE, REC] = [id(1), id(3)]
const book = { root: STORE, in: { dataStore: { order: ['/body/rank'] } } }

/** @param {any} [options] */
function setup(options) {
  const w = world({ delay: () => 5, ...options })
  w.seed([
    addObject(STORE, 'DataStore', { name: 'Book', tags: ['a', 'b'] }),
    addObject(REC, 'Record', { n: 0, rank: 1 }),
    addEdge(id(11), 'dataStore', REC, STORE),
  ])
  return w
}

/** A token that ends soon, so that its renewal is waited for. @param {any} sim */
const token = (sim) => () => `x.${btoa(JSON.stringify({ sub: 'ann', exp: sim.time / 1000 + 100 }))}.y`

test('a client that is closed leaves no timer, socket, channel, lock, listener or database behind', async () => {
  const w = setup()
  const { sim } = w
  const { open, inUse } = browser(sim)
  const page = open()
  const Socket = fakeWebSocket({ sim, server: w.server, delay: () => 5 })
  const { WebSocket, leave } = share('all', Socket, page.platform)
  const db = w.make({ WebSocket, token: token(sim) })
  db.on('status', (s) => s === 'closed' && leave())
  await persist(db, 'dispose', { tab: 'one', locks: page.platform.locks })
  await sim.wait(db.start(20_000))
  const view = db.subscribe(book)
  await sim.wait(view.ready)
  // Something of everything that waits.
  const stop = observe(
    () => view.root.records.map((/** @type {any} */ r) => [r.n, r.$presence, r.$can('write')]),
    () => {},
  ).stop
  db.create('User', { givenName: 'held by nobody' })
  db.presence(view.root, { here: true })
  await sim.run(100)
  w.server.options.refuse = () => ({ code: 'unavailable', title: 'Not now', retryAfterMs: 60_000 })
  const put = db.transact(() => (view.root.name = 'put off'))
  await sim.run(50)
  w.server.options.reverting = async () => {
    throw new Error('down')
  }
  const undone = db.undo()
  const asked = db.run('job', {})
  db.wire.resync?.later(view, 60_000)
  const loading = db.subscribe({ root: id(404) })
  const question = db.can(STORE, 'read')
  await sim.run(1)
  expect(sim.events.size).toBeGreaterThan(3)
  expect(inUse()).toEqual({ channels: 1, locks: 3 }) // the page's own, the leader's, and the tab's of what is kept

  db.close()
  db.close() // twice is once
  await expect(put).rejects.toMatchObject({ code: 'closed' })
  await expect(undone).rejects.toMatchObject({ code: expect.stringMatching(/closed|unavailable/) })
  await expect(asked).rejects.toMatchObject({ code: 'closed' })
  await expect(loading.ready).rejects.toMatchObject({ code: 'closed' })
  expect(await question).toBe(false)
  stop()
  await sim.run(10) // what was on the wire is read by nobody
  expect([...sim.events.values()].map((e) => String(e.fn))).toEqual([])
  expect(inUse()).toEqual({ channels: 0, locks: 0 })
  expect(w.server.sessions.size).toBe(0)
  expect([db.store.shown.size, db.store.confirmed.size, db.store.holders.size, db.store.lists.size]).toEqual([
    0, 0, 0, 0,
  ])
  expect(db.store.cells.byOwner.size).toBe(0)
  // The database can be deleted: nobody holds it open.
  const request = indexedDB.deleteDatabase('dispose')
  await new Promise((resolve, reject) => {
    request.onsuccess = resolve
    request.onblocked = () => reject(new Error('it is still open'))
  })
})

test('after close, what is asked for says so', async () => {
  const w = setup()
  const db = await w.connect()
  const view = db.subscribe(book)
  await w.sim.wait(view.ready)
  const store = view.root
  db.close()
  expect(db.status).toBe('closed')
  expect(() => (store.name = 'late')).toThrow(/closed/)
  expect(() => db.create('User')).toThrow(/closed/)
  await expect(db.transact(() => {})).rejects.toThrow(/closed/)
  await expect(db.subscribe(book).ready).rejects.toMatchObject({ code: 'closed' })
  expect(view.root).toBeUndefined()
})

test('listeners on the page are taken away', async () => {
  const w = setup()
  /** @type {Map<string, number>} */
  const heard = new Map()
  const count = (/** @type {number} */ by) => (/** @type {string} */ name) =>
    heard.set(name, (heard.get(name) ?? 0) + by)
  vi.stubGlobal('addEventListener', count(1))
  vi.stubGlobal('removeEventListener', count(-1))
  vi.stubGlobal('document', { addEventListener: count(1), removeEventListener: count(-1) })
  try {
    const Socket = fakeWebSocket({ sim: w.sim, server: w.server, delay: () => 5 })
    const opening = connect({
      url: 'http://fake',
      WebSocket: Socket,
      fetch: /** @type {any} */ (w.server.fetch),
      clock: w.sim.clock,
      persist: true,
    })
    let db = /** @type {any} */ (null)
    void opening.then((c) => {
      db = c
    })
    await vi.waitFor(async () => {
      await w.sim.run(20)
      expect(db).not.toBeNull()
    })
    expect([...heard.values()].some((n) => n > 0)).toBe(true)
    db.close()
    expect([...heard].filter(([, n]) => n !== 0)).toEqual([])
  } finally {
    vi.unstubAllGlobals()
  }
})

test('a closed view costs nothing any more: no subscription, no entity, no cell, no list', async () => {
  const w = setup()
  const db = await w.connect()
  for (let n = 0; n < 5; n++) {
    const view = db.subscribe(book)
    await w.sim.wait(view.ready)
    const { stop } = observe(
      () => [view.status, view.list(view.root, 'records').length, view.root.records.map((/** @type {any} */ r) => r.n)],
      () => {},
    )
    view.root.name = `name ${n}`
    await w.sim.run(50)
    stop()
    view.close()
    await w.sim.run(50)
  }
  const { store } = db
  expect([store.shown.size, store.index.size, store.lists.size, store.cells.byOwner.size]).toEqual([0, 0, 0, 0])
  expect([...w.server.sessions][0].views.size).toBe(0)
  expect([db.wire.views.size, db.wire.bySub.size]).toEqual([0, 0])
  const heard = w.server.heard.length
  w.server.commit([{ op: 'replace', path: `/objects/${STORE}/body/name`, value: 'x' }], 'bob', crypto.randomUUID())
  await w.sim.run(50)
  expect(w.server.heard.length).toBe(heard)
  db.close()
})

test('rows that were seen and left leave no cell, whatever was read of them', async () => {
  const w = setup()
  w.seed(
    Array.from({ length: 200 }, (_, n) => [
      addObject(id(1_000 + n), 'Record', { n }),
      addEdge(id(2_000 + n), 'dataStore', id(1_000 + n), STORE),
    ]).flat(),
  )
  const db = await w.connect()
  const all = db.subscribe(book)
  await w.sim.wait(all.ready)
  const told = vi.fn()
  const [row] = all.root.records
  const { stop } = observe(() => row.nothing, told)
  const seen = observe(
    () => all.root.records.map((/** @type {any} */ r) => [r.n, r.nothing, r.$pending, r.$loaded('dataStore')]),
    () => {},
  )
  expect(db.store.cells.byOwner.size).toBeGreaterThan(200)
  seen.stop()
  all.close()
  await w.sim.run(50)
  expect(told).toHaveBeenCalledTimes(1) // it may come back, and is looked for anew
  stop()
  expect([...db.store.cells.byOwner.keys()]).toEqual([])
  db.close()
})

test('an observer that is stopped hears nothing, and its cells go with the next change', async () => {
  const w = setup()
  const db = await w.connect()
  const view = db.subscribe(book)
  await w.sim.wait(view.ready)
  const told = vi.fn()
  const { stop } = observe(() => view.root.name, told)
  stop()
  view.root.name = 'x'
  await w.sim.run(50)
  expect(told).not.toHaveBeenCalled()
  const names = [...(db.store.cells.byOwner.get(`objects/${STORE}`)?.keys() ?? [])]
  expect(names).not.toContain('/body/name')
  db.close()
})
