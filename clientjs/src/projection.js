/**
 * A view: a live projection as this client holds it.
 *
 *     new ─► loading ─► live ─► closed
 *               ▲        │ └──► failed   the server refused it
 *               └────────┘ resumed from its version, or loaded anew
 *
 * Its members are exactly what the server said, at one version. A change that
 * does not fit is never guessed around: the view says that it is out of step.
 */

import { entityHash } from './digest.js'
import { makeLive } from './live.js'
import { applyStep, compileOp } from './patch.js'
import { Problem } from './protocol.js'
import { age, sameItems } from './store.js'

/** @typedef {import('./protocol.js').Entity} Entity */
/** @typedef {import('./protocol.js').Frame} Frame */
/** @typedef {import('./store.js').Store} Store */

/**
 * What a view needs of its surroundings.
 * @typedef {object} ViewContext
 * @property {Store} store
 * @property {() => import('./schema.js').Schema} schema
 * @property {(id: string) => any} object the live object of an id
 * @property {(value: any) => string} idOf of an object or an id
 * @property {(view: View) => void} onClose
 * @property {() => typeof import('./lists.js') | null} lists what knows of windows and order, once it is fetched
 */

let count = 0

/** @returns {{promise: Promise<any>, resolve: (value: any) => void, reject: (problem: Error) => void}} */
function deferred() {
  /** @type {any} */
  const d = {}
  d.promise = new Promise((resolve, reject) => Object.assign(d, { resolve, reject }))
  return d
}

/** @template [R=any] the type of the roots */
export class View {
  /**
   * @param {ViewContext} context
   * @param {Record<string, any>} request what to ask for: `{projection}` or `{name, args}`, and `at`
   */
  constructor(context, request) {
    this.context = context
    this.request = request
    /** Its name on the wire; a fresh one whenever it is subscribed anew. */
    this.sub = ''
    /** @type {'loading'|'live'|'failed'|'closed'} */
    this.state = 'loading'
    /** @type {Error | null} */
    this.error = null
    /** How many entities the load under way will bring, where the server said. */
    this.total = 0
    /** Whether anything has been loaded yet. */
    this.loaded = false
    this.viewId = ''
    this.key = ''
    this.epoch = ''
    this.version = 0
    this.digest = 0
    /** What the next load holds. @type {'whole'|'difference'|null} null: it is not awaited */
    this.awaiting = null
    /** @type {Map<string, Entity>} */
    this.members = new Map()
    /** @type {string[]} */
    this.rootIds = []
    /** @type {Map<string, import('./lists.js').ViewList>} */
    this.viewLists = new Map()
    /** @type {Frame[]} frames of a load that is not complete */
    this.frames = []
    this.owner = `view:${++count}`
    const { promise, resolve, reject } = deferred()
    /** Resolves with this view once it is loaded, rejects with the problem. @type {Promise<View<R>>} */
    this.ready = promise
    this.resolveReady = resolve
    this.rejectReady = reject
    this.ready.catch(() => {})
    /** @type {any} */
    this.rootsLive = null
    /** @type {readonly string[]} */
    this.shownRoots = []
  }

  // Reading -------------------------------------------------------------------

  /** The first root: a live object, undefined until it is loaded. @returns {R | undefined} */
  get root() {
    this.#track('roots', () => this.#rootIds())
    const [id] = this.#rootIds()
    return id === undefined ? undefined : this.context.object(id)
  }

  /** The roots, in the server's order: a live array. @returns {readonly R[]} */
  get roots() {
    this.rootsLive ??= makeLive({
      read: () => this.#rootIds(),
      track: () => this.#track('roots', () => this.#rootIds()),
      item: this.context.object,
    })
    return this.rootsLive
  }

  /** The projection, or that of its name, with its arguments open. */
  get template() {
    return this.request.projection ?? this.context.schema().projections[this.request.name]?.projection
  }

  /** `loading`, `live`, `failed` or `closed`. */
  get status() {
    this.#track('status', () => this.state)
    return this.state
  }

  /**
   * The objects joined to a parent, in this view's window and order: a live array.
   * @param {any} parent an object or its id
   * @param {string} name an edge label, or the `as` name of an inbound one
   * @returns {any[]}
   */
  list(parent, name) {
    return this.context.lists()?.listOf(this, this.context.idOf(parent), name) ?? []
  }

  /** Ends the subscription. What no other view holds is forgotten. */
  close() {
    if (this.state === 'closed') return
    this.#enter('closed')
    this.context.store.cells.byOwner.delete(this.owner)
    this.frames = []
    this.viewLists.clear()
    this.context.store.drop(this)
    this.context.onClose(this)
    this.rejectReady(new Problem({ code: 'closed', detail: 'the view was closed before it was loaded' }))
  }

