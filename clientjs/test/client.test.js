import { describe, expect, test, vi } from 'vitest'
import { Problem } from '../src/protocol.js'
import { addEdge, addObject, id, world } from './world.js'

const [STORE, REC] = [id(1), id(3)]

/** @param {any} [options] */
async function setup(options) {
  const w = world(options)
  w.seed([
    addObject(STORE, 'DataStore', { name: 'Book', tags: [] }),
    addObject(REC, 'Record', { n: 0 }),
    addEdge(id(11), 'dataStore', REC, STORE),
  ])
  const db = await w.connect()
  const view = db.subscribe({ root: STORE, in: { dataStore: {}, target: {} } })
  await w.sim.wait(view.ready)
  const mutates = () => w.server.heard.filter((/** @type {any} */ m) => m.t === 'mutate')
  return { ...w, db, view, store: view.root, rec: db.get(REC), mutates }
}

describe('transactions', () => {
  test('one synchronous turn is one transaction', async () => {
    const { store, rec, sim, mutates } = await setup()
    store.name = 'a'
    rec.n = 1
    store.tags.push('x')
    await sim.settle()
    store.name = 'b'
    await sim.run(10)
    expect(mutates().map((/** @type {any} */ m) => m.patch.length)).toEqual([3, 1])
    expect(mutates()[0].base).toBe(1)
  })

  test('transact resolves with its version, and what came before in the turn goes first', async () => {
    const { db, store, rec, sim, server, mutates } = await setup()
    store.name = 'before'
    const version = await sim.wait(
      db.transact(
        () => {
          rec.n = 1
          db.transact(() => (rec.m = 2)) // belongs to the outer one
        },
        { note: 'why', group: id(99) },
      ),
    )
    expect(version).toBe(server.head)
    expect(mutates().map((/** @type {any} */ m) => m.patch.length)).toEqual([1, 2])
    expect(mutates()[1]).toMatchObject({ note: 'why', group: id(99) })
  })

  test('one is pending from the moment of writing', async () => {
    const { db, store, sim } = await setup()
    expect(db.pending).toEqual([])
    store.name = 'a'
    expect([store.$pending, db.pending.map((p) => p.patch.length)]).toEqual([true, [1]])
    store.tags.push('x')
    const [{ mutation, patch }] = db.pending
    expect(patch.length).toBe(2)
    await sim.settle()
    expect(db.pending.map((p) => p.mutation)).toEqual([mutation])
    await sim.run(10)
    expect([store.$pending, db.pending]).toEqual([false, []])
  })

  test('a patch that does not apply says which operation, where, and what is there instead', async () => {
    const { db, store, mutates } = await setup()
    const fault = (/** @type {any[]} */ ops) => {
      try {
        db.patch(ops)
      } catch (err) {
        return err
      }
    }
    const body = `/objects/${STORE}/body`
    expect(
      fault([
        { op: 'replace', path: `${body}/name`, value: 'mine' },
        { op: 'test', path: `${body}/name`, value: 'Book' },
      ]),
    ).toMatchObject({
      code: 'test-failed',
      op: 1,
      path: `${body}/name`,
      actual: 'mine',
      version: 1,
      message: `the value differs at "${body}/name"`,
    })
    expect(fault([{ op: 'test', path: `/objects/${STORE}/meta/version`, value: 7 }])).toMatchObject({
      op: 0,
      actual: 1,
    })
    expect(fault([{ op: 'remove', path: `${body}/nothing` }])).toMatchObject({
      code: 'path-missing',
      op: 0,
      path: `${body}/nothing`,
    })
    expect(
      fault([{ op: 'remove', path: `${body}/name` }, /** @type {any} */ ({ op: 'spam', path: '' })]),
    ).toMatchObject({
      code: 'invalid-patch',
      op: 1,
    })
    expect([store.name, db.pending, mutates()]).toEqual(['Book', [], []])
  })

  test('one without effect needs no server', async () => {
    const { db, sim, mutates } = await setup()
    expect(await sim.wait(db.transact(() => {}))).toBe(db.version)
    expect(mutates()).toEqual([])
  })

  test('a function that throws leaves nothing behind', async () => {
    const { db, store, sim, mutates } = await setup()
    const boom = new Error('boom')
    const half = db.transact(() => {
      store.name = 'half'
      // What fails within it fails all of it.
      db.transact(() => {
        db.create('Record', {}).dataStore = store
        throw boom
      })
    })
    await expect(half).rejects.toBe(boom)
    expect(store.name).toBe('Book')
    expect(store.records.length).toBe(1)
    store.name = 'whole'
    await sim.run(10)
    expect(mutates().map((/** @type {any} */ m) => m.patch.length)).toEqual([1])
  })

  test('an asynchronous function is refused, and rolled back', async () => {
    const { db, store } = await setup()
    await expect(db.transact(async () => void (store.name = 'x'))).rejects.toThrow(TypeError)
    expect(store.name).toBe('Book')
  })

  test('observers never see half of one', async () => {
    const { db, store, rec, sim } = await setup()
    /** @type {any[]} */
    const seen = []
    db.on('change', () => seen.push([store.name, rec.n]))
    db.transact(() => {
      store.name = 'x'
      rec.n = 7
    })
    await sim.run(10)
    expect(new Set(seen.map(String))).toEqual(new Set(['x,7']))
  })
})

