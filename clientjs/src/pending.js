/**
 * Transactions on their way to the server, what is in flight kept apart from
 * what waits. Order is everything: those of one session are settled in the
 * order sent, and after a reconnect the unanswered ones are sent again in order.
 *
 *     add ─► waiting ──take──► in flight ──settle──► gone
 *               ▲                 │  │ │
 *               ├──── put off ────┘  │ └─disconnect─► unsure ─► committed | waiting
 *               └─ again ─ parked ◄──┘ refused, for what this client has yet to see
 */

/** @typedef {import('./mutation.js').Mutation} Mutation */

/** The objects that a transaction's new edges join. @param {Mutation} m @returns {string[]} */
export const ends = (m) =>
  m.steps.flatMap(({ ref, whole, step }) =>
    whole && step.op === 'add' && ref.startsWith('edges/')
      ? [`objects/${step.value.from}`, `objects/${step.value.to}`]
      : [],
  )

const bySeq = (/** @type {Mutation} */ a, /** @type {Mutation} */ b) => a.seq - b.seq

export class Pending {
  /** @param {{window?: number}} [options] how many may be in flight */
  constructor({ window = 64 } = {}) {
    this.window = window
    /** @type {Mutation[]} */
    this.waiting = []
    /** @type {Map<string, Mutation>} sent and not answered, in the order sent */
    this.inFlight = new Map()
    /** Sent on a connection that is gone: perhaps committed. @type {Map<string, Mutation>} */
    this.unsure = new Map()
    /** Known to be committed, but not yet in what the views hold. @type {Map<string, {mutation: Mutation, version: number}>} */
    this.committed = new Map()
    /** Refused on a state that is not here yet, which decides what becomes of them. @type {Map<string, {mutation: Mutation, problem: any}>} */
    this.parked = new Map()
    /** Commits of others for this session (undo), shown before they are made, by their id. @type {Map<string, {mutation: Mutation, version: number | undefined}>} */
    this.foreseen = new Map()
    /** Refused for now; what depends on them waits with them. @type {Set<Mutation>} */
    this.postponed = new Set()
  }

  /** All that are unsettled, in the order written. @returns {Mutation[]} */
  all() {
    const all = [...this.waiting, ...this.inFlight.values(), ...this.unsure.values()]
    for (const c of [...this.committed.values(), ...this.parked.values()]) all.push(c.mutation)
    return all.sort(bySeq)
  }

  /** @param {Mutation} mutation */
  add(mutation) {
    this.waiting.push(mutation)
  }

  /** Moves what may be sent now into flight, in order. @returns {Mutation[]} */
  take() {
    const batch = []
    while (this.inFlight.size < this.window && this.waiting.length) {
      const m = this.waiting[0]
      if (this.#mustWait(m)) break
      this.waiting.shift()
      this.postponed.delete(m)
      this.inFlight.set(m.id, m)
      batch.push(m)
    }
    return batch
  }

  /**
   * Of one's own transactions the server assumes that they are settled as sent.
   * So one that moves elements of an array and one that points into it are not
   * under way together: were the first refused, the index of the second would
   * mean another element. Nor is one sent that is written on what an undo is shown
   * to make: the server has yet to make it. (What others do, the server tells by `base`.)
   * @param {Mutation} m
   */
  #mustWait(m) {
    for (const { mutation: e } of this.foreseen.values())
      if (e.seq < m.seq && [...m.refs, ...ends(m)].some((ref) => e.refs.has(ref))) return true
    const refs = [...m.refs].filter((ref) => m.indexed.has(ref) || m.reshapes(ref, false))
    if (refs.length === 0) return false
    return this.all().some(
      (e) =>
        e.seq < m.seq &&
        refs.some(
          (ref) => (m.indexed.has(ref) && e.reshapes(ref, true)) || (e.indexed.has(ref) && m.reshapes(ref, false)),
        ),
    )
  }

  /**
   * It is answered for good.
   * @param {string} id
   * @returns {Mutation | undefined} it, if it was still unsettled
   */
  settle(id) {
    const found =
      this.inFlight.get(id) ??
      this.unsure.get(id) ??
      this.committed.get(id)?.mutation ??
      this.parked.get(id)?.mutation ??
      this.waiting.find((m) => m.id === id)
    if (!found) return undefined
    this.inFlight.delete(id)
    this.unsure.delete(id)
    this.committed.delete(id)
    this.parked.delete(id)
    this.waiting = this.waiting.filter((m) => m !== found)
    this.postponed.delete(found)
    return found
  }

  /**
   * It was refused, but may succeed later: it waits again, in its place.
   * @param {string} id
   * @returns {boolean} whether it was in flight
   */
  postpone(id) {
    const m = this.inFlight.get(id)
    if (!m) return false
    this.inFlight.delete(id)
    this.postponed.add(m)
    this.#wait(m)
    return true
  }

  /** It was refused on a state that is not here yet. @param {string} id @param {any} problem */
  park(id, problem) {
    const mutation = /** @type {Mutation} */ (this.inFlight.get(id))
    this.inFlight.delete(id)
    this.parked.set(id, { mutation, problem })
  }

  /** It is tried again, in its place. @param {Mutation} m */
  again(m) {
    this.inFlight.delete(m.id)
    this.parked.delete(m.id)
    m.attempts++
    m.wire = null
    this.#wait(m)
  }

  /** @param {Mutation} m */
  #wait(m) {
    this.waiting.push(m)
    this.waiting.sort(bySeq)
  }

  /**
   * Whether a refusal may only be due to an earlier transaction that was put
   * off, on whose entities this one builds.
   * @param {string} id
   */
  dependsOnPostponed(id) {
    const m = this.inFlight.get(id)
    if (!m) return false
    return [...this.postponed].some((p) => p.seq < m.seq && [...p.refs].some((ref) => m.refs.has(ref)))
  }

  /** The connection is gone. */
  disconnect() {
    for (const [id, m] of this.inFlight) this.unsure.set(id, m)
    this.inFlight.clear()
    for (const { mutation } of [...this.parked.values()]) this.again(mutation)
  }

  /** Ids to ask the server about. @returns {string[]} */
  ids() {
    return [...this.unsure.keys()]
  }

  /**
   * The server has said which of `ids()` are committed; the rest waits again.
   * @param {Record<string, number>} applied
   */
  welcome(applied) {
    for (const [id, mutation] of this.unsure) {
      const version = Object.hasOwn(applied, id) ? applied[id] : undefined
      if (version !== undefined) this.committed.set(id, { mutation, version })
      else this.waiting.push(mutation)
    }
    this.unsure.clear()
    this.waiting.sort(bySeq)
  }

  /**
   * The views have caught up with everything said to be committed.
   * @returns {{mutation: Mutation, version: number}[]}
   */
  absorb() {
    const done = [...this.committed.values()]
    this.committed.clear()
    return done
  }
}