  #rootIds() {
    const { store } = this.context
    const ids = this.rootIds.filter((id) => store.shown.has(`objects/${id}`))
    ids.push(...(this.context.lists()?.newRoots(this, ids) ?? []))
    if (!sameItems(ids, this.shownRoots)) this.shownRoots = ids
    return this.shownRoots
  }

  /** @param {string} key @param {() => any} stamp */
  #track(key, stamp) {
    this.context.store.cells.track(this.owner, key, stamp)
  }

  /** @param {View['state']} state */
  #enter(state) {
    this.state = state
    this.context.store.stir(this.owner)
  }

  /** The store's word at the end of a batch. @param {Set<string>} refs @param {Set<string>} lists */
  changed(refs, lists) {
    this.context.store.stir(this.owner)
    for (const list of this.viewLists.values()) list.changed(refs, lists)
  }

  // Writing: the session's part ----------------------------------------------------

  /** The server refuses it. @param {Error} problem */
  fail(problem) {
    this.error = problem
    this.frames = []
    this.awaiting = null
    this.context.store.drop(this)
    this.#enter('failed')
    this.rejectReady(problem)
  }

  /** Shows what an earlier page held, until the server says what has changed since. @param {import('./persist.js').KeptView} kept */
  restore({ epoch, key, version, roots, members }) {
    this.context.store.batch(() => {
      for (const [ref, entity] of members) this.#set(ref, entity)
      Object.assign(this, { epoch, key, version, rootIds: roots, loaded: true })
    })
    this.resolveReady(this)
  }

  /**
   * Takes one frame of a load; acts on the last.
   * @param {Frame} frame
   * @param {string} epoch
   * @returns {boolean} false: out of step, subscribe anew
   */
  load(frame, epoch) {
    if (frame.total !== undefined) this.total = frame.total
    this.frames.push(frame)
    if (frame.done === false) return true
    const frames = this.frames
    this.frames = []
    // A load that nobody asked for comes where rights part two users of one
    // view: it holds what differs.
    const whole = this.awaiting === 'whole' || frames.some((f) => f.reset)
    this.awaiting = null
    const { store } = this.context
    return store.batch(() => {
      /** @type {Set<string> | null} */
      const stale = whole ? new Set(this.members.keys()) : null
      for (const f of frames) {
        if (!this.#take('objects', f.objects, stale) || !this.#take('edges', f.edges, stale)) return false
        if (f.roots) this.rootIds = f.roots
      }
      for (const ref of stale ?? []) this.#set(ref, undefined)
      if (this.viewId !== frame.view) this.viewId = frame.view
      this.key = frame.key ?? this.key
      this.epoch = epoch
      this.version = frame.version
      this.loaded = true
      for (const id of this.rootIds) store.stir(`objects/${id}`) // what is known of their edges may be more now
      this.#enter('live')
      if (frame.digest !== undefined && frame.digest !== this.digest) return false
      this.resolveReady(this)
      return true
    })
  }

  /**
   * Takes a delta, all of its frames.
   * @param {Frame[]} frames
   * @returns {boolean} false: out of step, subscribe anew
   */
  delta(frames) {
    for (const f of frames) {
      if (!this.#take('objects', f.objects, null) || !this.#take('edges', f.edges, null)) return false
      if (f.roots) this.rootIds = f.roots
      this.version = Math.max(this.version, f.version)
    }
    return true
  }

  /**
   * @param {'objects'|'edges'} kind
   * @param {Record<string, any> | undefined} entries
   * @param {Set<string> | null} stale members not yet named by a whole load
   */
  #take(kind, entries, stale) {
    for (const id of Object.keys(entries ?? {})) {
      const ref = `${kind}/${id}`
      stale?.delete(ref)
      if (!this.#apply(ref, /** @type {any} */ (entries)[id])) return false
    }
    return true
  }

  /** @param {string} ref @param {any} entry @returns {boolean} */
  #apply(ref, entry) {
    if ('leave' in entry) {
      this.#set(ref, undefined)
      return true
    }
    const whole = entry.enter ?? (entry.patch ? null : entry)
    if (whole) {
      this.#set(ref, whole)
      return true
    }
    const mine = this.members.get(ref)
    if (mine && mine.meta.version >= entry.version) return true
    if (!mine || mine.meta.version !== entry.was) return false
    const known = this.context.store.confirmed.get(ref)
    if (known && age(known) === entry.version) {
      this.#set(ref, known) // another view has done the work
      return true
    }
    try {
      let entity = mine
      for (const op of entry.patch) {
        const step = compileOp(op)
        if (step.path[0] !== 'access') entity = applyStep(entity, step)
      }
      this.#set(ref, { ...entity, meta: entry.meta })
      return true
    } catch {
      return false
    }
  }

  /** @param {string} ref @param {Entity | undefined} entity */
  #set(ref, entity) {
    const { store } = this.context
    const id = ref.slice(ref.indexOf('/') + 1)
    const before = this.members.get(ref)
    let digest = this.digest
    if (before) digest -= entityHash(id, before.meta.version)
    if (entity) digest += entityHash(id, entity.meta.version)
    this.digest = digest >>> 0
    if (entity) store.hold(this, ref, entity)
    else store.release(this, ref)
    if (!before === !entity) return
    for (const list of this.viewLists.values()) list.membership(ref)
    store.stir(this.owner)
  }

  /** Forgets all members, to be loaded whole in the same batch: another epoch. */
  clear() {
    for (const ref of [...this.members.keys()]) this.#set(ref, undefined)
  }
}
