/**
 * The client: one graph, one connection, one store.
 */

import { Connection, systemClock } from './connection.js'
import { Emitter } from './events.js'
import { Http } from './http.js'
import { Operation } from './operations.js'
import { clone } from './patch.js'
import { Pending } from './pending.js'
import { Presence } from './presence.js'
import { View } from './projection.js'
import { Problem } from './protocol.js'
import { idOf, Objects, refOfLive } from './proxy.js'
import { Schema } from './schema.js'
import { Session } from './session.js'
import { Store } from './store.js'
import { Transactions } from './transact.js'
import { History } from './undo.js'
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
 */

const SELF = '$client'

export class Client {
  /** @param {ClientOptions} options */
  constructor({ url, graph, token, classes = {}, fetch, WebSocket, clock = systemClock, random }) {
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
    this.queue = new Pending()
    this.http = new Http({ base, graph, token: () => ask(false), fetch })
    this.connection = new Connection({
      open: () => new WebSocket(`${base.replace(/^http/, 'ws')}/v1/graphs/${graph}/sync`, ['graphtide.v1']),
      token: ask,
      renewable: typeof token === 'function',
      clock,
      random,
      handlers: {
        hello: () => ({ session: this.session, pending: this.queue.ids() }),
        onWelcome: (welcome) => this.#welcome(welcome),
        onMessages: (messages) => this.wire.receive(messages),
        onState: (state) => this.#moved(state),
      },
    })
    const send = (/** @type {object} */ message) => this.connection.send(message)
    this.presences = new Presence(this.store, send, this.session)
    this.wire = new Session({
      store: this.store,
      pending: this.queue,
      send,
      clock,
      emit: (name, event) => this.#emit(name, event),
      onCommitted: (mutation, version) => {
        this.store.stir(SELF)
        if (mutation.undoable) this.undos.committed(version, mutation.group)
      },
    })
    this.undos = new History((versions) => this.http.revert({ versions }))
    this.transactions = new Transactions(
      this.store,
      (mutation) => {
        this.wire.submit(mutation)
        this.store.stir(SELF)
      },
      () => this.wire.version,
    )
    this.objects = new Objects({
      store: this.store,
      schema: () => this.schema,
      write: (ops) => this.transactions.write(ops),
      classes,
      history: (id) => this.http.history(id),
      rights: (id) => this.presences.known(id),
      presence: (id) => this.presences.on(id),
    })
    this.classes = classes
    this.store.onChange = (refs) => {
      this.presences.review([...refs].filter((r) => r.startsWith('objects/')).map((r) => r.slice(8)))
      this.events.emit('change', { refs })
    }
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
    this.connection.start()
    try {
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
        const view = await this.http.schema()
        if (!view || view.version < this.schema.version) return
        this.schema = new Schema(view)
        // Names may mean other things now: let everything that is shown look again.
        this.store.batch(() => {
          for (const key of this.store.cells.byOwner.keys()) this.store.stir(key)
        })
        this.events.emit('schema', this.schema)
        return
      } catch (err) {
        const transient = err instanceof Problem && err.transient
        if (!transient || this.connection.state.name === 'closed' || (timeoutMs && clock.now() >= until)) throw err
      }
      await new Promise((resolve) => clock.setTimeout(() => resolve(undefined), wait))
    }
  }

  /** @param {import('./protocol.js').Welcome} welcome */
  #welcome(welcome) {
    this.user = welcome.user
    this.limits = welcome.limits ?? {}
    this.wire.connected(welcome)
    this.presences.connected()
    if (this.schema.version && welcome.schema > this.schema.version) this.#refreshSchema()
  }

  #refreshSchema() {
    this.#readSchema().catch((err) => this.events.emit('problem', err))
  }

  /** @param {import('./connection.js').ConnectionState} state */
  #moved(state) {
    if (state.name !== 'live' && this.wire.live) this.wire.disconnected()
    this.store.stir(SELF)
    this.events.emit('status', this.#status())
  }

  /** @param {string} name @param {any} event */
  #emit(name, event) {
    if (name === 'message:presence') this.presences.heard(event)
    else if (name === 'message:can') this.presences.told(event.objects)
    else if (name === 'message:schema') this.#refreshSchema()
    else if (name === 'reject') {
      this.store.stir(SELF)
      if (!this.events.listeners.get('reject')?.size)
        console.warn(`graphtide: a change was refused: ${event.problem.message} (${event.problem.code})`)
      this.events.emit('reject', event)
    } else if (!name.startsWith('message:')) this.events.emit(name, event)
  }

  /** Ends the connection and all views. */
  close() {
    this.connection.close()
    for (const view of [...this.wire.views]) view.close()
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

  /** The transactions on their way: `[{mutation, patch, note, shown}]`; readable live. */
  get pending() {
    this.store.cells.track(SELF, 'pending', () =>
      this.queue
        .all()
        .map((m) => m.id)
        .join(),
    )
    return this.queue.all().map((m) => ({ mutation: m.id, patch: m.ops, note: m.note, shown: !m.hidden }))
  }

  /** The newest version of which everything that concerns this client is here. */
  get version() {
    return this.wire.version
  }

  /** Resolves when nothing is pending. */
  async settled() {
    this.transactions.seal()
    await Promise.allSettled(this.queue.all().map((m) => m.settled.promise))
  }

  /**
   * Listens: `reject` ({mutation, problem, patch}), `status`, `change` ({refs}),
   * `schema`, `problem`, `resync`.
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
   * @param {Record<string, any> | string} projection
   * @param {Record<string, any>} [args] of a named projection
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
    const objects = new Objects({
      store,
      schema: () => this.schema,
      write: () => {
        throw new TypeError(`version ${version} is the past and cannot be changed`)
      },
      classes: this.classes,
      history: (id) => this.http.history(id),
      rights: (id) => this.presences.known(id),
      presence: () => [],
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
      },
      what,
    )
    this.wire.add(view)
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
   * @param {string} type
   * @param {Record<string, any>} [body] members that name an edge of the type link it
   * @param {{id?: string, access?: any}} [options]
   * @returns {any} the object
   */
  create(type, body = {}, { id = uuidv7(), access } = {}) {
    /** @type {Record<string, any>} */
    const plain = {}
    /** @type {[string, any][]} */
    const edges = []
    for (const key of Object.keys(body)) {
      if (this.schema.edge(type, key)) edges.push([key, body[key]])
      else plain[key] = body[key]
    }
    const value = Object.freeze({
      type,
      body: clone(plain),
      ...(access === undefined ? {} : { access: clone(access) }),
    })
    this.transactions.write([{ op: 'add', path: `/objects/${id}`, value }])
    const object = this.objects.object(id)
    for (const [key, target] of edges) object[key] = target
    return object
  }

  /**
   * Records patch operations over the graph document, as they are.
   * @param {PatchOp[]} ops
   */
  patch(ops) {
    this.transactions.write(clone(ops))
  }

  /**
   * Makes one atomic transaction of all that fn writes.
   * @param {() => unknown} fn
   * @param {{group?: string, note?: string, undoable?: boolean}} [options] group: a UUID that joins transactions
   *   of one user action; undoable: false keeps it out of what `undo` takes back
   * @returns {Promise<number>} its version; rejects with a Problem
   */
  transact(fn, options) {
    return this.transactions.transact(fn, options)
  }

  /** Takes back this client's last transaction (or group of them), as a new commit. */
  async undo() {
    await this.settled()
    return this.undos.undo()
  }

  async redo() {
    await this.settled()
    return this.undos.redo()
  }

  // More ------------------------------------------------------------------------

  /**
   * Starts an operation.
   * @param {string} name
   * @param {any} [params]
   * @param {{target?: any}} [options] the object that it is about
   * @returns {Promise<Operation>} once it is accepted; rejects with the problem
   */
  async run(name, params = {}, { target } = {}) {
    const id = uuidv7()
    await this.transact(
      () => {
        const request = this.create('OperationRequest', { operation: name, params }, { id })
        if (target) request.$link('target', target)
      },
      { undoable: false },
    )
    const view = this.subscribe({ root: id })
    await view.ready
    return new Operation(this.objects.object(id), view)
  }

  /**
   * Whether this user holds a right on an object. In a template, `object.$can(right)`
   * is the live form.
   * @param {any} object
   * @param {string} right
   * @returns {Promise<boolean>}
   */
  async can(object, right) {
    return (await this.presences.ask(idOf(object))).has(right)
  }

  /**
   * Shows the others who have the object in a view what this session does there;
   * null leaves. What they do is `object.$presence`.
   * @param {any} object
   * @param {any} state
   */
  presence(object, state) {
    this.presences.set(idOf(object), state === undefined ? null : clone(state))
  }
}

/** @param {Record<string, any> | string} projection @param {Record<string, any>} [args] */
function request(projection, args) {
  if (typeof projection === 'string') return { name: projection, args: clone(args ?? {}) }
  // Objects may stand where the projection has ids.
  const { root } = projection
  const id = (/** @type {any} */ r) => (refOfLive(r) ? idOf(r) : r)
  return { projection: clone({ ...projection, root: Array.isArray(root) ? root.map(id) : id(root) }) }
}
