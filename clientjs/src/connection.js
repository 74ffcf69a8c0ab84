/**
 * One websocket at a time, brought back when it goes. Knows the handshake, the
 * close codes and the pace of retries; knows nothing of views.
 *
 *     connecting ─► greeting ─► live
 *         ▲             │         │      a close that says "come back",
 *         └── waiting ◄─┴─────────┘      silence, or an error
 *                 └──────────► closed    a close that says "do not"
 */

import { Problem, parseMessages } from './protocol.js'

/**
 * @typedef {{name: 'connecting', attempt: number}
 *   | {name: 'greeting', attempt: number, socket: Socket}
 *   | {name: 'live', attempt: number, socket: Socket}
 *   | {name: 'waiting', attempt: number, until: number}
 *   | {name: 'closed', reason: Problem | null}} ConnectionState
 */

/**
 * The part of the browser's WebSocket that is used.
 * @typedef {object} Socket
 * @property {(text: string) => void} send
 * @property {(code?: number, reason?: string) => void} close
 * @property {((event: any) => void) | null} onopen
 * @property {((event: {data: any}) => void) | null} onmessage
 * @property {((event: {code: number, reason?: string}) => void) | null} onclose
 * @property {((event: any) => void) | null} onerror
 */

/**
 * @typedef {object} Clock
 * @property {() => number} now
 * @property {(fn: () => void, ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 */

/**
 * @typedef {object} Handlers
 * @property {() => {session: string, pending: string[]}} hello what to say on a new socket
 * @property {(welcome: import('./protocol.js').Welcome) => void} onWelcome
 * @property {(messages: any[]) => void} onMessages all of one websocket message
 * @property {(state: ConnectionState) => void} onState
 */

/**
 * @typedef {object} ConnectionOptions
 * @property {() => Socket} open makes a socket
 * @property {(renew: boolean) => Promise<string | undefined>} token renew: the last one was refused, or is about to expire
 * @property {boolean} renewable whether asking again may give another token
 * @property {Handlers} handlers
 * @property {Clock} [clock]
 * @property {() => number} [random]
 */

/** @type {Clock} */
export const systemClock = {
  now: () => Date.now(),
  setTimeout: (fn, ms) => setTimeout(fn, ms),
  clearTimeout: (timer) => clearTimeout(timer),
}

const FIRST_DELAY = 250
const MAX_DELAY = 15_000
const STEADY = 5_000 // live for so long: the next retry is a first one again
const QUIET = 20_000 // ping after so much silence (the server speaks every 30 s)
const PATIENCE = 10_000 // and give up the socket after so much more
const DOUBT = 5_000 // or after so much, where the network is said to have changed
const GREETING = 15_000

/** Close codes that mean: do not come back unchanged. */
const FINAL = /** @type {Record<number, string>} */ ({
  4400: 'bad-message',
  4401: 'unauthenticated',
  4403: 'forbidden', // another user's session
  4404: 'not-found', // or the token does not open it
  4408: 'no-hello',
  4409: 'replaced', // by a newer connection of the session
  4413: 'too-large',
  4426: 'protocol', // too old for the server
})

export class Connection {
  /** @param {ConnectionOptions} options */
  constructor({ open, token, renewable, handlers, clock = systemClock, random = Math.random }) {
    this.open = open
    this.token = token
    this.renewable = renewable
    this.handlers = handlers
    this.clock = clock
    this.random = random
    /** @type {ConnectionState} */
    this.state = { name: 'waiting', attempt: 0, until: 0 }
    this.retryAfter = 0
    this.refusals = 0
    /** @type {Map<string, any>} timers by purpose */
    this.timers = new Map()
  }

  start() {
    if (this.state.name === 'waiting') this.#connect(this.state.attempt)
  }

  /**
   * Sends a message if the connection is live.
   * @param {object} message
   * @returns {boolean} whether it went out
   */
  send(message) {
    if (this.state.name !== 'live') return false
    this.state.socket.send(JSON.stringify(message))
    return true
  }

  /** Ends it for good. @param {Problem | null} [reason] */
  close(reason = null) {
    if (this.state.name === 'closed') return
    const socket = 'socket' in this.state ? this.state.socket : null
    for (const purpose of [...this.timers.keys()]) this.#cancel(purpose)
    if (socket) abandon(socket, 1000)
    this.#enter({ name: 'closed', reason })
  }

  /** The network is said to have changed: tries now instead of when the delay is over, or asks whether the line is still good. */
  hurry() {
    if (this.state.name === 'waiting') this.#connect(this.state.attempt)
    else if (this.state.name === 'live') this.#ping(DOUBT)
  }

