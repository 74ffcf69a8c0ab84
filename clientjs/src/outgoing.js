/**
 * The way of transactions to the server, and what comes back of them: an `ack`,
 * a refusal for now, a refusal that another try may mend, or one for good.
 */

import { PatchError } from './patch.js'
import { ends } from './pending.js'
import { Problem } from './protocol.js'

/** @typedef {import('./mutation.js').Mutation} Mutation */

/**
 * @typedef {object} OutgoingOptions
 * @property {import('./layers.js').Layers} layers
 * @property {import('./pending.js').Pending} pending
 * @property {import('./session.js').Session} session
 * @property {(mutation: Mutation, version: number) => void} onCommitted while it is still shown as pending
 * @property {() => void} onSettled
 * @property {(event: {mutation: string, problem: Problem, patch: any[], dependsOn?: string}) => void} onRefused
 */

/** How long a transaction that was put off waits where the server does not say. */
const POSTPONE = 1_000
/** How often one is sent again because others were faster. */
const ATTEMPTS = 8

export class Outgoing {
  /** @param {OutgoingOptions} options */
  constructor({ layers, pending, session, onCommitted, onSettled, onRefused }) {
    this.layers = layers
    this.pending = pending
    this.session = session
    this.onCommitted = onCommitted
    this.onSettled = onSettled
    this.onRefused = onRefused
    /** @type {any} */
    this.timer = undefined
    /** The version that was shown before what comes in now. */
    this.known = 0
  }

  /** @param {Mutation} mutation */
  submit(mutation) {
    this.pending.add(mutation)
    this.flush()
  }

  /** Sends what may be sent. */
  flush() {
    if (!this.session.live || this.timer !== undefined) return
    for (let batch = this.pending.take(); batch.length; batch = this.pending.take()) {
      for (const m of batch) this.#mutate(m)
    }
  }