describe('a refusal', () => {
  const refuse = (/** @type {any[]} */ patch) =>
    patch.some((p) => p.value === 'bad')
      ? { code: 'schema', title: 'No', detail: 'not like this', errors: [{ path: '/name', message: 'm' }] }
      : undefined

  test('rolls back completely, tells why, and rejects the promise', async () => {
    const { db, store, rec, sim, server } = await setup()
    server.options.refuse = refuse
    /** @type {any[]} */
    const heard = []
    db.on('reject', (e) => heard.push(e))
    store.tags.push('kept')
    const promise = db.transact(() => {
      store.name = 'bad'
      rec.n = 5
    })
    expect([store.name, rec.n]).toEqual(['bad', 5])
    await expect(sim.wait(promise)).rejects.toMatchObject({ code: 'schema', message: 'not like this' })
    await expect(promise).rejects.toBeInstanceOf(Problem)
    expect([store.name, rec.n, [...store.tags]]).toEqual(['Book', 0, ['kept']])
    expect(heard).toHaveLength(1)
    expect(heard[0]).toMatchObject({ problem: { code: 'schema' }, patch: [{ value: 'bad' }, { value: 5 }] })
    expect(store.$error.code).toBe('schema')
    expect(store.$pending).toBe(false)
    store.name = 'good'
    expect(store.$error).toBeUndefined()
  })

  test('of which nobody wants to hear is warned about', async () => {
    const { store, sim, server } = await setup()
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    server.options.refuse = refuse
    store.name = 'bad'
    await sim.run(10)
    expect(warn).toHaveBeenCalledWith(expect.stringContaining('not like this'))
    warn.mockRestore()
  })

  test('for now keeps it pending, and what builds on it too, in order', async () => {
    const { db, store, sim, server, mutates } = await setup()
    let busy = true
    const rejects = vi.fn()
    db.on('reject', rejects)
    server.options.refuse = (/** @type {any[]} */ patch) =>
      busy && patch[0].path.includes('/objects/') && patch[0].op === 'add'
        ? { code: 'unavailable', title: 'Not now', retryAfterMs: 500 }
        : undefined
    const made = db.create('Record', { n: 1, dataStore: store })
    await sim.settle()
    made.n = 2 // the server will say not-found: the creation was put off
    await sim.run(100)
    expect(made.n).toBe(2)
    expect(made.$pending).toBe(true)
    expect(db.pending).toHaveLength(2)
    busy = false
    await sim.run(600)
    expect(db.pending).toEqual([])
    expect(rejects).not.toHaveBeenCalled()
    expect(server.entity(`objects/${made.$id}`).body).toEqual({ n: 2 })
    expect(mutates()).toHaveLength(4)
  })

  test('takes what was built on it along, and says so', async () => {
    const { db, store, sim, server, mutates } = await setup()
    server.options.refuse = (/** @type {any[]} */ patch) =>
      patch[0].value?.body?.n === 'bad' ? { code: 'schema', title: 'No' } : undefined
    const rejects = vi.fn()
    db.on('reject', rejects)
    db.create('Record', { n: 'bad' }, { id: id(50) })
    await sim.settle()
    db.get(id(50)).n = 2
    store.name = 'by itself'
    await sim.settle()
    db.get(id(50)).n = 3
    await sim.run(50)
    const [first, ...rest] = rejects.mock.calls.map(([e]) => e)
    expect(first.dependsOn).toBeUndefined()
    expect(rest.map((e) => [e.problem.code, e.dependsOn])).toEqual([
      ['not-found', first.mutation],
      ['not-found', first.mutation],
    ])
    expect([db.get(id(50)), db.pending, mutates().length]).toEqual([undefined, [], 3])
  })

  test('comes from this side for what would cost the connection', async () => {
    const { db, store, sim, mutates } = await setup()
    const rejects = vi.fn()
    db.on('reject', rejects)
    store.name = 'x'.repeat(200_000)
    await sim.run(10)
    expect(rejects.mock.calls[0][0].problem).toMatchObject({ code: 'too-large', problem: { limit: 'messageBytes' } })
    expect(store.name).toBe('Book')
    expect(mutates()).toEqual([])
    expect(db.status).toBe('live')
  })
})

