import { describe, expect, test, vi } from 'vitest'
import { digestOf, evaluate } from './fake-server.js'
import { history } from './history.js'
import { within } from './sim.js'
import { addEdge, addObject, id, world } from './world.js'

const STORE = id(1)
const [A, B] = [id(2), id(3)]

/** @param {any} w */
function seedGraph(w) {
  w.seed([
    addObject(STORE, 'DataStore', { name: 'Book', tags: ['x'] }),
    addObject(A, 'Record', { rank: 0, n: 0 }),
    addObject(B, 'Record', { rank: 1, n: 0 }),
    addEdge(id(10), 'dataStore', A, STORE),
    addEdge(id(11), 'dataStore', B, STORE),
  ])
}

const projections = [
  { root: STORE, in: { dataStore: { order: ['/body/rank'] } } },
  { root: STORE, in: { dataStore: { where: { open: true }, order: ['-/body/rank'], limit: 3 } } },
  { root: { type: 'Record', where: { open: true } }, out: { dataStore: {} } },
]

/** Something that a user does. @param {any} db @param {any} store @param {any} sim */
function edit(db, store, sim) {
  const records = [...store.records]
  const some = records.length ? sim.pick(records) : undefined
  const act = sim.int(10)
  if (act === 0) store.name = `name ${sim.int(1000)}`
  else if (act === 1) store.tags.push(`t${sim.int(100)}`)
  else if (act === 2) store.tags.splice(sim.int(store.tags.length + 1), sim.int(3), `s${sim.int(100)}`)
  else if (act === 3) db.create('Record', { rank: sim.int(100), n: 0, open: sim.chance(0.5) }).dataStore = store
  else if (act === 4) some?.$delete()
  else if (act === 5 && some) some.open = !some.open
  else if (act === 6 && some) some.rank = sim.int(100)
  else if (act === 7 && some) delete some.open
  else {
    // The invariant that observers watch: two objects change together or not at all.
    const [a, b] = [db.get(A), db.get(B)]
    const k = sim.int(1000)
    if (a && b) {
      db.transact(() => {
        a.n = k
        b.n = -k
      })
    }
  }
}

/** The confirmed state of a view must be the server's, byte for byte. @param {any} view @param {any} server */
function expectEqual(view, server) {
  const want = evaluate(view.request.projection, server.state)
  const have = { objects: /** @type {any} */ ({}), edges: /** @type {any} */ ({}) }
  for (const [ref, e] of view.members) {
    const [kind, entityId] = ref.split('/')
    have[/** @type {'objects'|'edges'} */ (kind)][entityId] = e
  }
  expect(have.objects).toEqual(Object.fromEntries(want.objects))
  expect(have.edges).toEqual(Object.fromEntries(want.edges))
  expect(view.rootIds).toEqual(want.roots)
  expect(view.digest).toBe(digestOf(want))
}

/** @param {number} seed @param {any} faults */
async function run(seed, faults) {
  let refusing = false
  const w = world({
    seed,
    turn: within,
    delay: () => w.sim.int(faults.delay ?? 30),
    refuse: () => refusing && w.sim.chance(0.2),
    server: {
      flushDelay: () => w.sim.int(faults.flush ?? 40),
      split: faults.split ?? 0.3,
      part: faults.part ?? 0.1,
      lose: faults.lose ?? 0,
      refuse: () => {
        if (!refusing || !w.sim.chance(faults.reject ?? 0.15)) return undefined
        return w.sim.chance(0.5)
          ? { code: 'rate-limited', title: 'Too many', retryAfterMs: 20 }
          : { code: 'schema', title: 'No' }
      },
    },
  })
  const { sim, server } = w
  seedGraph(w)
  refusing = true
  const clients = []
  for (let i = 0; i < 3; i++) clients.push(await w.connect())
  const views = clients.map((db, i) =>
    [...projections.keys()].filter((p) => p === 0 || (p + i) % 2).map((p) => db.subscribe(projections[p])),
  )
  await sim.until(() => views.flat().every((v) => v.state === 'live'))

  /** @type {string[]} */
  const broken = []
  clients.forEach((db, i) => {
    let last = 0
    db.on('reject', () => {})
    db.on('change', () => {
      const [a, b] = [db.get(A), db.get(B)]
      if (a && b && a.n + b.n !== 0) broken.push(`client ${i} saw half of a transaction at ${db.version}`)
    })
    db.on('status', () => {
      if (server.epochs === 1 && db.version < last) broken.push(`client ${i} went back from ${last} to ${db.version}`)
      last = db.version
    })
  })

  for (let step = 0; step < 120; step++) {
    const i = sim.int(clients.length)
    const store = clients[i].get(STORE)
    if (store) edit(clients[i], store, sim)
    if (sim.chance(0.06)) sim.pick(w.sockets).cut(1006)
    if (faults.restore && step === 60) server.restore(server.head - 5)
    await sim.run(sim.int(40))
  }

  refusing = false
  await sim.until(() => clients.every((db) => db.status === 'live' && db.pending.length === 0), 120_000)
  // A ping brings the digests: whatever is wrong shows now and is mended.
  for (let i = 0; i < 4; i++) {
    for (const db of clients) db.reconnect()
    await sim.run(2_000)
  }
  if (!faults.lose) expect(broken).toEqual([])
  for (const [i, db] of clients.entries()) {
    for (const view of views[i]) expectEqual(view, server)
    // With nothing pending, what is shown is what is confirmed.
    expect(db.writing?.layers.list).toEqual([])
    expect(db.store.shown).toEqual(db.store.confirmed)
    db.close()
  }
  return { w, clients }
}

describe('S8 optimistic layer, and S4 atomic: whatever the network and the server do, every client ends equal to the server', () => {
  test.each(Array.from({ length: 12 }, (_, i) => i + 1))('seed %i', async (seed) => {
    await run(seed, {})
  })

  test.each([101, 102, 103])('also when the server loses commits and begins another epoch (seed %i)', async (seed) => {
    await run(seed, { restore: true })
  })

  test.each([201, 202, 203])('also when deltas are wrong: the digests tell (seed %i)', async (seed) => {
    await run(seed, { lose: 0.1 })
  })
})

test('short histories with revocations and duplicates too, and what was meant is what happened (histories.js plays many)', async () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
  for (let seed = 1; seed <= 20; seed++) await history(seed)
  warn.mockRestore()
})

// What an index points to may be made by an earlier transaction that is not shown for a while.
test.each([13878, 17475])('an index waits for the transaction that made its element (seed %i)', async (seed) => {
  await history(seed)
})

test('a transaction sent twice over a cut line is committed once', async () => {
  const w = world({ delay: () => 5 })
  seedGraph(w)
  const db = await w.connect()
  const view = db.subscribe(projections[0])
  await w.sim.wait(view.ready)
  view.root.tags.push('once')
  // Wait until the server has committed it, and cut the line before it can say so.
  await w.sim.until(() => w.server.state.objects.get(STORE).body.tags.length === 2)
  w.sockets.at(-1).cut(1006)
  expect([...view.root.tags]).toEqual(['x', 'once'])
  await w.sim.until(() => db.pending.length === 0)
  expect([...view.root.tags]).toEqual(['x', 'once'])
  expect(w.server.state.objects.get(STORE).body.tags).toEqual(['x', 'once'])
  const sent = w.server.heard.filter((m) => m.t === 'mutate')
  expect(sent.length).toBe(1)
  db.close()
})
