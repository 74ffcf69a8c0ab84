/**
 * What outlives a page: transactions that are not yet answered, views as they
 * were held, undo, and the schema, in the browser's IndexedDB. A page that comes
 * back shows at once what it had, sends what was not sent, and resumes its views
 * where they stood.
 *
 * Small and versioned: so many views, so many entities. What cannot be kept, or
 * is found and cannot be read, is told by the `problem` event; it is never lost
 * in silence.
 */

import { compileGraphOp, Mutation } from './mutation.js'
import { Problem } from './protocol.js'
import { uuidv7 } from './uuid.js'

/** @typedef {import('./client.js').Client} Client */
/** @typedef {import('./projection.js').View} View */

/** Of what is stored: another number cannot be read. */
export const FORMAT = 1
const STORE = 'graphtide'
/** Views that nobody has opened for the longest time are forgotten first. */
const VIEWS = 20
const ENTITIES = 20_000
/** Views are written when they have been quiet for so long, or the page is hidden. */
const QUIET = 500

/** @typedef {{request: string, at: number, epoch: string, key: string, version: number, roots: string[], members: [string, any][]}} KeptView */
/** @typedef {{session: string, pending: any[], undo: {done: any[], undone: any[], doing?: any[], journal: any[]}}} KeptTab */

/**
 * Takes up what an earlier page left, and keeps what this one does.
 * @param {Client} client not yet started
 * @param {string} name of the database: one per server, graph and user
 * @param {{indexedDB?: IDBFactory, locks?: any, tab?: string}} [platform] for tests
 * @returns {Promise<Persist | undefined>} undefined where there is nowhere to keep anything
 */
export async function persist(client, name, platform = {}) {
  const kept = new Persist(client, name, platform)
  try {
    await kept.open()
    return kept
  } catch (err) {
    kept.lost('nothing can be kept here', err)
    return undefined
  }
}

export class Persist {
  /** @param {Client} client @param {string} name @param {{indexedDB?: IDBFactory, locks?: any, tab?: string}} platform */
  constructor(client, name, { indexedDB = globalThis.indexedDB, locks = globalThis.navigator?.locks, tab }) {
    this.client = client
    this.name = name
    this.factory = indexedDB
    this.locks = locks
    this.tab = tab ?? tabOf(name)
    /** @type {Map<string, KeptView>} */
    this.views = new Map()
    /** Views that are too large, as far as was told. @type {Set<string>} */
    this.large = new Set()
    /** What happened before anybody listened. @type {Problem[]} */
    this.untold = []
    /** @type {IDBDatabase | null} */
    this.database = null
    /** What is to be written. @type {Set<string>} */
    this.dirty = new Set()
    /** @type {Promise<void>} */
    this.writing = Promise.resolve()
    this.closed = false
    /** @type {any} */
    this.timer = undefined
    /** @type {(() => void)[]} */
    this.stops = []
  }