describe('an index into an array', () => {
  test('waits for an earlier change of the same entity, and then names the version that holds it; an append need not', async () => {
    const { store, sim, mutates, server } = await setup({ delay: () => 5 })
    store.tags.push('a', 'b')
    await sim.settle()
    store.tags.shift()
    await sim.settle()
    store.tags.push('c')
    await sim.until(() => mutates().length === 1)
    expect([...store.tags]).toEqual(['b', 'c'])
    await sim.run(100)
    expect(mutates().map((/** @type {any} */ m) => m.base)).toEqual([1, 2, 1])
    expect(server.entity(`objects/${STORE}`).body.tags).toEqual(['b', 'c'])
  })

  test('that others have moved meanwhile follows the element that was meant', async () => {
    const { store, sim, mutates, server } = await setup({ delay: () => 5 })
    store.tags.push('a', 'b')
    await sim.run(100)
    store.tags[1] = 'B' // on its way, when bob puts something before it
    server.commit([{ op: 'add', path: `/objects/${STORE}/body/tags/0`, value: 'bob' }], 'bob', crypto.randomUUID())
    await sim.run(100)
    expect([...store.tags]).toEqual(['bob', 'a', 'B'])
    expect(server.entity(`objects/${STORE}`).body.tags).toEqual(['bob', 'a', 'B'])
    const [, first, second] = mutates()
    expect([first.base, second.base, first.mutation === second.mutation]).toEqual([2, 3, true])
    expect(second.patch).toEqual([{ op: 'replace', path: `/objects/${STORE}/body/tags/2`, value: 'B' }])
  })

  test('whose element is gone goes back to the app, with what is there now', async () => {
    const { db, store, sim, mutates, server } = await setup({ delay: () => 5 })
    store.tags.push('a', 'b')
    await sim.run(100)
    const heard = vi.fn()
    db.on('reject', heard)
    store.tags[1] = 'B'
    server.commit([{ op: 'remove', path: `/objects/${STORE}/body/tags/1` }], 'bob', crypto.randomUUID())
    await sim.run(100)
    expect([...store.tags]).toEqual(['a'])
    expect(heard.mock.calls[0][0].problem).toMatchObject({ code: 'test-failed', problem: { version: 3 } })
    expect(mutates()).toHaveLength(2)
  })

  test('is tried again up to a bound', async () => {
    const { db, store, sim, mutates, server } = await setup({ delay: () => 5 })
    store.tags.push('a')
    await sim.run(100)
    const heard = vi.fn()
    db.on('reject', heard)
    let n = 0
    server.options.refuse = (/** @type {any[]} */ patch) => {
      if (patch[0].value === 'A' && n++ < 20) {
        const to = `/objects/${STORE}/body/tags/0`
        server.commit([{ op: 'add', path: to, value: `bob ${n}` }], 'bob', crypto.randomUUID())
      }
    }
    store.tags[0] = 'A'
    await sim.run(1_000)
    expect(heard).toHaveBeenCalledTimes(1)
    expect(mutates()).toHaveLength(1 + 9)
    expect([...store.tags].at(-1)).toBe('a')
  })

  test('needs no waiting for other entities', async () => {
    const { store, rec, sim, mutates } = await setup({ delay: () => 5 })
    store.tags.push('a')
    await sim.run(100)
    rec.n = 1
    await sim.settle()
    store.tags[0] = 'A'
    await sim.run(6)
    expect(mutates()).toHaveLength(3)
  })
})

