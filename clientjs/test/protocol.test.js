import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { Problem, parseMessages } from '../src/protocol.js'
import { addObject, id, world } from './world.js'

const folder = new URL('../../server/protocol/testdata/', import.meta.url)
const golden = (/** @type {string} */ name) => parseMessages(readFileSync(new URL(name, folder), 'utf8'))
const files = readdirSync(folder)

/** A connected client whose server says only what the test puts into its mouth. */
async function puppet() {
  const w = world()
  w.server.mute = true
  const db = await w.connect()
  const socket = w.sockets[0]
  return {
    ...w,
    db,
    say: (/** @type {any[]} */ messages) =>
      socket.onmessage({ data: messages.map((m) => JSON.stringify(m)).join('\n') }),
  }
}

describe('every golden message of the server', () => {
  test.each(files.filter((f) => f.startsWith('server-')))('%s is taken without a fault', async (file) => {
    const { db, say } = await puppet()
    const view = db.subscribe({ root: id(1) })
    const messages = golden(file).map((m) => ('sub' in m ? { ...m, sub: view.sub } : m))
    /** @type {any[]} */
    const problems = []
    db.on('problem', (p) => problems.push(p))
    say(messages)
    expect(problems).toEqual([])
    expect(['live', 'waiting']).toContain(db.connection.state.name)
    db.close()
  })

  test('a load in frames shows nothing before the last', async () => {
    const { db, say } = await puppet()
    const view = db.subscribe({ root: id(1) })
    const frames = golden('server-load-frames.json').map((m) => ({ ...m, sub: view.sub, digest: undefined }))
    say(frames.slice(0, 2))
    expect(view.status).toBe('loading')
    expect(db.store.shown.size).toBe(0)
    expect(view.total).toBe(3)
    say(frames.slice(2))
    expect(await view.ready).toBe(view)
    expect(view.members.size).toBe(3)
    expect(view.root.name).toBe('Q3 <é> "x"')
    db.close()
  })

  test('a delta patches the copy at `was` and drops what it covers', async () => {
    const { db, say } = await puppet()
    const view = db.subscribe({ root: id(1) })
    const [load] = golden('server-load.json')
    const [delta] = golden('server-delta.json')
    const object = Object.keys(delta.objects)[0]
    load.objects[object].meta.version = delta.objects[object].was
    load.objects[object].body.name = 'before'
    say([{ ...load, sub: view.sub, version: 6, digest: undefined }])
    expect(db.get(object).name).toBe('before')
    say([delta])
    expect(db.get(object).name).toBe('Q3')
    expect(db.get(object).$meta).toEqual(delta.objects[object].meta)
    expect(db.version).toBe(7)
    db.close()
  })

  test('a delta that covers an own change drops it in the same step, before its ack', async () => {
    const { db, say, server, sim } = await puppet()
    const view = db.subscribe({ root: id(1) })
    const meta = { version: 1 }
    say([
      {
        t: 'load',
        sub: view.sub,
        view: 'v1',
        key: 'k',
        version: 1,
        objects: { [id(1)]: { type: 'DataStore', body: { tags: ['a'] }, meta } },
        edges: {},
        roots: [id(1)],
        done: true,
      },
    ])
    view.root.tags.push('b')
    await sim.run(10)
    const { mutation, patch } = server.heard.at(-1)
    expect(patch).toHaveLength(1)
    const entry = { version: 2, was: 1, patch: [{ op: 'add', path: '/body/tags/-', value: 'b' }], meta: { version: 2 } }
    const delta = {
      t: 'delta',
      view: 'v1',
      version: 2,
      mutations: [mutation],
      objects: { [id(1)]: entry },
      edges: {},
      done: true,
    }
    say([delta])
    expect([...view.root.tags]).toEqual(['a', 'b'])
    expect(view.root.$pending).toBe(false)
    say([{ t: 'ack', mutation, version: 2 }])
    expect([...view.root.tags]).toEqual(['a', 'b'])
    expect(db.pending).toEqual([])
    db.close()
  })

  test('a load whose digest does not hold is asked for again, whole', async () => {
    const { db, say, server, sim } = await puppet()
    const view = db.subscribe({ root: id(1) })
    const load = {
      t: 'load',
      sub: view.sub,
      view: 'v1',
      key: 'k',
      version: 1,
      objects: {},
      edges: {},
      roots: [],
      done: true,
      digest: 5,
    }
    say([load])
    await sim.run(10)
    const subs = server.heard.filter((m) => m.t === 'sub')
    expect(subs).toHaveLength(2)
    expect('since' in subs[1]).toBe(false)
    db.close()
  })

  test('a copy that is not at `was` is never guessed: the view is asked for again, from its version', async () => {
    const { db, say, server, sim } = await puppet()
    const view = db.subscribe({ root: id(1) })
    const [load] = golden('server-load.json')
    const [delta] = golden('server-delta.json')
    const object = Object.keys(delta.objects)[0]
    load.objects[object].meta.version = 2
    load.objects[object].body.name = 'before'
    say([{ ...load, sub: view.sub, version: 6, digest: undefined }])
    const sub = view.sub
    say([delta])
    expect(db.get(object).name).toBe('before')
    await sim.run(10)
    const again = server.heard.filter((m) => m.t === 'sub').at(-1)
    expect(again).toMatchObject({ since: 6, epoch: 'e1', key: load.key })
    expect(again.sub).not.toBe(sub)
    expect(server.heard.at(-1)).toEqual({ t: 'unsub', sub })
    db.close()
  })

  test('a copy at that version or later is left as it is', async () => {
    const { db, say } = await puppet()
    const view = db.subscribe({ root: id(1) })
    const [load] = golden('server-load.json')
    const [delta] = golden('server-delta.json')
    const object = Object.keys(delta.objects)[0]
    say([{ ...load, sub: view.sub, digest: undefined }])
    const before = db.store.shown.get(`objects/${object}`)
    say([delta])
    expect(db.store.shown.get(`objects/${object}`)).toBe(before)
    expect(view.status).toBe('live')
    db.close()
  })

  test('a problem keeps all that its code adds', () => {
    const [m] = golden('server-error.json')
    const problem = new Problem(m.problem)
    expect(problem).toMatchObject({
      code: 'too-large',
      message: 'more than 100 subscriptions',
      problem: { limit: 'subscriptions' },
    })
  })
})