  /** Reads what there is, and begins to listen. */
  async open() {
    this.database = await this.#database()
    const all = await this.#all()
    const format = all.get('format')
    if (format !== undefined && format !== FORMAT) {
      const tabs = [...all].filter(([key]) => key.startsWith('tab:'))
      const count = tabs.reduce((n, [, t]) => n + (t?.pending?.length ?? 0), 0)
      await this.#put([...all.keys()].map((key) => [key, undefined]))
      all.clear()
      this.lost(
        `what an older or newer version of this client kept cannot be read; ${count} unsent transactions are lost`,
      )
    }
    await this.#put([['format', FORMAT]])
    const { client } = this
    const schema = all.get('schema')
    if (schema) {
      client.adopt(schema)
      client.restored = true
    }
    for (const [key, value] of all) {
      if (!key.startsWith('view:')) continue
      if (isView(value)) this.views.set(key.slice(5), value)
      else await this.#drop(key, 'a view that was kept cannot be read: it is loaded again')
    }
    await this.#takeUp(all)
    client.persisted = this
    const saveTab = () => this.#mark('tab')
    for (const event of ['submit', 'commit', 'reject', 'undo', 'undoing', 'settled'])
      this.stops.push(client.on(event, saveTab))
    this.stops.push(client.on('schema', () => this.#mark('schema')))
    this.stops.push(client.on('change', () => this.#later()))
    const flush = () => void this.flush()
    if (typeof globalThis.document?.addEventListener === 'function') {
      globalThis.document.addEventListener('visibilitychange', flush)
      globalThis.addEventListener('pagehide', flush)
      this.stops.push(() => {
        globalThis.document.removeEventListener('visibilitychange', flush)
        globalThis.removeEventListener('pagehide', flush)
      })
    }
  }

  /** This tab's own, and those of tabs that are gone. @param {Map<string, any>} all */
  async #takeUp(all) {
    if (!(await this.#claim(this.tab))) {
      this.tab = uuidv7() // the page was duplicated: the other one goes on under that name
      await this.#claim(this.tab)
    }
    const { writing } = this.client
    /** @type {any[]} */
    const pending = []
    /** @type {any[]} */
    const doing = []
    /** @type {[string, any][]} */
    const taken = []
    for (const [key, value] of all) {
      if (!key.startsWith('tab:')) continue
      const mine = key === `tab:${this.tab}`
      if (!mine && !(await this.#claim(key.slice(4), true))) continue
      if (!isTab(value)) {
        await this.#drop(key, 'what a tab had not sent cannot be read: it is lost')
        continue
      }
      pending.push(...value.pending)
      doing.push(...(value.undo.doing ?? []))
      if (mine) {
        this.client.session = value.session
        if (writing) Object.assign(writing, { journal: value.undo.journal, kept: value.undo })
      } else {
        for (const { step } of value.undo.doing ?? []) settle(step, value.undo.journal)
        taken.push([key, undefined])
      }
    }
    this.#restore(pending, doing)
    if (writing && doing.length) writing.kept = { done: [], undone: [], ...writing.kept, doing }
    // At once: a page that closes here loses nothing.
    if (taken.length) await this.#put([[`tab:${this.tab}`, this.#tabRecord()], ...taken])
    if (doing.length) await writing?.history() // it goes on with them
    if (pending.length + doing.length) this.#mark('tab')
  }

  /** Forgets what cannot be read, and says so. @param {string} key @param {string} detail */
  #drop(key, detail) {
    this.lost(detail)
    return this.#put([[key, undefined]])
  }

  /** Whether a tab's name is free; it is held until the page is gone, or just looked at. @param {string} tab @param {boolean} [look] */
  #claim(tab, look = false) {
    const { locks } = this
    if (!locks) return Promise.resolve(true)
    return new Promise((resolve) => {
      void locks.request(`${this.name} ${tab}`, { ifAvailable: true }, (/** @type {any} */ lock) => {
        resolve(!!lock)
        if (!lock || look) return undefined
        return new Promise((release) => this.stops.push(() => release(undefined)))
      })
    })
  }

  /**
   * Transactions, and undos between them, in the order of their ids, which is that in which they were begun.
   * @param {any[]} records @param {any[]} doing
   */
  #restore(records, doing) {
    const { client } = this
    const { writing } = client
    if (!writing) return
    const all = [...records, ...doing.map((act) => ({ id: act.key, act }))]
    client.store.batch(() => {
      for (const { act, ...r } of all.sort((a, b) => (a.id < b.id ? -1 : 1))) {
        if (act) {
          act.seq = ++writing.transactions.seq
          continue
        }
        const m = new Mutation(r.id, ++writing.transactions.seq, r)
        try {
          m.push(r.ops.map(compileGraphOp), r.ops, () => undefined)
        } catch (err) {
          this.lost('a transaction that was not sent cannot be read: it is lost', err)
          continue
        }
        Object.assign(m, { base: r.base, wire: r.wire, attempts: r.attempts, indexed: new Map(r.indexed) })
        writing.layers.add(m, m.refs)
        for (const ref of m.refs) client.store.dirty.add(ref)
        // It may have been committed: the server is asked.
        writing.pending.unsure.set(m.id, m)
      }
    })
  }

  // Views ---------------------------------------------------------------------------

  /** Fills a view with what is kept of it. @param {View} view */
  fill(view) {
    const kept = this.views.get(JSON.stringify(view.request))
    if (kept) view.restore(kept)
  }

  /** @returns {KeptView[]} */
  #heldViews() {
    const held = [...this.client.wire.views].filter(
      (v) => v.loaded && v.request.at === undefined && v !== this.client.writing?.keeper.view,
    )
    return held.map((v) => ({
      request: JSON.stringify(v.request),
      at: Date.now(),
      epoch: v.epoch,
      key: v.key,
      version: v.version,
      roots: v.rootIds,
      members: [...v.members],
    }))
  }

  // Writing --------------------------------------------------------------------------

  /** @param {string} what */
  #mark(what) {
    if (this.dirty.size === 0) queueMicrotask(() => void this.#write())
    this.dirty.add(what)
  }

  #later() {
    const { clock } = this.client.connection
    clock.clearTimeout(this.timer)
    this.timer = clock.setTimeout(() => this.#mark('views'), QUIET)
  }

  /** Writes all that is to be kept now. */
  flush() {
    this.dirty.add('tab').add('views')
    return this.#write()
  }

  #write() {
    const what = this.dirty
    this.dirty = new Set()
    const { client } = this
    /** @type {[string, any][]} */
    const puts = []
    if (what.has('schema')) puts.push(['schema', client.schema.view])
    if (what.has('tab')) puts.push([`tab:${this.tab}`, this.#tabRecord()])
    if (what.has('views')) {
      for (const view of this.#heldViews()) this.views.set(view.request, view)
      const newest = [...this.views.values()].sort((a, b) => b.at - a.at)
      let [room, count] = [ENTITIES, 0]
      for (const view of newest) {
        const { request, members } = view
        if (count < VIEWS && members.length <= room) {
          room -= members.length
          count++
          puts.push([`view:${request}`, view])
          continue
        }
        this.views.delete(request)
        puts.push([`view:${request}`, undefined])
        if (members.length <= ENTITIES || this.large.has(request)) continue
        this.large.add(request)
        this.lost(`a view is too large to be kept: it has ${members.length} objects and edges of at most ${ENTITIES}`)
      }
    }
    this.writing = this.writing.then(() => this.#save(puts))
    return this.writing
  }

  /** Transactions that are not sent come before views where there is no room for both. @param {[string, any][]} puts */
  async #save(puts) {
    try {
      await this.#put(puts)
    } catch (err) {
      const own = puts.filter(([key]) => !key.startsWith('view:'))
      try {
        if (!this.closed) await this.#reopen(err)
        const room = own.length < puts.length ? [...this.views.keys()].map((v) => [`view:${v}`, undefined]) : []
        await this.#put(/** @type {[string, any][]} */ ([...room, ...own]))
        if (room.length) this.lost('views are not kept, so that there is room for what is not sent', err)
      } catch {
        this.lost('what was changed may not survive a reload', err)
      }
    }
  }

  /** The browser has closed the database (the user cleared it): there may be another. @param {any} err */
  async #reopen(err) {
    if (err?.name !== 'InvalidStateError') return
    this.database = await this.#database()
    await this.#put([
      ['format', FORMAT],
      ['schema', this.client.schema.view],
    ])
  }

  async #database() {
    const database = await openDatabase(this.factory, this.name)
    database.onversionchange = () => database.close() // another page deletes it, or is newer
    return database
  }

