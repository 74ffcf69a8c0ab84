/**
 * The leading tab's part of a shared connection: many clients, one socket. It
 * says what they say, and shares out what comes back, so that each of them has
 * a server of its own to talk to.
 */

import { Company } from './company.js'
import { expiryOf } from './renewal.js'
import { uuidv7 } from './uuid.js'

/** So long the leader waits for the hellos of the others before it says its own. */
const GATHER = 60
/**
 * A tab gives a silent line up, and comes back. When by then the server owes an
 * answer for so long, the line is dead for all; else only the tab was slow.
 */
const OVERDUE = 4_000
/** The same for its welcome. */
const GREETING = 12_000

/**
 * One client's place in the hub.
 * @typedef {object} Peer
 * @property {string} id
 * @property {string} page
 * @property {any} hello
 * @property {boolean} welcomed
 * @property {Map<string, string>} views the view that answers each of its subscriptions
 */

export class Hub {
  /** @param {import('./share.js').Station} station */
  constructor(station) {
    this.station = station
    this.session = uuidv7()
    /** @type {Map<string, Peer>} */
    this.peers = new Map()
    /** @type {any} */
    this.socket = null
    /** @type {any} */
    this.welcome = null
    /** Who sent a transaction. @type {Map<string, string>} */
    this.owners = new Map()
    /** Those answered lately, for clients that come back. @type {Map<string, number>} */
    this.applied = new Map()
    /** Who asked for rights, in the order asked. @type {string[]} */
    this.asked = []
    /** @type {any} */
    this.timer = undefined
    /** Until when the server should have said something. */
    this.due = Infinity
    /** @type {Set<string>} */
    this.watched = new Set()
    this.company = this.#company()
  }

