/**
 * What passes between the server and the store: subscriptions, transactions,
 * and the frames that come back.
 *
 * Everything of one websocket message, and everything that belongs together
 * over several (frames with `done: false`; the loads that answer a reconnect),
 * is held back until it is complete and then becomes visible as one step.
 */

import { Problem } from './protocol.js'

/** @typedef {import('./projection.js').View} View */
/** @typedef {import('./mutation.js').Mutation} Mutation */
/** @typedef {import('./protocol.js').Frame} Frame */

/**
 * @typedef {object} SessionOptions
 * @property {import('./store.js').Store} store
 * @property {import('./pending.js').Pending} pending
 * @property {(message: object) => boolean} send
 * @property {(name: string, event?: any) => void} emit
 * @property {import('./connection.js').Clock} clock
 * @property {(mutation: Mutation, version: number) => void} onCommitted
 */

/** How long a transaction that was put off waits where the server does not say. */
const POSTPONE = 1_000
/** A view out of step is subscribed anew at once, then at growing intervals. */
const RESUBSCRIBE = 500

export class Session {
  /** @param {SessionOptions} options */
  constructor({ store, pending, send, emit, clock, onCommitted }) {
    this.store = store
    this.pending = pending
    this.send = send
    this.emit = emit
    this.clock = clock
    this.onCommitted = onCommitted
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
    /** Views of which a delta is incomplete. @type {Set<string>} */
    this.partial = new Set()
    /** Subscriptions whose answer is held back with the others' after a reconnect. @type {Set<string>} */
    this.resuming = new Set()
    this.newEpoch = false
    this.subs = 0
    /** @type {any} */
    this.timer = undefined
    /** @type {Map<View, number>} how often a view got out of step in a row */
    this.slips = new Map()
  }

  // Connection ----------------------------------------------------------------

  /** @param {import('./protocol.js').Welcome} welcome */
  connected(welcome) {
    this.live = true
    this.newEpoch = this.epoch !== '' && this.epoch !== welcome.epoch
    if (this.newEpoch) this.version = 0
    this.epoch = welcome.epoch
    this.limits = welcome.limits ?? {}
    this.pending.welcome(welcome.applied ?? {})
    for (const view of this.views) {
      if (view.state === 'failed' || (view.loaded && view.request.at !== undefined)) continue // the past stays as it is
      this.#subscribe(view, view.loaded)
      if (view.loaded) this.resuming.add(view.sub)
    }
    this.flush()
    this.#drain() // with no view to wait for, what is committed is absorbed now
  }

  disconnected() {
    this.live = false
    this.inbox = []
    this.partial.clear()
    this.resuming.clear()
    this.bySub.clear()
    for (const view of this.views) view.frames = []
    this.pending.disconnect()
  }

  // Subscriptions -------------------------------------------------------------

  /** @param {View} view */
  add(view) {
    this.views.add(view)
    if (this.live) this.#subscribe(view, false)
  }

  /** @param {View} view */
  remove(view) {
    this.views.delete(view)
    this.slips.delete(view)
    if (this.bySub.delete(view.sub)) this.send({ t: 'unsub', sub: view.sub })
    if (this.resuming.delete(view.sub)) this.#drain()
  }