describe('offline', () => {
  test('work goes on, and is sent in order when the line is back', async () => {
    const { db, store, sim, sockets, server } = await setup()
    sockets[0].cut(1006)
    expect(db.status).toBe('reconnecting')
    store.name = 'offline'
    await sim.settle()
    const rec = db.create('Record', { n: 1, dataStore: store })
    expect(store.records.length).toBe(2)
    server.commit([{ op: 'add', path: `/objects/${STORE}/body/note`, value: 'meanwhile' }], 'bob', crypto.randomUUID())
    await sim.run(2_000)
    expect(db.status).toBe('live')
    expect(store.note).toBe('meanwhile')
    expect(server.entity(`objects/${STORE}`).body.name).toBe('offline')
    expect(server.entity(`objects/${rec.$id}`).body).toEqual({ n: 1 })
    const hello = server.heard.filter((/** @type {any} */ m) => m.t === 'hello')
    expect(hello[0].session).toBe(hello[1].session)
  })

  test('a change that no longer applies is hidden, not half shown', async () => {
    const { store, db, rec, sim, server } = await setup()
    db.on('reject', () => {})
    server.hold = true
    db.transact(() => {
      rec.n = 9
      store.name = 'with it'
    })
    server.commit([{ op: 'remove', path: `/objects/${REC}` }], 'bob', crypto.randomUUID())
    server.hold = false
    for (const s of server.sessions) s.wake()
    await sim.run(20)
    expect(store.name).toBe('Book')
    expect(store.records.length).toBe(0)
  })
})

test('pending changes of one entity are shown in the order written, whatever comes in', async () => {
  const { store, sim, server } = await setup()
  server.hold = true
  for (const name of ['one', 'two', 'three']) {
    store.name = name
    await sim.settle()
  }
  server.commit([{ op: 'add', path: `/objects/${STORE}/body/note`, value: 'x' }], 'bob', crypto.randomUUID())
  for (const s of server.sessions) s.flush()
  await sim.run(1)
  expect([store.name, store.note]).toEqual(['three', 'x'])
})

