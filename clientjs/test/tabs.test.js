import 'fake-indexeddb/auto'
import { describe, expect, test, vi } from 'vitest'
import { nameOf, subject } from '../src/identity.js'
import { connect } from '../src/index.js'
import { persist } from '../src/persist.js'
import { share } from '../src/share.js'
import { browser } from './browser.js'
import { fakeWebSocket } from './sim.js'
import { addEdge, addObject, id, world } from './world.js'

const [STORE, REC] = [id(1), id(3)]
const book = { root: STORE, in: { dataStore: {} } }

/** @param {any} w */
const seed = (w) =>
  w.seed([
    addObject(STORE, 'DataStore', { name: 'Book', tags: ['a', 'b'] }),
    addObject(REC, 'Record', { n: 0 }),
    addEdge(id(11), 'dataStore', REC, STORE),
  ])

/** @param {number} pages @param {any} [options] */
async function shared(pages, options) {
  const w = world(options)
  seed(w)
  const { open } = browser(w.sim)
  let sockets = 0
  const Real = fakeWebSocket({ sim: w.sim, server: w.server, delay: () => 5 })
  const Counted = class extends Real {
    /** @param {string} url */
    constructor(url) {
      super(url)
      sockets++
      w.sockets.push(this)
    }
  }
  /** Another tab. */
  const join = async () => {
    const page = open()
    const { WebSocket, leave } = share('test', Counted, page.platform)
    const db = w.make({ WebSocket, token: 'ann' })
    db.on('status', (s) => s === 'closed' && leave())
    await w.sim.wait(db.start(20_000))
    const view = db.subscribe(book)
    await w.sim.wait(view.ready)
    return { db, view, store: view.root, page }
  }
  const tabs = []
  for (let i = 0; i < pages; i++) tabs.push(await join())
  return { ...w, tabs, join, opened: () => sockets }
}