describe('every message of the client', () => {
  /** @param {any} value @returns {any} the shape: names and kinds */
  const shape = (value) =>
    value !== null && typeof value === 'object' && !Array.isArray(value) ? Object.keys(value).sort() : typeof value

  test('has a golden file with the same fields', async () => {
    const { sim, server, seed, connect } = world()
    seed([addObject(id(1), 'DataStore', { name: 'x' })])
    const db = await connect({ token: 'ann' })
    const view = db.subscribe({ root: id(1) })
    await sim.wait(view.ready)
    view.root.name = 'y'
    await sim.wait(db.can(view.root, 'write'))
    db.presence(view.root, { cursor: 1 })
    db.presence(view.root, null)
    db.reconnect()
    db.at(1).subscribe({ root: id(1) })
    view.close()
    await sim.run(100)
    const told = new Map(server.heard.map((m) => [`${m.t} ${shape(m)}`, m]))
    const known = new Set(
      files.filter((f) => f.startsWith('client-')).flatMap((f) => golden(f).map((m) => `${m.t} ${shape(m)}`)),
    )
    // The base of a transaction is optional, and so is in a file of its own.
    const sent = [...told.values()].map(
      (m) => `${m.t} ${shape(m.t === 'mutate' ? { ...m, base: undefined, group: '', note: '' } : m)}`,
    )
    for (const s of sent) expect(known).toContain(s)
    expect(sent.length).toBeGreaterThanOrEqual(8)
    db.close()
  })
})

test('a load that nobody asked for is shown with the deltas of its version, though it comes in parts', async () => {
  const [A, B] = [id(31), id(32)]
  const w = world()
  w.seed([addObject(A, 'Record', { n: 0 }), addObject(B, 'Record', { n: 0 })])
  const db = await w.connect()
  const [one, two] = [db.subscribe({ root: A }), db.subscribe({ root: B })]
  await w.sim.wait(Promise.all([one.ready, two.ready]))
  /** @type {any[]} */
  const seen = []
  const stop = db.on('change', () => seen.push([one.root.n, two.root.n]))
  const patch = [{ op: 'replace', path: '/body/n', value: 1 }]
  const entry = (/** @type {string} */ i) => ({ [i]: { version: 2, was: 1, patch, meta: { version: 2 } } })
  const say = (/** @type {any[]} */ ...messages) =>
    w.sockets[0].onmessage({ data: messages.map((m) => JSON.stringify(m)).join('\n') })
  say(
    { t: 'load', sub: one.sub, view: 'parted', key: 'k', version: 2, objects: entry(A), done: false },
    { t: 'delta', view: two.viewId, version: 2, objects: entry(B) },
  )
  await w.sim.settle()
  expect(seen).toEqual([])
  say({ t: 'load', sub: one.sub, view: 'parted', key: 'k', version: 2, done: true })
  await w.sim.settle()
  expect(seen).toEqual([[1, 1]])
  stop()
  db.close()
})