  /** @returns {KeptTab} */
  #tabRecord() {
    const { client } = this
    const { writing } = client
    const { done = [], undone = [], doing = [] } = writing?.undos ?? writing?.kept ?? {}
    return {
      session: client.session,
      pending: (writing?.all() ?? []).map((m) => ({
        id: m.id,
        ops: m.ops,
        base: m.base,
        group: m.group,
        note: m.note,
        undoable: m.undoable,
        wire: m.wire,
        attempts: m.attempts,
        indexed: [...m.indexed],
      })),
      undo: { done, undone, doing, journal: writing?.journal ?? [] },
    }
  }

  /**
   * Tells it, if need be to the first who listens: what is found at the start is
   * found before anybody can.
   * @param {string} detail @param {any} [cause]
   */
  lost(detail, cause) {
    const { events } = this.client
    const why = cause === undefined ? '' : `: ${cause?.message ?? cause}`
    const problem = new Problem({ code: 'not-kept', title: 'Not kept', detail: detail + why })
    if (events.listeners.get('problem')?.size) {
      events.emit('problem', problem)
      return
    }
    console.warn(`graphtide: ${problem.message} (${problem.code})`)
    if (this.untold.push(problem) > 1) return
    const { on } = events
    events.on = (name, fn) => {
      const stop = on.call(events, name, fn)
      if (name === 'problem') {
        events.on = on
        queueMicrotask(() => {
          for (const p of this.untold.splice(0)) events.emit('problem', p)
        })
      }
      return stop
    }
  }

  /** Writes what there is now, and lets go of the database; what is kept stays. */
  close() {
    if (!this.closed) void this.flush()
    this.closed = true
    const { clock } = this.client.connection
    clock.clearTimeout(this.timer)
    for (const stop of this.stops.splice(0)) stop()
    const { database } = this
    void this.writing.then(() => database?.close())
  }

  // The database -----------------------------------------------------------------------

  /** @returns {Promise<Map<string, any>>} */
  async #all() {
    const store = this.#store('readonly')
    const [keys, values] = await Promise.all([done(store.getAllKeys()), done(store.getAll())])
    return new Map(keys.map((key, i) => [String(key), values[i]]))
  }

  /** @param {[string, any][]} entries undefined takes away @returns {Promise<void>} */
  #put(entries) {
    if (entries.length === 0) return Promise.resolve()
    const store = this.#store('readwrite')
    for (const [key, value] of entries) {
      if (value === undefined) store.delete(key)
      else store.put(value, key)
    }
    // At once, not after an answer to each: a page that is about to be gone hears none.
    store.transaction.commit()
    return new Promise((resolve, reject) => {
      store.transaction.oncomplete = () => resolve()
      store.transaction.onabort = () => reject(store.transaction.error)
    })
  }

  /** @param {IDBTransactionMode} mode */
  #store(mode) {
    if (!this.database) throw new Error('the database is not open')
    return this.database.transaction(STORE, mode).objectStore(STORE)
  }
}

