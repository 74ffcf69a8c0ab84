/**
 * A simulated world: seeded chance, a clock that jumps from event to event, and
 * a network that delays, cuts and never reorders within one connection.
 */

/** @param {number} seed @returns {() => number} */
export function seeded(seed) {
  let a = seed >>> 0
  return () => {
    a = (a + 0x6d2b79f5) >>> 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** A turn that begins when no microtask is left. It is quick, and nothing comes from outside the world meanwhile. @param {() => void} fn */
export const within = (fn) => process.nextTick(fn)

export class Sim {
  /** @param {number} [seed] @param {(fn: () => void) => void} [turn] `within` for a world that holds all that happens in it */
  constructor(seed = 1, turn = setImmediate) {
    this.turn = turn
    this.random = seeded(seed)
    this.time = 0
    this.count = 0
    /** @type {Map<number, {at: number, n: number, fn: () => void}>} */
    this.events = new Map()
    this.clock = {
      now: () => this.time,
      setTimeout: (/** @type {() => void} */ fn, /** @type {number} */ ms) => this.after(ms, fn),
      clearTimeout: (/** @type {any} */ n) => void this.events.delete(n),
    }
  }

  /** @param {number} ms @param {() => void} fn @returns {number} */
  after(ms, fn) {
    const n = ++this.count
    this.events.set(n, { at: this.time + Math.max(0, ms), n, fn })
    return n
  }

  /** Lets promises settle. */
  async settle() {
    await undefined
    await new Promise((resolve) => this.turn(() => resolve(undefined)))
  }

  /** Runs the next event, and what follows from it. @returns {Promise<boolean>} whether there was one before `until` */
  async step(until = Number.POSITIVE_INFINITY) {
    /** @type {{at: number, n: number, fn: () => void} | null} */
    let next = null
    for (const e of this.events.values()) if (!next || e.at < next.at || (e.at === next.at && e.n < next.n)) next = e
    if (!next || next.at > until) return false
    this.events.delete(next.n)
    this.time = Math.max(this.time, next.at)
    next.fn()
    await this.settle()
    return true
  }

  /** Runs all events of the next `ms`. @param {number} ms */
  async run(ms) {
    const until = this.time + ms
    await this.settle()
    while (await this.step(until));
    this.time = until
  }

  /** Runs until something holds. @param {() => unknown} condition @param {number} [ms] */
  async until(condition, ms = 60_000) {
    const limit = this.time + ms
    await this.settle()
    while (!condition()) {
      if (!(await this.step(limit))) throw new Error(`not within ${ms} ms of simulated time: ${condition}`)
    }
  }

  /** @template T @param {Promise<T>} promise @returns {Promise<T>} what it settles with, letting time pass */
  async wait(promise) {
    let done = false
    promise.then(
      () => (done = true),
      () => (done = true),
    )
    await this.until(() => done)
    return promise
  }

  /** @param {number} n */
  int(n) {
    return Math.floor(this.random() * n)
  }

  /** @template T @param {readonly T[]} list @returns {T} */
  pick(list) {
    return list[this.int(list.length)]
  }

  /** @param {number} p */
  chance(p) {
    return this.random() < p
  }
}

/**
 * What joins sockets to a fake server.
 * @typedef {object} Network
 * @property {Sim} sim
 * @property {{accept: (peer: any, url: string) => any}} server
 * @property {() => number} [delay]
 * @property {() => boolean} [refuse]
 * @property {() => boolean} [twice] whether a message comes twice
 */

/**
 * A WebSocket class whose sockets end at a fake server.
 * @param {Network} network
 * @param {(socket: FakeSocket) => void} [onMade]
 */
export function fakeWebSocket(network, onMade) {
  return class FakeWebSocket extends FakeSocket {
    /** @param {string} url */
    constructor(url) {
      super(network, url)
      onMade?.(this)
    }
  }
}

/** What is the same in all worlds, and so compiled once. */
class FakeSocket {
  /** @param {Network} network @param {string} url */
  constructor(network, url) {
    this.network = network
    /** @type {any} */
    this.onopen = this.onmessage = this.onclose = this.onerror = null
    /** @type {any} */
    this.session = undefined
    this.closed = false
    this.lastUp = 0
    this.lastDown = 0
    const { sim, server, refuse } = network
    if (refuse?.()) {
      sim.after(this.#delay(), () => this.cut(1006))
      return
    }
    sim.after(this.#delay(), () => {
      if (this.closed) return
      this.session = server.accept(
        {
          send: (/** @type {string} */ text) => this.#down(() => this.onmessage?.({ data: text })),
          close: (/** @type {number} */ code) => this.#down(() => this.cut(code)),
        },
        url,
      )
      this.onopen?.({})
    })
  }

  #delay() {
    return this.network.delay?.() ?? 1
  }

  /** In order, each after a delay of its own. @param {() => void} fn */
  #down(fn) {
    const { sim } = this.network
    this.lastDown = Math.max(this.lastDown, sim.time + this.#delay())
    sim.after(this.lastDown - sim.time, () => !this.closed && fn())
  }

  /** @param {string} text */
  send(text) {
    if (this.closed) return
    const { sim, twice } = this.network
    this.lastUp = Math.max(this.lastUp, sim.time + this.#delay())
    const { session } = this
    const again = text.includes('"mutate"') && twice?.()
    for (let n = again ? 2 : 1; n > 0; n--) sim.after(this.lastUp - sim.time, () => session?.receive(text))
  }

  close() {
    this.closed = true
    this.session?.gone()
  }

  /** The line breaks: what was on its way to this side is lost. @param {number} code */
  cut(code) {
    if (this.closed) return
    this.closed = true
    this.session?.gone()
    this.onclose?.({ code })
  }
}