  /**
   * Subscribes under a fresh name, so that what is under way for an older one
   * cannot be mistaken for the answer.
   * @param {View} view
   * @param {boolean} resume
   */
  #subscribe(view, resume) {
    const old = view.sub
    view.sub = `s${++this.subs}`
    view.frames = []
    view.awaiting = resume ? 'difference' : 'whole'
    this.bySub.set(view.sub, view)
    const since = resume ? { since: view.version, epoch: view.epoch, key: view.key } : {}
    this.send({ t: 'sub', sub: view.sub, ...view.request, ...since })
    if (this.bySub.delete(old)) this.send({ t: 'unsub', sub: old })
  }

  /** A view does not fit what came: it is asked for again. @param {View} view */
  #slipped(view) {
    const slips = (this.slips.get(view) ?? 0) + 1
    this.slips.set(view, slips)
    this.emit('resync', { view, times: slips })
    // The first time from where it stood; if that does not help, whole.
    view.awaiting = slips === 1 ? 'difference' : 'whole' // hear nothing until it is answered
    if (slips <= 2) this.#subscribe(view, slips === 1 && view.loaded)
    else this.#later(view, Math.min(30_000, RESUBSCRIBE * 2 ** (slips - 3)))
  }

  /** What a view holds is wrong, and a resume would only build on it: loads it whole. @param {View} view */
  #distrust(view) {
    this.slips.set(view, Math.max(1, this.slips.get(view) ?? 0))
    this.#slipped(view)
  }

  /** Subscribes a view anew after a while, unless a new connection has done so. @param {View} view @param {number} ms */
  #later(view, ms) {
    const { sub } = view
    this.clock.setTimeout(() => {
      if (this.live && this.views.has(view) && view.sub === sub) this.#subscribe(view, false)
    }, ms)
  }

  // Transactions --------------------------------------------------------------

  /** @param {Mutation} mutation */
  submit(mutation) {
    this.pending.add(mutation)
    this.flush()
  }

  /** Sends what may be sent. */
  flush() {
    if (!this.live || this.timer !== undefined) return
    for (let batch = this.pending.take(); batch.length; batch = this.pending.take()) {
      for (const m of batch) this.#mutate(m)
    }
  }

  /** @param {Mutation} m */
  #mutate(m) {
    // What it waited for is confirmed: if nobody else came between, the author
    // saw the present version. Otherwise the server judges by the older one.
    if (m.held && this.store.arraysAsSeen(m)) m.base = this.version
    m.held = false
    const message = {
      t: 'mutate',
      mutation: m.id,
      patch: m.ops,
      ...(m.base === undefined ? {} : { base: m.base }),
      ...(m.group === undefined ? {} : { group: m.group }),
      ...(m.note === undefined ? {} : { note: m.note }),
    }
    // A message over the limit would cost the connection: refuse it here.
    const limit = this.limits.messageBytes
    if (limit && new TextEncoder().encode(JSON.stringify(message)).length > limit) {
      const problem = {
        code: 'too-large',
        title: 'Over a limit',
        status: 413,
        detail: `the transaction is over ${limit} bytes: write it in parts`,
        limit: 'messageBytes',
      }
      queueMicrotask(() => this.store.batch(() => this.#rejected(m.id, problem)))
      return
    }
    this.send(message)
  }

  /** @param {string} id @param {number} version */
  #acknowledged(id, version) {
    const m = this.pending.settle(id)
    if (!m) return
    this.store.discard(m)
    this.onCommitted(m, version)
    m.settled.resolve(version)
  }

  /** @param {string} id @param {import('./protocol.js').ProblemDocument} document */
  #rejected(id, document) {
    const problem = new Problem(document)
    if (problem.transient || this.pending.dependsOnPostponed(id)) {
      if (this.pending.postpone(id)) this.#pause(document.retryAfterMs)
      return
    }
    const m = this.pending.settle(id)
    if (!m) return
    this.store.discard(m, problem)
    m.settled.reject(problem)
    this.emit('reject', { mutation: id, problem, patch: m.ops })
  }

  /** @param {number | undefined} ms */
  #pause(ms) {
    if (this.timer !== undefined) return
    this.timer = this.clock.setTimeout(() => {
      this.timer = undefined
      this.flush()
    }, ms ?? POSTPONE)
  }

  // What comes in ---------------------------------------------------------------

  /** Takes all of one websocket message. @param {any[]} messages */
  receive(messages) {
    for (const m of messages) {
      switch (m.t) {
        case 'load':
        case 'error':
          this.inbox.push(m)
          if (m.t === 'error' || m.done !== false) this.resuming.delete(m.sub)
          break
        case 'delta':
          if (m.done === false) this.partial.add(m.view)
          else this.partial.delete(m.view)
          this.inbox.push(m)
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
    if (this.partial.size || this.resuming.size) return
    const inbox = this.inbox
    this.inbox = []
    this.store.batch(() => {
      if (this.newEpoch) for (const view of this.views) view.clear()
      this.newEpoch = false
      /** @type {Map<string, Frame[]>} */
      const deltas = new Map()
      for (const m of inbox) this.#handle(m, deltas)
      for (const { mutation, version } of this.pending.absorb()) {
        this.store.discard(mutation)
        this.onCommitted(mutation, version)
        mutation.settled.resolve(version)
      }
    })
    this.flush()
  }

  /** @param {any} m @param {Map<string, Frame[]>} deltas frames by view, until the last */
  #handle(m, deltas) {
    switch (m.t) {
      case 'load': {
        const view = this.bySub.get(m.sub)
        if (!view) return
        if (!view.load(m, this.epoch)) this.#distrust(view)
        else if (m.done !== false) {
          this.slips.delete(view)
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
          if (!view.delta(frames)) this.#slipped(view)
        }
        this.#reached(m)
        return
      }
      case 'ack':
        this.#acknowledged(m.mutation, m.version)
        return
      case 'reject':
        this.#rejected(m.mutation, m.problem)
        return
      case 'at':
        this.#at(m)
        return
      case 'error': {
        const view = this.bySub.get(m.sub)
        const problem = new Problem(m.problem)
        if (!view) this.emit('problem', problem)
        else if (problem.transient) this.#later(view, m.problem.retryAfterMs ?? POSTPONE)
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
    for (const id of m.mutations ?? []) {
      const own = this.pending.inFlight.get(id) ?? this.pending.unsure.get(id)
      if (own) this.store.discard(own) // the ack settles it: it tells the version
    }
  }

  /** @param {{version: number, digests?: Record<string, number>}} m */
  #at(m) {
    this.version = Math.max(this.version, m.version)
    for (const view of [...this.views]) {
      if (view.state !== 'live' || view.awaiting || view.request.at !== undefined) continue
      const digest = m.digests?.[view.viewId]
      if (digest === undefined) continue
      if (digest !== view.digest) {
        this.#distrust(view)
      } else {
        view.version = Math.max(view.version, m.version)
        this.slips.delete(view)
      }
    }
  }
}