describe('views', () => {
  test('ready rejects with the problem', async () => {
    const { db, sim } = await setup()
    const view = db.subscribe({ root: id(404) })
    await expect(sim.wait(view.ready)).rejects.toMatchObject({ code: 'not-found' })
    expect(view.status).toBe('failed')
    expect(view.root).toBeUndefined()
  })

  test('what no view holds any more is forgotten', async () => {
    const { db, view, sim } = await setup()
    const other = db.subscribe({ root: REC })
    await sim.wait(other.ready)
    view.close()
    expect(db.get(STORE)).toBeUndefined()
    expect(db.get(REC).n).toBe(0)
    other.close()
    expect(db.store.shown.size).toBe(0)
    expect(db.store.holders.size).toBe(0)
    await sim.run(10)
    expect(view.status).toBe('closed')
  })

  test('a view closed before it is loaded says so', async () => {
    const { db, sim } = await setup()
    const view = db.subscribe({ root: REC })
    view.close()
    await expect(sim.wait(view.ready)).rejects.toMatchObject({ code: 'closed' })
  })

  test('live objects may stand for ids', async () => {
    const { db, store, sim, server } = await setup()
    await sim.wait(db.subscribe({ root: [store, REC] }).ready)
    expect(server.heard.at(-1).projection.root).toEqual([STORE, REC])
    await sim.wait(db.subscribe('One', { id: store, others: [REC, store], n: 1, none: null }).ready)
    expect(server.heard.at(-1)).toMatchObject({
      name: 'One',
      args: { id: STORE, others: [REC, STORE], n: 1, none: null },
    })
  })

  test('the past is read only, and stays', async () => {
    const { db, store, sim, sockets } = await setup()
    store.name = 'later'
    await sim.run(10)
    const past = db.at(1).subscribe({ root: STORE })
    await sim.wait(past.ready)
    expect(past.root.name).toBe('Book')
    expect(store.name).toBe('later')
    expect(() => (past.root.name = 'x')).toThrow(/past/)
    sockets[0].cut(1006)
    await sim.run(2_000)
    expect(past.root.name).toBe('Book')
    expect(past.status).toBe('live')
  })
})

describe('operations', () => {
  /** The executor's part. @param {any} server @param {string} operation @param {any} body */
  const report = (server, operation, body) =>
    server.commit(
      Object.keys(body).map((k) => ({ op: 'add', path: `/objects/${operation}/body/${k}`, value: body[k] })),
      'run:1',
      crypto.randomUUID(),
    )

  test('run creates the request with its target, and follows it to its result', async () => {
    const { db, store, sim, server } = await setup()
    const op = await sim.wait(db.run('jira-sync', { project: 'X' }, { target: store }))
    expect(server.entity(`objects/${op.$id}`)).toMatchObject({
      type: 'OperationRequest',
      body: { operation: 'jira-sync', params: { project: 'X' } },
    })
    expect(store.operations.map((/** @type {any} */ o) => o.$id)).toEqual([op.$id])
    report(server, op.$id, { state: 'running', progress: 0.5, status: [{ message: 'half' }] })
    await sim.run(10)
    expect([op.body.progress, op.body.status[0].message, op.done]).toEqual([0.5, 'half', false])
    report(server, op.$id, { state: 'succeeded', result: { count: 3 } })
    expect(await sim.wait(op.result)).toEqual({ count: 3 })
    expect(op.done).toBe(true)
    expect(op.body.result.count).toBe(3)
  })

  test('one that fails rejects with its problem, one that is cancelled says so', async () => {
    const { db, sim, server } = await setup()
    const failing = await sim.wait(db.run('a'))
    report(server, failing.$id, { state: 'failed', error: { code: 'not-found', title: 'Gone' } })
    await expect(sim.wait(failing.result)).rejects.toMatchObject({ code: 'not-found' })
    const slow = await sim.wait(db.run('b'))
    slow.cancel()
    await sim.run(10)
    expect(server.entity(`objects/${slow.$id}`).body.cancel).toBe(true)
    report(server, slow.$id, { state: 'cancelled' })
    await expect(sim.wait(slow.result)).rejects.toMatchObject({ code: 'cancelled' })
  })
})