  #company() {
    return new Company(() => this.welcome?.user.id)
  }

  /** @param {any} message from a client's socket */
  heard(message) {
    const { t, socket: id, page } = message
    if (t === 'open') {
      if (this.peers.has(id)) return
      this.peers.set(id, { id, page, hello: null, welcomed: false, views: new Map() })
      this.url = message.url
      this.protocols = message.protocols
      this.#watch(page)
      this.station.tell(page, { t: 'opened', socket: id })
      return
    }
    const peer = this.peers.get(id)
    if (!peer) {
      if (t === 'text') this.station.tell(page, { t: 'close', socket: id, code: 1006 }) // of an earlier leader
    } else if (t === 'close') {
      this.#leave(peer)
      this.#doubt()
    } else this.#said(peer, JSON.parse(message.text))
  }

  /** Learns when a page is gone without a word. @param {string} page */
  #watch(page) {
    if (page === this.station.page || this.watched.has(page)) return
    this.watched.add(page)
    this.station.lock(`${this.station.name} ${page}`, async () => {
      for (const peer of [...this.peers.values()]) if (peer.page === page) this.#leave(peer)
    })
  }

  /** @param {Peer} peer @param {any} m */
  #said(peer, m) {
    if (m.t === 'hello') {
      peer.hello = m
      if (this.#doubt()) return
      if (this.welcome) this.#greet(peer)
      else if (!this.socket) this.timer ??= this.station.platform.clock.setTimeout(() => this.#connect(), GATHER)
      return
    }
    if (m.t === 'sub' || m.t === 'unsub') m.sub = `${peer.id}/${m.sub}`
    if (m.t === 'unsub') peer.views.delete(m.sub)
    else if (m.t === 'mutate') this.owners.set(m.mutation, peer.id)
    else if (m.t === 'can') this.asked.push(peer.id)
    else if (m.t === 'token' && this.welcome)
      this.welcome.expiresAt = expiryOf(m.token) // for tabs that join later
    else if (m.t === 'presence') {
      this.#present(peer, m.on, m.state)
      return
    }
    this.#send(m)
  }

  /** A tab does something on an object, or leaves it: the other tabs hear of that here. @param {Peer} peer @param {string} on @param {any} state */
  #present(peer, on, state) {
    const message = this.company.set(peer, on, state)
    for (const p of this.peers.values()) if (p !== peer && p.welcomed) this.#deliver(p, [message])
    this.#send({ t: 'presence', on, state: this.company.shown(on) })
  }

  /** @param {any} m */
  #send(m) {
    if (!this.welcome) return
    if (m.t === 'ping') this.#expect(OVERDUE)
    this.socket.send(JSON.stringify(m))
  }

  /** The server owes an answer. @param {number} ms */
  #expect(ms) {
    this.due = Math.min(this.due, this.station.platform.clock.now() + ms)
  }

  /** Gives the line up if the server is silent though it was asked. @returns {boolean} whether it is gone */
  #doubt() {
    if (!this.socket || this.station.platform.clock.now() < this.due) return false
    this.#lost(1006)
    return true
  }

  #connect() {
    this.timer = undefined
    const hellos = [...this.peers.values()].flatMap((p) => (p.hello ? [p.hello] : []))
    if (!hellos.length) return
    const { token } = /** @type {any} */ (hellos.at(-1))
    const socket = (this.socket = new this.station.WebSocket(String(this.url), this.protocols ?? []))
    this.#expect(GREETING)
    socket.onopen = () =>
      socket.send(
        JSON.stringify({
          t: 'hello',
          ...(token === undefined ? {} : { token }),
          session: this.session,
          pending: [...new Set(hellos.flatMap((h) => h.pending))],
        }),
      )
    socket.onmessage = (/** @type {any} */ e) => this.#received(String(e.data))
    socket.onclose = (/** @type {any} */ e) => this.#lost(e.code, e.reason)
    socket.onerror = () => {}
  }

  /** @param {Peer} peer */
  #greet(peer) {
    peer.welcomed = true
    const applied = Object.fromEntries(
      peer.hello.pending.flatMap((/** @type {string} */ id) => {
        const version = this.welcome.applied?.[id] ?? this.applied.get(id)
        return version === undefined ? [] : [[id, version]]
      }),
    )
    this.#deliver(peer, [{ ...this.welcome, applied }, ...this.company.around()])
  }

  /** @param {Peer} peer @param {any[]} messages */
  #deliver(peer, messages) {
    const text = messages.map((m) => JSON.stringify(m)).join('\n')
    this.station.tell(peer.page, { t: 'text', socket: peer.id, text })
  }

  /** Shares out what came in one message: each client's part of it in one, too. @param {string} text */
  #received(text) {
    this.due = Infinity
    const messages = text.split('\n').flatMap((line) => (line.trim() ? [JSON.parse(line)] : []))
    /** @type {Map<Peer, any[]>} */
    const out = new Map()
    for (const m of messages) {
      if (m.t === 'welcome') {
        this.welcome = m
        for (const peer of this.peers.values()) if (peer.hello && !peer.welcomed) this.#greet(peer)
      } else if (m.t === 'bye') {
        const { clock } = this.station.platform
        this.timer ??= clock.setTimeout(() => this.#lost(4503), Math.min(60_000, m.retryAfterMs ?? 0))
      } else
        for (const [peer, part] of this.#shares(m)) {
          const list = out.get(peer)
          if (list) list.push(part)
          else out.set(peer, [part])
        }
    }
    for (const [peer, list] of out) this.#deliver(peer, list)
  }

  /** Whom a message concerns, and what he is told. @param {any} m @returns {[Peer, any][]} */
  #shares(m) {
    const everybody = [...this.peers.values()].filter((p) => p.welcomed)
    const one = (/** @type {string | undefined} */ id, part = m) => {
      const peer = this.peers.get(id ?? '')
      return peer ? [/** @type {[Peer, any]} */ ([peer, part])] : []
    }
    switch (m.t) {
      case 'load':
      case 'error': {
        const [id, sub] = String(m.sub).split('/')
        if (m.t === 'load') this.peers.get(id)?.views.set(m.sub, m.view)
        return one(id, { ...m, sub })
      }
      case 'delta':
        return everybody.filter((p) => [...p.views.values()].includes(m.view)).map((p) => [p, m])
      case 'ack':
      case 'reject': {
        if (m.t === 'ack') this.#answered(m.mutation, m.version)
        const owner = this.owners.get(m.mutation)
        this.owners.delete(m.mutation)
        return one(owner)
      }
      case 'can':
        return one(this.asked.shift())
      case 'presence': {
        const { [this.session]: _, ...sessions } = m.sessions
        if (Object.keys(sessions).length === 0) return []
        this.company.heard(m.on, sessions)
        return everybody.map((p) => [p, { ...m, sessions }])
      }
      default:
        return everybody.map((p) => [p, m])
    }
  }

  /** @param {string} mutation @param {number} version */
  #answered(mutation, version) {
    this.applied.set(mutation, version)
    if (this.applied.size > 1_000) this.applied.delete(/** @type {string} */ (this.applied.keys().next().value))
  }

  /** @param {number} code @param {string} [reason] */
  #lost(code, reason) {
    this.#drop()
    for (const { id, page } of this.peers.values()) this.station.tell(page, { t: 'close', socket: id, code, reason })
    this.peers.clear()
  }

  /** @param {Peer} peer */
  #leave(peer) {
    this.peers.delete(peer.id)
    for (const sub of peer.views.keys()) this.#send({ t: 'unsub', sub })
    for (const on of this.company.objectsOf(peer)) this.#present(peer, on, null)
    if (this.peers.size === 0) this.#drop()
  }

  #drop() {
    this.station.platform.clock.clearTimeout(this.timer)
    this.timer = undefined
    const { socket } = this
    this.socket = this.welcome = null
    this.due = Infinity
    this.asked = []
    this.owners.clear()
    this.company = this.#company()
    if (!socket) return
    socket.onopen = socket.onmessage = socket.onclose = null
    socket.close(1000)
  }

  close() {
    this.#lost(1006)
  }
}