/** An undo that waited for answers has those that had come. @param {any} step @param {any[]} journal */
function settle(step, journal) {
  for (const { mutation, version } of journal) {
    if (!step.waiting?.includes(mutation)) continue
    step.versions.push(version)
    step.waiting = step.waiting.filter((/** @type {string} */ id) => id !== mutation)
  }
}

/** @param {any} v @returns {v is KeptView} */
const isView = (v) =>
  Array.isArray(v?.members) && Array.isArray(v.roots) && typeof v.version === 'number' && v.members.every(isMember)

/** @param {any} m */
const isMember = (m) => typeof m?.[0] === 'string' && typeof m[1]?.meta?.version === 'number'

/** @param {any} v @returns {v is KeptTab} */
const isTab = (v) =>
  typeof v?.session === 'string' &&
  Array.isArray(v.pending) &&
  v.pending.every((/** @type {any} */ p) => typeof p?.id === 'string' && Array.isArray(p.ops)) &&
  Array.isArray(v.undo?.journal)

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })

/** @param {IDBFactory} factory @param {string} name @returns {Promise<IDBDatabase>} */
function openDatabase(factory, name) {
  if (!factory) throw new TypeError('there is no IndexedDB')
  const request = factory.open(name, 1)
  request.onupgradeneeded = () => void request.result.createObjectStore(STORE)
  return done(request)
}

/** This tab, over reloads. @param {string} name */
function tabOf(name) {
  try {
    const known = sessionStorage.getItem(name)
    if (known) return known
    const tab = uuidv7()
    sessionStorage.setItem(name, tab)
    return tab
  } catch {
    return uuidv7()
  }
}
