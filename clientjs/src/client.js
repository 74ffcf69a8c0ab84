/**
 * The client: one graph, one connection, one store.
 */

import { Connection, systemClock } from './connection.js'
import { Emitter } from './events.js'
import { Http } from './http.js'
import { View } from './projection.js'
import { Problem } from './protocol.js'
import { idOf, Objects, refOfLive } from './proxy.js'
import { Schema } from './schema.js'
import { Session } from './session.js'
import { Store } from './store.js'
import { uuidv7 } from './uuid.js'

/** @typedef {import('./patch.js').PatchOp} PatchOp */
/** @typedef {string | undefined | ((renew: boolean) => string | undefined | Promise<string | undefined>)} TokenSource */

/**
 * @typedef {object} ClientOptions
 * @property {string} url the server's origin, for instance `https://graph.example`
 * @property {string} graph
 * @property {TokenSource} [token] a function is asked again before the token expires
 * @property {Record<string, any>} [classes] classes by type name: their methods and getters appear on objects of the type
 * @property {typeof globalThis.fetch} fetch
 * @property {new (url: string, protocols: string[]) => any} WebSocket
 * @property {import('./connection.js').Clock} [clock]
 * @property {() => number} [random]
 * @property {Record<string, any>} [modules] for tests: what is here already, instead of fetched
 */

/**
 * What is fetched when it is first needed.
 */
const fetched = {
  parts: () => import('./parts.js'),
  presence: () => import('./presence.js'),
}

export const SELF = '$client'

/**
 * @template {Record<string, any>} [T=Record<string, any>] the objects by the names of their types
 */
export class Client {
  /** @param {ClientOptions} options */
  constructor({ url, graph, token, classes = {}, fetch, WebSocket, clock = systemClock, random, modules = {} }) {
    const base = url.replace(/\/+$/, '')
    /** @type {string | undefined} */
    let held
    const ask = async (/** @type {boolean} */ renew) => {
      if (typeof token !== 'function') return token
      if (renew || held === undefined) held = await token(renew)
      return held
    }
    this.graph = graph
    this.session = uuidv7()
    /** The signed-in user: `{id, teams, org, admin}`, once connected. @type {any} */
    this.user = undefined
    /** @type {Record<string, number>} */
    this.limits = {}
    this.events = new Emitter()
    this.schema = new Schema()
    this.store = new Store()
    this.http = new Http({ base, graph, token: ask, fetch })
    this.connection = new Connection({
      open: () => new WebSocket(`${base.replace(/^http/, 'ws')}/v1/graphs/${graph}/sync`, ['graphtide.v1']),
      token: ask,
      renewable: typeof token === 'function',
      clock,
      random,
      handlers: {
        hello: () => ({ session: this.session, pending: this.writing?.pending.ids() ?? [] }),
        onWelcome: (welcome) => this.#welcome(welcome),
        onMessages: (messages) => this.wire.receive(messages),
        onState: (state) => this.#moved(state),
      },
    })
    this.wire = new Session({
      store: this.store,
      send: (message) => this.connection.send(message),
      clock,
      emit: (name, event) => this.#emit(name, event),
    })
    this.classes = classes
    this.objects = this.#objects(this.store, () => this.#write().edits)
    /** Windows and order, once they are fetched. @type {typeof import('./lists.js') | null} */
    this.lists = null
    /** What else objects can do, once it is fetched. @type {typeof import('./members.js') | undefined} */
    this.more = undefined
    /** @type {import('./renewal.js').Renewal | undefined} */
    this.renewal = undefined
    /** When the token in use ends. @type {string | undefined} */
    this.expiresAt = undefined
    /** Writing, once it is fetched. @type {import('./writing.js').Writing | null} */
    this.writing = null
    /** @type {import('./presence.js').Presence | null} */
    this.presences = null
    /** @type {Promise<import('./presence.js').Presence> | null} */
    this.presenting = null
    /** What outlives the page, where it is asked for. @type {import('./persist.js').Persist | null} */
    this.persisted = null
    /** Enough is here to begin without a server. */
    this.restored = false
    /** Until the schema is asked for again. @type {any} */
    this.rereading = undefined
    this.modules = modules
    if (modules.parts) this.#equip(modules.parts)
    this.store.onChange = (refs) => {
      this.presences?.review(refs)
      this.events.emit('change', { refs })
    }
  }