describe('rights, presence, undo', () => {
  test('can asks the server; $can is the live form', async () => {
    const { db, store, sim, server } = await setup()
    expect(await sim.wait(db.can(store, 'write'))).toBe(true)
    expect(await sim.wait(db.can(store, 'manage'))).toBe(false)
    expect(store.$can('write')).toBe(true)
    expect(server.heard.filter((/** @type {any} */ m) => m.t === 'can').length).toBeGreaterThan(0)
  })

  test('rights are asked for again after a reconnect, of what is still here', async () => {
    const { db, store, sim, server, sockets } = await setup()
    const ids = [STORE, ...Array.from({ length: 20 }, (_, n) => id(5_000 + n))] // the others were seen once
    await sim.wait(Promise.all(ids.map((i) => db.can(i, 'write'))))
    const asked = () => server.heard.filter((/** @type {any} */ m) => m.t === 'can').flatMap((m) => m.objects)
    expect(asked()).toHaveLength(21)
    sockets[0].cut(1006)
    await sim.run(3_000)
    expect(asked().slice(21)).toEqual([STORE])
    expect(store.$can('write')).toBe(true)
    expect([...(db.presences?.rights.keys() ?? [])]).toEqual([STORE])
  })

  test('$history asks the server what became of an object, or an edge', async () => {
    /** @type {string[]} */
    const paths = []
    const { db, store, sim, server } = await setup()
    const { fetch } = db.http
    db.http.fetch = async (url, init) => {
      const path = new URL(String(url)).pathname
      if (!path.endsWith('/history')) return fetch(url, init)
      paths.push(path)
      return Response.json({ entries: [{ version: server.head }] })
    }
    const edge = store.$edge('records', store.records[0])
    const answers = await sim.wait(Promise.all([store.$history(), edge.$history()]))
    expect(answers).toEqual(Array(2).fill({ entries: [{ version: server.head }] }))
    expect(paths).toEqual([`/v1/graphs/main/objects/${store.$id}/history`, `/v1/graphs/main/edges/${edge.$id}/history`])
    db.http.fetch = async () => Response.json({ code: 'not-found', title: 'Gone' }, { status: 404 })
    await expect(sim.wait(store.$history())).rejects.toMatchObject({ code: 'not-found' })
  })

  test('presence tells the others, and again after a reconnect', async () => {
    const { db, store, sim, connect, sockets } = await setup()
    const other = await connect()
    const view = other.subscribe({ root: STORE })
    await sim.wait(view.ready)
    db.presence(store, { cursor: 1 })
    await sim.run(10)
    expect(view.root.$presence).toMatchObject([{ session: db.session, state: { cursor: 1 } }])
    expect(store.$presence).toEqual([])
    sockets[0].cut(1006)
    sockets[1].cut(1006)
    await sim.run(3_000)
    expect(view.root.$presence).toMatchObject([{ state: { cursor: 1 } }])
    db.presence(store, null)
    await sim.run(10)
    expect(view.root.$presence).toEqual([])
  })

  test('undo and redo are commits of the server', async () => {
    const { db, store, sim } = await setup()
    store.name = 'one'
    await sim.run(10)
    store.name = 'two'
    await sim.wait(db.undo())
    await sim.run(10)
    expect(store.name).toBe('one')
    await sim.wait(db.undo())
    await sim.run(10)
    expect(store.name).toBe('Book')
    await sim.wait(db.redo())
    await sim.run(10)
    expect(store.name).toBe('one')
    store.name = 'other'
    await sim.run(10)
    expect(await sim.wait(db.redo())).toBeUndefined()
  })
})

describe('connect', () => {
  test('rejects when the server says that coming back is no use', async () => {
    const w = world({ token: 'bad' })
    await expect(w.sim.wait(w.make().start(20_000))).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  test('rejects after the time given when nobody answers', async () => {
    const w = world({ refuse: () => true })
    await expect(w.sim.wait(w.make().start(5_000))).rejects.toMatchObject({ code: 'unavailable' })
    await w.sim.run(60_000)
    expect(w.sim.events.size).toBe(0)
  })

  test('a new schema is read, and names mean what it says', async () => {
    const { db, store, sim, server, sockets } = await setup()
    const next = structuredClone(server.options.schema)
    next.version = 2
    next.types.DataStore.edges.in.dataStore.as = 'rows'
    server.options.schema = next
    sockets[0].onmessage({ data: '{"t":"schema","version":2}' })
    await sim.run(10)
    expect(db.schema.version).toBe(2)
    expect(store.rows.length).toBe(1)
    expect(store.records).toBeUndefined()
  })
})