  /** @param {Mutation} m */
  #mutate(m) {
    const { session } = this
    if (!m.wire) {
      // The indexes have followed what this client has seen since it was written.
      if (m.indexed.size && !m.hidden) m.base = session.version
      m.wire = { patch: m.ops, base: m.base }
    }
    const text = {
      t: 'mutate',
      mutation: m.id,
      ...m.wire,
      ...(m.group === undefined ? {} : { group: m.group }),
      ...(m.note === undefined ? {} : { note: m.note }),
    }
    // A message over the limit would cost the connection: refuse it here.
    const limit = session.limits.messageBytes
    const json = JSON.stringify(text)
    // No character takes more than three bytes.
    if (limit && json.length * 3 > limit && new TextEncoder().encode(json).length > limit) {
      const detail = `the transaction is over ${limit} bytes: write it in parts`
      const problem = { code: 'too-large', title: 'Over a limit', status: 413, detail, limit: 'messageBytes' }
      queueMicrotask(() => session.store.batch(() => this.rejected(m.id, problem)))
      return
    }
    session.send(text)
  }

  // The session's part ----------------------------------------------------------

  /** @param {Record<string, number>} applied */
  connected(applied) {
    this.pending.welcome(applied)
    this.flush()
  }

  disconnected() {
    this.pending.disconnect()
    // What is loaded next was so after these were made.
    for (const f of this.pending.foreseen.values()) f.version &&= 0
  }

  /** A load or delta holds these transactions: they need not be shown a second time. @param {readonly string[]} ids */
  covered(ids) {
    for (const id of ids) {
      const own = this.pending.inFlight.get(id) ?? this.pending.unsure.get(id)
      if (own) {
        own.exact = this.known >= this.session.version - 1
        this.layers.discard(own) // the ack settles it: it tells the version
      } else this.foresaw(id, 0)
    }
  }

  /**
   * What was shown in advance is made: it is shown so until its version is here.
   * @param {string} id @param {number | undefined} version undefined: it will not be made
   */
  foresaw(id, version) {
    const foreseen = this.pending.foreseen.get(id)
    if (!foreseen) return
    foreseen.version = version
    if (version !== undefined && version > this.session.version) this.session.send({ t: 'ping' })
    else {
      const above = version === undefined ? this.#above(foreseen.mutation) : []
      this.pending.foreseen.delete(id)
      this.layers.discard(foreseen.mutation)
      for (const m of above) this.#pointless(m)
      queueMicrotask(() => this.flush()) // what had to wait for it
    }
  }

  /** The views have caught up with what the server said to be committed. */
  absorb() {
    this.known = this.session.version
    for (const { mutation, version } of this.pending.absorb()) this.#committed(mutation, version)
    for (const { mutation, problem } of [...this.pending.parked.values()]) {
      if (problem.version <= this.session.version) this.#refused(mutation, problem)
    }
    for (const [id, { version }] of [...this.pending.foreseen])
      if (version !== undefined && version <= this.session.version) this.foresaw(id, version)
  }

  /** @param {string} id @param {number} version */
  acknowledged(id, version) {
    const m = this.pending.settle(id)
    if (!m) return
    if (this.layers.list.includes(m)) m.exact = this.known >= version - 1
    this.#committed(m, version)
  }

  /** @param {Mutation} m @param {number} version */
  #committed(m, version) {
    this.onCommitted(m, version)
    this.layers.discard(m)
    m.settled.resolve(version)
    this.onSettled()
  }

  /** @param {string} id @param {import('./protocol.js').ProblemDocument} document */
  rejected(id, document) {
    const { pending, session } = this
    const { code } = document
    if (new Problem(document).transient || pending.dependsOnPostponed(id)) {
      if (pending.postpone(id)) this.#pause(document.retryAfterMs)
      return
    }
    const m = pending.inFlight.get(id)
    if (!m) return
    const mendable = m.indexed.size > 0 && m.attempts < ATTEMPTS && (code === 'test-failed' || code === 'path-missing')
    if (mendable && document.version > session.version) {
      // It was judged on what is still on its way here.
      pending.park(id, document)
      session.send({ t: 'ping' })
    } else if (mendable) this.#refused(m, document)
    else this.#gone(m, document)
  }

  /** An index may have been moved by others: is there another try? @param {Mutation} m @param {any} document */
  #refused(m, document) {
    this.session.store.replay()
    const { wire } = m
    const news = wire && (m.ops !== wire.patch || this.session.version > (wire.base ?? -1))
    if (m.hidden || !news) this.#gone(m, document)
    else this.pending.again(m)
  }

  /** @param {Mutation} m @param {any} document */
  #gone(m, document) {
    const { pending, layers, session } = this
    pending.settle(m.id)
    const problem = new Problem(m.dependsOn === undefined ? document : { ...document, dependsOn: m.dependsOn })
    const shown = pending.all().filter((p) => p.seq > m.seq && !p.hidden)
    const above = this.#above(m)
    layers.discard(m, problem)
    // What was foreseen on top of it will not come to be like that.
    for (const { mutation } of this.pending.foreseen.values())
      if ([...mutation.refs].some((ref) => m.refs.has(ref))) layers.discard(mutation)
    session.store.replay()
    m.settled.reject(problem)
    this.onRefused({ mutation: m.id, problem, patch: m.ops, dependsOn: m.dependsOn })
    this.onSettled()
    for (const p of shown) {
      const needs = [...p.refs, ...ends(p)].find((ref) => m.creates.has(ref))
      if (!needs && !p.hidden) continue
      p.dependsOn ??= m.id
      // What it needs will never be there. (What was sent, the server refuses.)
      if (needs && !p.wire) {
        const detail = `it builds on a change that was refused: ${problem.message}`
        this.#gone(p, { code: 'not-found', title: 'Not found', status: 404, detail, path: `/${needs}` })
      }
    }
    for (const p of above) {
      p.dependsOn ??= m.id
      this.#pointless(p)
    }
  }

  /** What points to elements that only this one makes. @param {Mutation} m */
  #above(m) {
    return this.pending.all().filter((p) => p.under === m && !p.wire)
  }

  /** What it pointed to will not be there, and what stands there now is something else. @param {Mutation} m */
  #pointless(m) {
    if (!this.pending.all().includes(m)) return
    const detail = 'it points to elements that a change made which was refused'
    this.#gone(m, {
      code: 'test-failed',
      title: 'A test did not hold',
      status: 409,
      detail,
      version: this.session.version,
    })
  }

  /** @param {number | undefined} ms */
  #pause(ms) {
    if (this.timer !== undefined) return
    this.timer = this.session.clock.setTimeout(() => {
      this.timer = undefined
      this.flush()
    }, ms ?? POSTPONE)
  }

  /** The client is closed: nobody waits for an answer any more. */
  close() {
    this.session.clock.clearTimeout(this.timer)
    for (const m of this.pending.all())
      m.settled.reject(new Problem({ code: 'closed', detail: 'the client was closed before the server answered' }))
    for (const m of [...this.layers.list]) this.layers.discard(m)
  }

  /** Takes back what has not been sent yet; whether it could. @param {Mutation} m */
  withdraw(m) {
    if (m.wire || !this.pending.waiting.includes(m)) return false
    this.pending.settle(m.id)
    this.layers.discard(m)
    m.settled.reject(new PatchError('test-failed', 'it was taken back before it was sent', ''))
    this.onSettled()
    return true
  }
}