  /**
   * A part of the client that is fetched when it is needed.
   * @template {keyof typeof fetched} N
   * @param {N} name
   * @returns {Promise<any>}
   */
  async #module(name) {
    return this.modules[name] ?? fetched[name]()
  }

  /** Fetches what is needed to write. */
  async equip() {
    if (!this.writing) this.#equip(await this.#module('parts'))
  }

  /** @param {typeof import('./parts.js')} parts */
  #equip({ lists, members, Renewal, Resync, Writing }) {
    new Resync(this.wire)
    this.renewal = new Renewal(this.connection)
    this.renewal.expect(this.expiresAt)
    this.lists = lists
    this.more = members
    this.writing = new Writing(this)
  }

  /** Live objects of a store. @param {Store} store @param {() => import('./proxy.js').Editor} edit */
  #objects(store, edit) {
    return new Objects({
      store,
      schema: () => this.schema,
      edit,
      more: () => this.more,
      classes: this.classes,
      loaded: (id, edge) => !!this.lists?.loaded(store, this.wire.views, id, edge),
      history: (ref) => this.http.history(ref),
      rights: (id) => {
        if (!this.presences) this.#alone(this.#present())
        return this.presences?.known(id)
      },
      presence: (id) => this.presences?.on(id) ?? [],
    })
  }

  /** @returns {import('./writing.js').Writing} */
  #write() {
    if (!this.writing) throw new TypeError('not connected yet')
    return this.writing
  }

  /** Rights and presence, fetched at the first question. @returns {Promise<import('./presence.js').Presence>} */
  #present() {
    return (this.presenting ??= this.#module('presence').then(
      ({ Presence }) => (this.presences = new Presence(this.store, this.connection, this.session)),
      (err) => {
        this.presenting = null
        throw err
      },
    ))
  }

  /** Nobody else waits for it. @param {Promise<any>} work */
  #alone(work) {
    work.catch((err) => this.events.emit('problem', err))
  }

  // Connection ------------------------------------------------------------------

  /**
   * Connects. Resolves once the server has said welcome and the schema is read;
   * rejects when it says that coming back is no use, or after the time given.
   * @param {number} timeoutMs 0: keep trying
   * @returns {Promise<this>}
   */
  async start(timeoutMs) {
    const schema = this.#readSchema(timeoutMs)
    schema.catch(() => {})
    const { clock } = this.connection
    /** @type {Promise<void>} */
    const welcomed = new Promise((resolve, reject) => {
      const late = () =>
        reject(new Problem({ code: 'unavailable', detail: `no server answered within ${timeoutMs} ms` }))
      const timer = timeoutMs ? clock.setTimeout(late, timeoutMs) : undefined
      const stop = this.on('status', () => {
        const { state } = this.connection
        if (state.name === 'live') resolve()
        else if (state.name === 'closed')
          reject(state.reason ?? new Problem({ code: 'closed', detail: 'the client was closed' }))
        else return
        clock.clearTimeout(timer)
        stop()
      })
    })
    welcomed.catch(() => {})
    const equipped = this.equip()
    this.connection.start()
    try {
      await equipped
      if (this.restored) return this
      await welcomed
      await schema
    } catch (err) {
      this.close()
      throw err
    }
    return this
  }

  /** @param {number} [timeoutMs] */
  async #readSchema(timeoutMs = 0) {
    const { clock } = this.connection
    const until = clock.now() + timeoutMs
    for (let wait = 250; ; wait = Math.min(2 * wait, 5_000)) {
      try {
        this.adopt(await this.http.schema())
        return
      } catch (err) {
        const transient = err instanceof Problem && err.transient
        if (!transient || this.connection.state.name === 'closed' || (timeoutMs && clock.now() >= until)) throw err
      }
      await new Promise((resolve) => (this.rereading = clock.setTimeout(() => resolve(undefined), wait)))
    }
  }

  /** Takes a schema, if it is newer. @param {any} view */
  adopt(view) {
    if (view.version < this.schema.version) return
    this.schema = new Schema(view)
    // Names may mean other things now: let everything that is shown look again.
    this.store.batch(() => {
      for (const key of this.store.cells.byOwner.keys()) this.store.stir(key)
    })
    this.events.emit('schema', this.schema)
  }

  /** @param {import('./protocol.js').Welcome} welcome */
  #welcome(welcome) {
    this.user = welcome.user
    this.limits = welcome.limits ?? {}
    this.expiresAt = welcome.expiresAt
    this.renewal?.expect(this.expiresAt)
    this.wire.connected(welcome)
    this.presences?.connected()
    if (this.schema.version && welcome.schema > this.schema.version) this.#refreshSchema()
  }

  #refreshSchema() {
    this.#alone(this.#readSchema())
  }

  /** @param {import('./connection.js').ConnectionState} state */
  #moved(state) {
    if (state.name !== 'live' && this.wire.live) this.wire.disconnected()
    this.store.stir(SELF)
    this.events.emit('status', this.#status())
  }

  /** @param {string} name @param {any} event */
  #emit(name, event) {
    if (name === 'message:presence') this.#alone(this.#present().then((p) => p.heard(event)))
    else if (name === 'message:can') this.presences?.told(event.objects)
    else if (name === 'message:schema') this.#refreshSchema()
    else if (!name.startsWith('message:')) this.events.emit(name, event)
  }

  /**
   * Ends the connection, all views and whatever waits: promises that are still open
   * reject with `closed`. What is pending stays undone, unless `persist` keeps it.
   */
  close() {
    this.persisted?.close()
    this.connection.close()
    this.connection.clock.clearTimeout(this.rereading)
    for (const view of [...this.wire.views]) view.close()
    this.wire.close()
    this.renewal?.close()
    this.presences?.close()
    this.writing?.close()
  }

  /** Tries to connect at once, if it is waiting to: the network is back. */
  reconnect() {
    this.connection.hurry()
  }

  /** `connecting`, `live`, `reconnecting` or `closed`; readable live. */
  get status() {
    this.store.cells.track(SELF, 'status', () => this.#status())
    return this.#status()
  }

  #status() {
    const { state } = this.connection
    if (state.name === 'live' || state.name === 'closed') return state.name
    return this.user === undefined ? 'connecting' : 'reconnecting'
  }

  /** The transactions on their way: `[{mutation, patch, note, group, shown}]`; readable live. */
  get pending() {
    const list = this.writing?.list() ?? []
    this.store.cells.track(SELF, 'pending', () => String(this.writing?.list().map((m) => m.mutation)))
    return list
  }

  /** The newest version of which everything that concerns this client is here. */
  get version() {
    return this.wire.version
  }

  /** Resolves when nothing is pending. */
  async settled() {
    await this.writing?.settled()
  }

  /**
   * Listens: `reject` ({mutation, problem, patch, dependsOn}), `commit` ({mutation, version, patch}),
   * `status`, `change` ({refs}), `schema`, `problem`, `resync`.
   * @param {string} name
   * @param {(event: any) => void} fn
   * @returns {() => void} stops listening
   */
  on(name, fn) {
    return this.events.on(name, fn)
  }

  // Reading ---------------------------------------------------------------------

  /**
   * Subscribes to a projection, or to one that the schema names.
   * @template [R=any] the type of the roots
   * @param {Record<string, any> | string} projection
   * @param {Record<string, any>} [args] of a named projection
   * @returns {View<R>}
   */
  subscribe(projection, args) {
    return this.#view(this.store, this.objects, request(projection, args))
  }

  /**
   * The graph as of a version: read only.
   * @param {number} version
   */
  at(version) {
    const store = new Store()
    const objects = this.#objects(store, () => {
      throw new TypeError('this is the past')
    })
    return {
      version,
      /** @param {Record<string, any> | string} projection @param {Record<string, any>} [args] */
      subscribe: (projection, args) => this.#view(store, objects, { ...request(projection, args), at: version }),
    }
  }

  /** @param {Store} store @param {Objects} objects @param {Record<string, any>} what */
  #view(store, objects, what) {
    const view = new View(
      {
        store,
        schema: () => this.schema,
        object: (id) => objects.object(id),
        idOf,
        onClose: (v) => this.wire.remove(v),
        lists: () => this.lists,
      },
      what,
    )
    this.persisted?.fill(view)
    this.wire.add(view)
    if (this.connection.state.name === 'closed') view.close()
    return view
  }

  /** An object that is loaded, undefined otherwise. @param {string} id */
  get(id) {
    this.store.cells.track(`objects/${id}`, '$exists', () => this.store.shown.has(`objects/${id}`))
    return this.store.shown.has(`objects/${id}`) ? this.objects.object(id) : undefined
  }

  // Writing ---------------------------------------------------------------------

  /**
   * Creates an object.
   * @template {keyof T & string} K
   * @param {K} type
   * @param {{[member in keyof T[K]]?: T[K][member]}} [body] members that name an edge of the type link it
   * @param {{id?: string, access?: any}} [options]
   * @returns {T[K]} the object
   */
  create(type, body, options) {
    return this.#write().create(type, body, options)
  }

  /**
   * Records patch operations over the graph document, as they are.
   * @param {PatchOp[]} ops
   */
  patch(ops) {
    this.#write().patch(ops)
  }

  /**
   * Makes one atomic transaction of all that fn writes.
   * @param {() => unknown} fn
   * @param {{group?: string, note?: string, undoable?: boolean}} [options] group: a UUID that joins transactions
   *   of one user action; undoable: false keeps it out of what `undo` takes back
   * @returns {Promise<number>} its version; rejects with a Problem
   */
  transact(fn, options) {
    return this.#write().transactions.transact(fn, options)
  }

  /**
   * Takes back this client's last transaction (or group of them), as a new commit.
   * @returns {Promise<number | undefined>} its version; undefined if there is nothing to undo; rejects
   *   with `undo-conflict` where others have changed the same since
   * @param {{skip?: boolean}} [options] skip: what was refused before is let go, and the step before it taken back
   */
  async undo(options) {
    return (await this.#write().history()).undo(options)
  }

  /** Brings back what was undone last. @param {{skip?: boolean}} [options] @returns {Promise<number | undefined>} */
  async redo(options) {
    return (await this.#write().history()).redo(options)
  }

  // More ------------------------------------------------------------------------

  /**
   * Starts an operation.
   * @param {string} name
   * @param {any} [params]
   * @param {{target?: any}} [options] the object that it is about
   * @returns {Promise<import('./operations.js').Operation>} once it is accepted; rejects with the problem
   */
  async run(name, params = {}, { target } = {}) {
    return this.#write().run(name, params, target)
  }

  /**
   * Whether this user holds a right on an object. In a template, `object.$can(right)`
   * is the live form.
   * @param {any} object
   * @param {string} right
   * @returns {Promise<boolean>}
   */
  async can(object, right) {
    return (await (await this.#present()).ask(idOf(object))).has(right)
  }

  /**
   * Shows the others who have the object in a view what this session does there;
   * null leaves. What they do is `object.$presence`.
   * @param {any} object
   * @param {any} state
   */
  presence(object, state) {
    const [id, shown] = [idOf(object), JSON.stringify(state ?? null)]
    this.#alone(this.#present().then((p) => p.set(id, JSON.parse(shown))))
  }
}

/** @param {Record<string, any> | string} projection @param {Record<string, any>} [args] */
const request = (projection, args) =>
  plain(typeof projection === 'string' ? { name: projection, args: args ?? {} } : { projection })

/** A copy that nobody else changes, with ids for live objects. @param {any} value */
const plain = (value) =>
  JSON.parse(
    JSON.stringify(value, function (key, v) {
      return refOfLive(this[key]) ? idOf(this[key]) : v
    }),
  )