  /** @param {ConnectionState} state */
  #enter(state) {
    this.state = state
    this.handlers.onState(state)
  }

  /** @param {number} attempt */
  async #connect(attempt) {
    this.#cancel('retry')
    /** @type {ConnectionState} */
    const mine = { name: 'connecting', attempt }
    this.#enter(mine)
    let token
    let socket
    try {
      token = await this.token(this.refusals > 0)
      if (this.state !== mine) return
      socket = this.open()
    } catch (err) {
      if (this.state === mine) this.#wait(attempt, err instanceof Problem && !err.transient ? err : null)
      return
    }
    this.#listen(socket, attempt, token)
  }

  /**
   * @param {Socket} socket
   * @param {number} attempt
   * @param {string | undefined} token
   */
  #listen(socket, attempt, token) {
    this.#enter({ name: 'greeting', attempt, socket })
    this.#after('patience', GREETING, () => this.#lost(socket, 0))
    socket.onopen = () => {
      const { session, pending } = this.handlers.hello()
      socket.send(JSON.stringify({ t: 'hello', ...(token === undefined ? {} : { token }), session, pending }))
    }
    socket.onmessage = ({ data }) => this.#heard(socket, data)
    socket.onclose = ({ code, reason }) => this.#lost(socket, code, reason)
    socket.onerror = () => {} // always followed by a close
  }

  /** @param {Socket} socket @param {any} data */
  #heard(socket, data) {
    if (!('socket' in this.state) || this.state.socket !== socket) return
    let messages
    try {
      messages = parseMessages(String(data))
    } catch {
      this.#lost(socket, 0)
      return
    }
    this.#watch()
    if (this.state.name === 'greeting') {
      const welcome = messages.shift()
      if (welcome?.t !== 'welcome') return
      this.refusals = 0
      this.#enter({ name: 'live', attempt: this.state.attempt, socket })
      this.#after('steady', STEADY, () => {
        if (this.state.name === 'live') this.state.attempt = 0
      })
      this.handlers.onWelcome(welcome)
    }
    for (const m of messages) if (m.t === 'bye') this.#bye(socket, m.retryAfterMs)
    if (messages.length && this.state.name === 'live' && this.state.socket === socket)
      this.handlers.onMessages(messages)
  }

  /** The node drains: leave when told to, unless it closes first. @param {Socket} socket @param {unknown} ms */
  #bye(socket, ms) {
    const delay = typeof ms === 'number' && ms >= 0 ? Math.min(ms, 60_000) : 0
    this.retryAfter = this.clock.now() + delay
    this.#after('bye', delay, () => this.#lost(socket, 4503))
  }

  /** Silence is how a dead line shows. */
  #watch() {
    this.#cancel('patience')
    this.#after('quiet', QUIET, () => this.#ping())
  }

  #ping(patience = PATIENCE) {
    if (this.state.name !== 'live') return
    const { socket } = this.state
    if (!this.timers.has('patience')) this.#after('patience', patience, () => this.#lost(socket, 0))
    this.send({ t: 'ping' })
  }

  /** @param {Socket} socket @param {number} code 0: given up by this side @param {string} [reason] */
  #lost(socket, code, reason) {
    if (!('socket' in this.state) || this.state.socket !== socket) return
    const { attempt } = this.state
    for (const purpose of [...this.timers.keys()]) this.#cancel(purpose)
    abandon(socket, 4000)
    const again = code === 4401 && this.renewable && this.refusals++ === 0
    const final = again ? undefined : FINAL[code]
    const detail = `the server ended the connection: ${reason || final} (${code})`
    this.#wait(attempt, final ? new Problem({ code: final, detail, closeCode: code }) : null)
  }

  /** @param {number} attempt @param {Problem | null} reason of giving up */
  #wait(attempt, reason) {
    if (reason) {
      this.close(reason)
      return
    }
    const longest = Math.min(MAX_DELAY, FIRST_DELAY * 2 ** attempt)
    const jitter = longest * (0.1 + 0.9 * this.random()) // spread: a node's clients all lose it at once
    const until = Math.max(this.clock.now() + jitter, this.retryAfter)
    this.retryAfter = 0
    this.#after('retry', until - this.clock.now(), () => this.#connect(attempt + 1))
    this.#enter({ name: 'waiting', attempt: attempt + 1, until })
  }

  /** @param {string} purpose @param {number} ms @param {() => void} fn */
  #after(purpose, ms, fn) {
    this.#cancel(purpose)
    const timer = this.clock.setTimeout(() => {
      this.timers.delete(purpose)
      fn()
    }, ms)
    this.timers.set(purpose, timer)
  }

  /** @param {string} purpose */
  #cancel(purpose) {
    const timer = this.timers.get(purpose)
    if (timer !== undefined) this.clock.clearTimeout(timer)
    this.timers.delete(purpose)
  }
}

/** Stops hearing from a socket and closes it. @param {Socket} socket @param {number} code */
function abandon(socket, code) {
  socket.onopen = socket.onmessage = socket.onclose = null
  socket.onerror = () => {}
  try {
    socket.close(code)
  } catch {
    // it never opened
  }
}
