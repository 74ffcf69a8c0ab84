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

export class Sim {
  /** @param {number} [seed] */
  constructor(seed = 1) {
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
    await new Promise((resolve) => setImmediate(resolve))
  }

  /** Runs the next event. @returns {Promise<boolean>} whether there was one before `until` */
  async step(until = Number.POSITIVE_INFINITY) {
    await this.settle()
    /** @type {{at: number, n: number, fn: () => void} | null} */
    let next = null
    for (const e of this.events.values()) if (!next || e.at < next.at || (e.at === next.at && e.n < next.n)) next = e
    if (!next || next.at > until) return false
    this.events.delete(next.n)
    this.time = Math.max(this.time, next.at)
    next.fn()
    return true
  }

  /** Runs all events of the next `ms`. @param {number} ms */
  async run(ms) {
    const until = this.time + ms
    while (await this.step(until));
    this.time = until
    await this.settle()
  }

  /** Runs until something holds. @param {() => unknown} condition @param {number} [ms] */
  async until(condition, ms = 60_000) {
    const limit = this.time + ms
    await this.settle()
    while (!condition()) {
      if (!(await this.step(limit))) throw new Error(`not within ${ms} ms of simulated time: ${condition}`)
      await this.settle()
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
 * A WebSocket class whose sockets end at a fake server.
 * @param {Sim} sim
 * @param {{accept: (peer: any, url: string) => any}} server
 * @param {{delay?: () => number, refuse?: () => boolean, twice?: () => boolean}} [options] twice: whether a message comes twice
 */
export function fakeWebSocket(sim, server, { delay = () => 1, refuse = () => false, twice = () => false } = {}) {
  return class FakeWebSocket {
    /** @param {string} url */
    constructor(url) {
      /** @type {any} */
      this.onopen = this.onmessage = this.onclose = this.onerror = null
      this.closed = false
      this.lastUp = 0
      this.lastDown = 0
      if (refuse()) {
        sim.after(delay(), () => this.cut(1006))
        return
      }
      sim.after(delay(), () => {
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

    /** In order, each after a delay of its own. @param {() => void} fn */
    #down(fn) {
      this.lastDown = Math.max(this.lastDown, sim.time + delay())
      sim.after(this.lastDown - sim.time, () => !this.closed && fn())
    }

    /** @param {string} text */
    send(text) {
      if (this.closed) return
      this.lastUp = Math.max(this.lastUp, sim.time + delay())
      const { session } = this
      const again = text.includes('"mutate"') && twice()
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
}