describe('tabs that share', () => {
  test('have one connection, and hear of each other', async () => {
    const { tabs, sim, server, opened } = await shared(3)
    expect(opened()).toBe(1)
    tabs[1].store.name = 'from the second'
    tabs[2].store.tags.push('third')
    await sim.run(200)
    for (const { store, db } of tabs) {
      expect([store.name, [...store.tags], db.pending.length]).toEqual(['from the second', ['a', 'b', 'third'], 0])
    }
    expect(server.sessions.size).toBe(1)
    for (const { db } of tabs) db.close()
    await sim.run(200)
    expect(server.sessions.size).toBe(0)
  })

  test('hear only of what is theirs: a refusal, a view, a question', async () => {
    const { tabs, sim, server } = await shared(2)
    server.options.refuse = (/** @type {any[]} */ patch) =>
      patch[0].value === 'bad' ? { code: 'schema', title: 'No' } : undefined
    const heard = tabs.map(({ db }) => {
      const fn = vi.fn()
      db.on('reject', fn)
      return fn
    })
    tabs[1].store.name = 'bad'
    const narrow = tabs[0].db.subscribe({ root: REC })
    await sim.wait(narrow.ready)
    expect(await sim.wait(Promise.all(tabs.map(({ db }) => db.can(REC, 'write'))))).toEqual([true, true])
    narrow.close()
    await sim.run(100)
    expect(heard.map((fn) => fn.mock.calls.length)).toEqual([0, 1])
    for (const { db } of tabs) db.close()
  })

  test.each([
    ['closes', false],
    ['dies', true],
  ])('go on when the leading tab %s', async (_, dies) => {
    const { tabs, sim, server, opened } = await shared(3)
    tabs[1].store.tags.push('before')
    await sim.run(3)
    if (dies) {
      tabs[0].page.kill() // what it still says, nobody hears
    }
    tabs[0].db.close()
    tabs[2].store.tags.push('meanwhile')
    await sim.run(5_000)
    const rest = tabs.slice(1)
    expect(rest.map(({ db }) => db.status)).toEqual(['live', 'live'])
    await sim.until(() => rest.every(({ db }) => db.pending.length === 0))
    await sim.run(100)
    for (const { store } of rest) expect([...store.tags]).toEqual(server.entity(`objects/${STORE}`).body.tags)
    expect([...rest[0].store.tags].sort()).toEqual(['a', 'b', 'before', 'meanwhile'])
    expect(opened()).toBe(2)
    for (const { db } of rest) db.close()
  })

  test('a tab that dies without a word is unsubscribed', async () => {
    const { tabs, sim, server } = await shared(2)
    const [session] = server.sessions
    expect(session.views.size).toBe(2)
    tabs[1].page.kill()
    await sim.run(200)
    expect(session.views.size).toBe(1)
    tabs[0].db.close()
  })

  test('see each other’s presence, and that of others; to those they are one', async () => {
    const { tabs, sim, make } = await shared(2)
    const other = await sim.wait(make({ token: 'bob' }).start(20_000))
    const far = other.subscribe(book)
    await sim.wait(far.ready)
    const [one, two] = tabs
    const states = (/** @type {any} */ store) => store.$presence.map((/** @type {any} */ p) => p.state)
    one.db.presence(one.store, { at: 1 })
    await sim.run(100)
    expect([states(one.store), states(two.store), states(far.root)]).toEqual([[], [{ at: 1 }], [{ at: 1 }]])
    expect(two.store.$presence[0]).toMatchObject({ session: one.db.session, user: 'ann' })
    two.db.presence(two.store, { at: 2 })
    other.presence(far.root, { far: true })
    await sim.run(100)
    expect(states(far.root)).toEqual([{ at: 2 }])
    expect(states(one.store)).toEqual([{ at: 2 }, { far: true }])
    two.db.presence(two.store, null) // the first is still there
    await sim.run(100)
    expect([states(far.root), states(one.store)]).toEqual([[{ at: 1 }], [{ far: true }]])
    two.page.kill()
    one.page.kill()
    await sim.run(200)
    other.close()
  })

  test('tell a tab that joins who is there, and of one that dies that it has left', async () => {
    const { tabs, sim, join } = await shared(2)
    tabs[1].db.presence(tabs[1].store, { at: 'the second' })
    await sim.run(100)
    const late = await join()
    await sim.run(100)
    expect(late.store.$presence).toMatchObject([{ session: tabs[1].db.session, state: { at: 'the second' } }])
    tabs[1].page.kill()
    await sim.run(200)
    expect([late.store.$presence, tabs[0].store.$presence]).toEqual([[], []])
    // And when the leader changes, all is said again.
    late.db.presence(late.store, { at: 'the third' })
    await sim.run(100)
    expect(tabs[0].store.$presence).toMatchObject([{ state: { at: 'the third' } }])
    tabs[0].page.kill()
    tabs[0].db.close() // its socket goes with it
    const last = await join()
    await sim.run(5_000)
    expect(last.store.$presence).toMatchObject([{ session: late.db.session, state: { at: 'the third' } }])
    for (const { db } of [late, last]) db.close()
  })

  test('come back together when the server was away', async () => {
    const { tabs, sim, sockets } = await shared(2)
    sockets.at(-1).cut(1006)
    await sim.run(20)
    expect(tabs.map(({ db }) => db.status)).toEqual(['reconnecting', 'reconnecting'])
    tabs[0].store.name = 'offline'
    await sim.run(5_000)
    expect(tabs.map(({ db, store }) => [db.status, store.name])).toEqual([
      ['live', 'offline'],
      ['live', 'offline'],
    ])
    for (const { db } of tabs) db.close()
  })
})

test('what is shared or kept belongs to one server, graph and user', () => {
  const token = `x.${btoa(JSON.stringify({ sub: 'ann' }))}.y`
  expect(subject(token)).toBe('ann')
  expect(subject('nonsense')).toBe('')
  expect(nameOf('http://a/', 'main', token)).toBe('graphtide http://a main ann')
})

