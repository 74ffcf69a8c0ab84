/**
 * What passes between the server and the store: subscriptions, and the frames
 * that come back. Transactions are the business of `outgoing.js`.
 *
 * Everything of one websocket message, and everything that belongs together
 * over several (frames with `done: false`; the loads that answer a reconnect),
 * is held back until it is complete and then becomes visible as one step.
 */

import { Problem } from './protocol.js'

/** @typedef {import('./projection.js').View} View */
/** @typedef {import('./protocol.js').Frame} Frame */

/**
 * @typedef {object} SessionOptions
 * @property {import('./store.js').Store} store
 * @property {(message: object) => boolean} send
 * @property {(name: string, event?: any) => void} emit
 * @property {import('./connection.js').Clock} clock
 */

export class Session {
  /** @param {SessionOptions} options */
  constructor({ store, send, emit, clock }) {
    this.store = store
    this.send = send
    this.emit = emit
    this.clock = clock
    /** @type {import('./outgoing.js').Outgoing | null} */
    this.outgoing = null
    this.live = false
    this.epoch = ''
    /** The newest version of which this client knows everything that concerns it. */
    this.version = 0
    /** @type {Record<string, number>} */
    this.limits = {}
    /** @type {Set<View>} */
    this.views = new Set()
    /** @type {Map<string, View>} */
    this.bySub = new Map()
    /** Received, not yet shown. @type {any[]} */
    this.inbox = []
    /**
     * What everything else waits for: views of which a delta is incomplete, and subscriptions, those
     * of which an unasked load is, and after a reconnect all that were there before.
     * @type {Set<string>}
     */
    this.partial = new Set()
    this.newEpoch = false
    this.subs = 0
    /** @type {import('./resync.js').Resync | null} */
    this.resync = null
  }

  // Connection ----------------------------------------------------------------

  /** @param {import('./protocol.js').Welcome} welcome */
  connected(welcome) {
    this.live = true
    this.newEpoch = this.epoch !== '' && this.epoch !== welcome.epoch
    if (this.newEpoch) this.version = 0
    this.epoch = welcome.epoch
    this.limits = welcome.limits ?? {}
    for (const view of this.views) {
      if (view.state === 'failed' || (view.loaded && view.request.at !== undefined)) continue // the past stays as it is
      this.subscribe(view, view.loaded)
      if (view.loaded) this.partial.add(view.sub)
    }
    this.outgoing?.connected(welcome.applied ?? {})
    this.#drain() // with no view to wait for, what is committed is absorbed now
  }

  disconnected() {
    this.live = false
    this.inbox = []
    this.partial.clear()
    this.bySub.clear()
    for (const view of this.views) view.frames = []
    this.outgoing?.disconnected()
  }

  /** Nothing more is coming: what waits for it learns so. */
  close() {
    this.live = false
    this.resync?.close()
  }

  // Subscriptions -------------------------------------------------------------

  /** @param {View} view */
  add(view) {
    this.views.add(view)
    if (this.live) this.subscribe(view, view.loaded)
  }

  /** @param {View} view */
  remove(view) {
    this.views.delete(view)
    this.resync?.well(view)
    if (this.bySub.delete(view.sub)) this.send({ t: 'unsub', sub: view.sub })
    if (this.partial.delete(view.sub)) this.#drain()
  }

  /**
   * Subscribes under a fresh name, so that what is under way for an older one
   * cannot be mistaken for the answer.
   * @param {View} view
   * @param {boolean} resume
   */
  subscribe(view, resume) {
    const old = view.sub
    view.sub = `s${++this.subs}`
    view.frames = []
    view.awaiting = resume ? 'difference' : 'whole'
    this.bySub.set(view.sub, view)
    const since = resume ? { since: view.version, epoch: view.epoch, key: view.key } : {}
    this.send({ t: 'sub', sub: view.sub, ...view.request, ...since })
    if (this.bySub.delete(old)) this.send({ t: 'unsub', sub: old })
  }

  // What comes in ---------------------------------------------------------------

  /** Takes all of one websocket message. @param {any[]} messages */
  receive(messages) {
    for (const m of messages) {
      switch (m.t) {
        case 'load':
        case 'error':
          this.inbox.push(m)
          if (m.done !== false) this.partial.delete(m.sub)
          // One that nobody asked for (new rights) belongs to the deltas of its version.
          else if (this.bySub.get(m.sub)?.awaiting === null) this.partial.add(m.sub)
          break
        case 'delta':
          this.inbox.push(m)
          if (m.done === false) this.partial.add(m.view)
          else this.partial.delete(m.view)
          break
        case 'ack':
        case 'reject':
        case 'at':
          this.inbox.push(m)
          break
        default:
          this.emit(`message:${m.t}`, m)
      }
    }
    this.#drain()
  }

  #drain() {
    if (this.partial.size) return
    const inbox = this.inbox
    this.inbox = []
    this.store.batch(() => {
      if (this.newEpoch) for (const view of this.views) view.clear()
      this.newEpoch = false
      /** @type {Map<string, Frame[]>} */
      const deltas = new Map()
      for (const m of inbox) this.#handle(m, deltas)
      this.outgoing?.absorb()
    })
    this.outgoing?.flush()
  }

  /** @param {any} m @param {Map<string, Frame[]>} deltas frames by view, until the last */
  #handle(m, deltas) {
    switch (m.t) {
      case 'load': {
        const view = this.bySub.get(m.sub)
        if (!view) return
        if (!view.load(m, this.epoch)) this.resync?.slipped(view, true)
        else if (m.done !== false) {
          this.resync?.well(view)
          this.#reached(m)
        }
        return
      }
      case 'delta': {
        const frames = [...(deltas.get(m.view) ?? []), m]
        deltas.set(m.view, frames)
        if (m.done === false) return
        deltas.delete(m.view)
        for (const view of [...this.views]) {
          if (view.viewId !== m.view || view.awaiting || !this.bySub.has(view.sub)) continue
          if (!view.delta(frames)) this.resync?.slipped(view)
        }
        this.#reached(m)
        return
      }
      case 'ack':
        this.version = Math.max(this.version, m.version) // it comes after all that concerns this session
        this.outgoing?.acknowledged(m.mutation, m.version)
        return
      case 'reject':
        this.outgoing?.rejected(m.mutation, m.problem)
        return
      case 'at':
        this.#at(m)
        return
      case 'error': {
        const view = this.bySub.get(m.sub)
        const problem = new Problem(m.problem)
        if (!view) this.emit('problem', problem)
        else if (problem.transient) this.resync?.later(view, m.problem.retryAfterMs)
        else {
          this.bySub.delete(m.sub)
          view.fail(problem)
        }
      }
    }
  }

  /** A load or delta has brought its version, and own transactions with it. @param {Frame} m */
  #reached(m) {
    this.version = Math.max(this.version, m.version)
    this.outgoing?.covered(m.mutations ?? [])
  }

  /** @param {{version: number, digests?: Record<string, number>}} m */
  #at(m) {
    this.version = Math.max(this.version, m.version)
    for (const view of [...this.views]) {
      if (view.state !== 'live' || view.awaiting || view.request.at !== undefined) continue
      const digest = m.digests?.[view.viewId]
      if (digest === undefined) continue
      if (digest !== view.digest) {
        this.resync?.slipped(view, true)
      } else {
        view.version = Math.max(view.version, m.version)
        this.resync?.well(view)
      }
    }
  }
}