// Persistence ------------------------------------------------------------------------

/** Lets IndexedDB work: it takes turns of the real event loop. @param {any} sim */
async function settle(sim) {
  for (let i = 0; i < 40; i++) await sim.settle()
}

let databases = 0

/** A browser whose pages come and go, at a server. @param {any} [options] */
function pages(options) {
  const w = world(options)
  seed(w)
  const name = `test ${++databases}`
  return {
    ...w,
    name,
    /** A page, before it has connected. @param {string} [tab] */
    async page(tab = 'tab') {
      const db = w.make({ token: 'ann' })
      const problems = vi.fn()
      db.on('problem', problems)
      const kept = await persist(db, name, { tab, locks: undefined })
      return { db, kept, problems }
    },
    /** The page is gone: nothing more is written. @param {any} page */
    async reload({ db, kept }) {
      await kept.flush()
      kept.close()
      db.persisted = null
      db.connection.close()
      await settle(w.sim)
    },
  }
}

describe('what is kept', () => {
  test('unsent transactions survive a reload, and are committed once', async () => {
    const w = pages()
    const one = await w.page()
    await w.sim.wait(one.db.start(20_000))
    const view = one.db.subscribe(book)
    await w.sim.wait(view.ready)
    w.sockets.at(-1).cut(1006)
    view.root.name = 'offline'
    const made = one.db.create('Record', { n: 5, dataStore: view.root })
    await settle(w.sim)
    await w.reload(one)

    const two = await w.page()
    expect(two.db.session).toBe(one.db.session)
    expect(two.db.pending).toHaveLength(1)
    await w.sim.wait(two.db.start(20_000))
    const again = two.db.subscribe(book)
    await w.sim.wait(again.ready)
    expect(again.root.name).toBe('offline')
    await w.sim.until(() => two.db.pending.length === 0)
    expect(w.server.entity(`objects/${STORE}`).body.name).toBe('offline')
    expect(w.server.entity(`objects/${made.$id}`).body).toEqual({ n: 5 })
    expect(w.server.head).toBe(2)
    two.db.close()
  })

  test('one that was committed before the page could hear of it is not sent again', async () => {
    const w = pages({ delay: () => 5 })
    const one = await w.page()
    await w.sim.wait(one.db.start(20_000))
    const view = one.db.subscribe(book)
    await w.sim.wait(view.ready)
    view.root.tags.push('once')
    await w.sim.until(() => w.server.head === 2)
    await settle(w.sim)
    await w.reload(one)
    const two = await w.page()
    await w.sim.wait(two.db.start(20_000))
    const again = two.db.subscribe(book)
    await w.sim.until(() => again.state === 'live' && two.db.pending.length === 0)
    expect([...again.root.tags]).toEqual(['a', 'b', 'once'])
    expect(w.server.heard.filter((m) => m.t === 'mutate')).toHaveLength(1)
    two.db.close()
  })

  test('a page shows at once what it had, without a server, and resumes where it stood', async () => {
    const w = pages()
    const one = await w.page()
    await w.sim.wait(one.db.start(20_000))
    const view = one.db.subscribe(book)
    await w.sim.wait(view.ready)
    await w.reload(one)
    w.server.commit([{ op: 'add', path: `/objects/${STORE}/body/note`, value: 'new' }], 'bob', crypto.randomUUID())

    const two = await w.page()
    await two.db.start(20_000)
    const again = two.db.subscribe(book)
    await again.ready
    expect([two.db.status, again.root.name, again.root.records.length]).toEqual(['connecting', 'Book', 1])
    await w.sim.until(() => again.state === 'live')
    expect(again.root.note).toBe('new')
    expect(w.server.heard.findLast((m) => m.t === 'sub')).toMatchObject({ since: 1, key: 'k' })
    two.db.close()
  })

  test('undo and redo survive', async () => {
    const w = pages()
    const one = await w.page()
    await w.sim.wait(one.db.start(20_000))
    const view = one.db.subscribe(book)
    await w.sim.wait(view.ready)
    view.root.name = 'second'
    await w.sim.run(100)
    view.root.name = 'third'
    await w.sim.run(100)
    await w.sim.wait(one.db.undo())
    await w.reload(one)
    const two = await w.page()
    await w.sim.wait(two.db.start(20_000))
    const again = two.db.subscribe(book)
    await w.sim.until(() => again.state === 'live')
    await w.sim.wait(two.db.undo())
    await w.sim.run(100)
    expect(again.root.name).toBe('Book')
    await w.sim.wait(two.db.redo())
    await w.sim.run(100)
    expect(again.root.name).toBe('second')
    two.db.close()
  })

  test('an undo under way survives: it is shown again, and done once', async () => {
    const w = pages()
    const one = await w.page()
    await w.sim.wait(one.db.start(20_000))
    const view = one.db.subscribe(book)
    await w.sim.wait(view.ready)
    view.root.name = 'second'
    await w.sim.run(100)
    let cut = true
    w.server.options.reverting = async () => {
      if (cut) throw new Error('the line is down')
    }
    one.db.undo().catch(() => {})
    await w.sim.run(10)
    expect(view.root.name).toBe('Book')
    await settle(w.sim)
    await w.reload(one)
    const two = await w.page()
    await two.db.start(20_000)
    const again = two.db.subscribe(book)
    expect(again.root.name).toBe('Book')
    await w.sim.until(() => again.state === 'live')
    expect([again.root.name, w.server.head]).toEqual(['Book', 2])
    cut = false
    await w.sim.until(() => w.server.head === 3)
    await w.sim.run(100)
    expect(again.root.name).toBe('Book')
    await w.sim.wait(two.db.redo())
    await w.sim.run(100)
    expect([again.root.name, w.server.head]).toEqual(['second', 4])
    two.db.close()
  })

  test('what was written on an undo under way is sent after it, also by the page after', async () => {
    const w = pages()
    const one = await w.page()
    await w.sim.wait(one.db.start(20_000))
    const view = one.db.subscribe(book)
    await w.sim.wait(view.ready)
    view.root.name = 'second'
    await w.sim.run(100)
    let down = true
    w.server.options.reverting = async () => {
      if (down) throw new Error('the line is down')
    }
    one.db.undo().catch(() => {})
    await w.sim.run(10)
    view.root.name = 'third' // on what the undo shows
    await w.sim.run(100)
    expect([view.root.name, w.server.head]).toEqual(['third', 2])
    await settle(w.sim)
    await w.reload(one)
    const two = await w.page()
    await two.db.start(20_000)
    const again = two.db.subscribe(book)
    await w.sim.until(() => again.state === 'live')
    await w.sim.run(1_000)
    expect([again.root.name, w.server.head]).toEqual(['third', 2]) // it waits
    down = false
    await w.sim.until(() => two.db.pending.length === 0)
    await w.sim.run(100)
    expect(again.root.name).toBe('third')
    expect(w.server.log.slice(2).map((c) => c.patch.at(-1)?.value)).toEqual(['Book', 'third'])
    expect(two.problems).not.toHaveBeenCalled()
    two.db.close()
  })

  test('what the server has refused to hear any more of waits for a page that it hears', async () => {
    const w = pages()
    const one = await w.page()
    await w.sim.wait(one.db.start(20_000))
    const view = one.db.subscribe(book)
    await w.sim.wait(view.ready)
    const rejected = vi.fn()
    one.db.on('reject', rejected)
    w.server.mute = true
    const sent = one.db.transact(() => (view.root.name = 'kept'))
    await w.sim.run(10)
    w.sockets.at(-1).cut(4403) // for good: another user's session
    await expect(sent).rejects.toMatchObject({ code: 'forbidden' })
    expect([one.db.status, one.db.pending.length, rejected.mock.calls.length]).toEqual(['closed', 1, 0])
    await settle(w.sim)
    one.db.close()
    await settle(w.sim)
    w.server.mute = false
    const two = await w.page()
    expect(two.db.pending.map((p) => p.patch[0].value)).toEqual(['kept'])
    await two.db.start(20_000)
    await w.sim.until(() => two.db.pending.length === 0)
    expect(w.server.entity(`objects/${STORE}`).body.name).toBe('kept')
    two.db.close()
  })

  test('what was taken back unsent can be brought back by the page after', async () => {
    const w = pages()
    const one = await w.page()
    await w.sim.wait(one.db.start(20_000))
    const view = one.db.subscribe(book)
    await w.sim.wait(view.ready)
    w.sockets.at(-1).cut(1006)
    view.root.name = 'offline'
    await one.db.undo()
    await settle(w.sim)
    await w.reload(one)
    const two = await w.page()
    await w.sim.wait(two.db.start(20_000))
    const again = two.db.subscribe(book)
    await w.sim.until(() => again.state === 'live')
    expect([again.root.name, two.db.pending]).toEqual(['Book', []])
    await w.sim.wait(two.db.redo())
    expect(w.server.entity(`objects/${STORE}`).body.name).toBe('offline')
    two.db.close()
  })

  test('what a tab that is gone left is taken up by the next', async () => {
    const w = pages()
    const one = await w.page('first')
    await w.sim.wait(one.db.start(20_000))
    const view = one.db.subscribe(book)
    await w.sim.wait(view.ready)
    w.sockets.at(-1).cut(1006)
    view.root.name = 'left behind'
    await settle(w.sim)
    await w.reload(one)
    const two = await w.page('second')
    await w.sim.wait(two.db.start(20_000))
    await w.sim.until(() => two.db.pending.length === 0)
    expect(w.server.entity(`objects/${STORE}`).body.name).toBe('left behind')
    two.db.close()
    await settle(w.sim)
    const three = await w.page('third')
    expect(three.db.pending).toEqual([])
    three.db.close()
  })

  test('what is taken up is in the taker’s record in the very write that forgets it', async () => {
    const w = pages()
    const one = await w.page('first')
    await w.sim.wait(one.db.start(20_000))
    const view = one.db.subscribe(book)
    await w.sim.wait(view.ready)
    w.sockets.at(-1).cut(1006)
    view.root.name = 'left behind'
    await settle(w.sim)
    await w.reload(one)
    /** @type {{store: IDBObjectStore, key: any}[]} */
    const gone = []
    /** @type {{store: IDBObjectStore, key: any}[]} */
    const puts = []
    const { delete: forget, put } = IDBObjectStore.prototype
    const spies = [
      vi.spyOn(IDBObjectStore.prototype, 'delete').mockImplementation(
        /** @this {IDBObjectStore} */ function (key) {
          gone.push({ store: this, key })
          return forget.call(this, key)
        },
      ),
      vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(
        /** @this {IDBObjectStore} */ function (value, key) {
          if (value?.pending?.length) puts.push({ store: this, key })
          return put.call(this, value, key)
        },
      ),
    ]
    const two = await w.page('second')
    for (const spy of spies) spy.mockRestore()
    expect(gone.map((g) => g.key)).toEqual(['tab:first'])
    expect(puts.filter((p) => p.store.transaction === gone[0].store.transaction).map((p) => p.key)).toEqual([
      'tab:second',
    ])
    two.db.close()
  })

  test('an undo under way in a tab that is gone knows what had been committed of it', async () => {
    const w = pages()
    const one = await w.page('first')
    await w.sim.wait(one.db.start(20_000))
    const view = one.db.subscribe(book)
    await w.sim.wait(view.ready)
    view.root.name = 'second'
    await w.sim.run(100)
    await one.kept?.flush()
    await w.reload(one)
    const [made] = w.server.heard.filter((/** @type {any} */ m) => m.t === 'mutate')
    const inverse = [{ op: 'replace', path: `/objects/${STORE}/body/name`, value: 'Book' }]
    const step = { versions: [], waiting: [made.id ?? made.mutation], inverse }
    const request = indexedDB.open(w.name, 1)
    await new Promise((resolve) => (request.onsuccess = resolve))
    const store = request.result.transaction('graphtide', 'readwrite').objectStore('graphtide')
    const read = store.get('tab:first')
    await new Promise((resolve) => (read.onsuccess = resolve))
    expect(read.result.undo.journal).toHaveLength(1)
    const act = { key: crypto.randomUUID(), group: crypto.randomUUID(), from: 'done', step }
    store.put({ ...read.result, undo: { ...read.result.undo, doing: [act] } }, 'tab:first')
    await new Promise((resolve) => (store.transaction.oncomplete = resolve))
    request.result.close()
    const two = await w.page('second')
    await w.sim.wait(two.db.start(20_000))
    await w.sim.until(() => w.server.head === 3)
    expect(w.server.entity(`objects/${STORE}`).body.name).toBe('Book')
    two.db.close()
  })

  test('in another format is not guessed at: the loss is told, with how many it was', async () => {
    const w = pages()
    const one = await w.page()
    await w.sim.wait(one.db.start(20_000))
    const view = one.db.subscribe(book)
    await w.sim.wait(view.ready)
    w.sockets.at(-1).cut(1006)
    view.root.name = 'lost'
    await settle(w.sim)
    await w.reload(one)
    const request = indexedDB.open(w.name, 1)
    await new Promise((resolve) => (request.onsuccess = resolve))
    const store = request.result.transaction('graphtide', 'readwrite').objectStore('graphtide')
    store.put(99, 'format')
    await new Promise((resolve) => (store.transaction.oncomplete = resolve))
    request.result.close()
    const two = await w.page()
    expect(two.problems.mock.calls[0][0]).toMatchObject({
      code: 'not-kept',
      message: expect.stringContaining('1 unsent'),
    })
    expect(two.db.pending).toEqual([])
    two.db.close()
  })

  /** Changes what is kept behind the client's back. @param {string} name @param {(store: IDBObjectStore) => void} change */
  async function tamper(name, change) {
    const request = indexedDB.open(name, 1)
    await new Promise((resolve) => (request.onsuccess = resolve))
    const store = request.result.transaction('graphtide', 'readwrite').objectStore('graphtide')
    change(store)
    await new Promise((resolve) => (store.transaction.oncomplete = resolve))
    request.result.close()
  }

  /** A page that has a view, an unsent change and no line. @param {any} w */
  async function offline(w) {
    const one = await w.page()
    await w.sim.wait(one.db.start(20_000))
    const view = one.db.subscribe(book)
    await w.sim.wait(view.ready)
    w.sockets.at(-1).cut(1006)
    view.root.name = 'unsent'
    await settle(w.sim)
    return { one, view }
  }

  test.each([
    ['a tab', 'tab:tab', { pending: 'nonsense' }, 'lost', 'Book'],
    [
      'a transaction',
      'tab:tab',
      { session: 's', pending: [{ id: 'x', ops: [{ op: 'spam' }] }], undo: { journal: [] } },
      'lost',
      'Book',
    ],
    [
      'a view',
      `view:${JSON.stringify({ projection: book })}`,
      { members: [['objects/x', null]], roots: [], version: 1 },
      'loaded again',
      'unsent',
    ],
  ])('that is corrupt (%s) is told and forgotten, and the rest goes on', async (_, key, value, told, name) => {
    const w = pages()
    const { one } = await offline(w)
    await w.reload(one)
    await tamper(w.name, (store) => store.put(value, key))
    const two = await w.page()
    expect(two.problems).toHaveBeenCalledTimes(1)
    expect(two.problems.mock.calls[0][0]).toMatchObject({ code: 'not-kept', message: expect.stringContaining(told) })
    await w.sim.wait(two.db.start(20_000))
    const view = two.db.subscribe(book)
    await w.sim.until(() => view.state === 'live' && two.db.pending.length === 0)
    expect(view.root.name).toBe(name)
    two.db.close()
    await settle(w.sim)
    const three = await w.page()
    expect(three.problems).not.toHaveBeenCalled()
    three.db.close()
  })

  test('and cannot be read is heard by whoever listens once connected', async () => {
    const w = pages()
    const url = `http://fake${++databases}/`
    const warned = vi.spyOn(console, 'warn').mockImplementation(() => {})
    const options = {
      url,
      fetch: /** @type {any} */ (w.server.fetch),
      WebSocket: fakeWebSocket({ sim: w.sim, server: w.server }),
      clock: w.sim.clock,
      random: w.sim.random,
      persist: true,
    }
    /** Parts are fetched and databases opened meanwhile, in turns of the real event loop. */
    const connected = async () => {
      /** @type {any} */
      let db
      void connect(options).then((made) => (db = made))
      for (; !db; await w.sim.run(10)) await settle(w.sim)
      return db
    }
    const one = await connected()
    one.close()
    await settle(w.sim)
    await tamper(nameOf(url, 'main', undefined), (store) => store.put(99, 'format'))
    expect(warned).not.toHaveBeenCalled()
    const two = await connected()
    await settle(w.sim)
    expect(warned).toHaveBeenCalledTimes(1)
    const [problems, later] = [vi.fn(), vi.fn()]
    two.on('problem', problems)
    two.on('problem', later)
    await settle(w.sim)
    expect(problems).toHaveBeenCalledTimes(1)
    expect(problems.mock.calls[0][0]).toMatchObject({ code: 'not-kept', message: expect.stringContaining('0 unsent') })
    expect(later).toHaveBeenCalledTimes(1)
    const latest = vi.fn()
    two.on('problem', latest)
    await settle(w.sim)
    expect(latest).not.toHaveBeenCalled()
    two.close()
    warned.mockRestore()
  })

  test('where there is no room for all gives way to what is not sent, and says so', async () => {
    const w = pages()
    const one = await w.page()
    await w.sim.wait(one.db.start(20_000))
    const view = one.db.subscribe(book)
    await w.sim.wait(view.ready)
    await one.kept?.flush()
    const { put } = IDBObjectStore.prototype
    const full = vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(
      /** @this {IDBObjectStore} */ function (value, key) {
        if (String(key).startsWith('view:')) throw new DOMException('no room', 'QuotaExceededError')
        return put.call(this, value, key)
      },
    )
    w.sockets.at(-1).cut(1006)
    view.root.name = 'unsent'
    await settle(w.sim)
    await one.kept?.flush()
    expect(one.problems.mock.calls.at(-1)?.[0].message).toMatch(/views are not kept.*no room/)
    await w.reload(one)
    full.mockRestore()
    const two = await w.page()
    expect([two.db.pending.length, two.kept?.views.size]).toEqual([1, 0])
    two.db.close()
  })

  test('and for which there is no room at all is told at once', async () => {
    const w = pages()
    const { one, view } = await offline(w)
    const full = vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(() => {
      throw new DOMException('no room', 'QuotaExceededError')
    })
    view.root.name = 'not kept'
    await settle(w.sim)
    expect(one.problems.mock.calls[0][0].message).toMatch(/may not survive a reload.*no room/)
    expect(view.root.name).toBe('not kept') // the page goes on
    full.mockRestore()
    one.db.close()
  })

  test('and is cleared by the user meanwhile, is kept anew', async () => {
    const w = pages()
    const { one, view } = await offline(w)
    const request = indexedDB.deleteDatabase(w.name)
    await new Promise((resolve) => (request.onsuccess = resolve))
    view.root.tags.push('after')
    await settle(w.sim)
    await w.reload(one)
    const two = await w.page()
    expect(two.db.pending.map((m) => m.patch[0].value)).toEqual(['unsent', 'after'])
    await two.db.start(20_000)
    expect(two.db.subscribe(book).root.tags.length).toBe(3)
    two.db.close()
  })

  test('under an older schema is shown by that until the newer one is here; what it refuses is told', async () => {
    const w = pages()
    const { one } = await offline(w)
    await w.reload(one)
    const next = structuredClone(w.server.options.schema)
    next.version = 2
    next.types.DataStore.edges.in.dataStore.as = 'rows'
    w.server.options.schema = next
    w.server.options.refuse = () => ({ code: 'schema', title: 'No', schemaVersion: 2 })
    const two = await w.page()
    const refused = vi.fn()
    two.db.on('reject', refused)
    await two.db.start(20_000)
    const view = two.db.subscribe(book)
    expect([view.root.name, view.root.records.length]).toEqual(['unsent', 1])
    await w.sim.until(() => view.state === 'live' && two.db.pending.length === 0)
    await w.sim.until(() => two.db.schema.version === 2)
    expect([view.root.name, view.root.records, view.root.rows.length]).toEqual(['Book', undefined, 1])
    expect(refused.mock.calls[0][0]).toMatchObject({ problem: { code: 'schema' }, patch: [{ value: 'unsent' }] })
    two.db.close()
  })

  test('is small: the views of longest ago go first', async () => {
    const w = pages()
    const one = await w.page()
    await w.sim.wait(one.db.start(20_000))
    for (let n = 0; n < 25; n++) {
      const view = one.db.subscribe({ root: REC, out: { [`label${n}`]: {} } })
      await w.sim.wait(view.ready)
      await one.kept?.flush()
      view.close()
    }
    await w.reload(one)
    const two = await w.page()
    expect(two.kept?.views.size).toBe(20)
    two.db.close()
  })

  test('leaves out a view that is too large, says so once, and keeps the others', async () => {
    const w = pages()
    const one = await w.page()
    await w.sim.wait(one.db.start(20_000))
    const small = one.db.subscribe({ root: REC })
    await w.sim.wait(small.ready)
    await one.kept?.flush()
    const view = one.db.subscribe(book)
    await w.sim.wait(view.ready)
    for (let n = 0; n < 20_000; n++)
      view.members.set(`objects/${id(1_000 + n)}`, /** @type {any} */ ({ meta: { version: 1 } }))
    small.close()
    const later = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 1_000) // the large one is the newest
    await one.kept?.flush()
    await one.kept?.flush()
    later.mockRestore()
    expect([...(one.kept?.views.keys() ?? [])]).toEqual([JSON.stringify(small.request)])
    expect(one.problems).toHaveBeenCalledTimes(1)
    expect(one.problems.mock.calls[0][0].message).toMatch(/too large.*20003/)
    await w.reload(one)
    const two = await w.page()
    expect([...(two.kept?.views.keys() ?? [])]).toEqual([JSON.stringify(small.request)])
    two.db.close()
  })

  test('nowhere is told, and the client works without', async () => {
    const w = world()
    seed(w)
    const db = w.make()
    const problems = vi.fn()
    db.on('problem', problems)
    const broken = /** @type {any} */ ({
      open: () => {
        throw new Error('private mode')
      },
    })
    expect(await persist(db, 'none', { indexedDB: broken, tab: 'x' })).toBeUndefined()
    expect(problems.mock.calls[0][0]).toMatchObject({
      code: 'not-kept',
      message: expect.stringContaining('private mode'),
    })
    await w.sim.wait(db.start(20_000))
    db.close()
  })
})
