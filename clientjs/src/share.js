/**
 * Tabs of one browser that share a connection. One of them leads: it holds the
 * socket to the server, and passes on what is said in either direction. A lock
 * says which; when the leading tab closes, the next one takes over, and the
 * others come back to it as to a server that was away for a moment.
 *
 *     tab ── SharedSocket ─┐
 *     tab ── SharedSocket ─┼─ channel ─ Hub (in the leading tab) ─ WebSocket ─ server
 *     tab ── SharedSocket ─┘
 *
 * To its client a shared socket is a WebSocket like any other, so that losing
 * the leader is losing a connection: what is pending stays pending, views resume.
 */

import { uuidv7 } from './uuid.js'

/** @typedef {import('./connection.js').Socket} Socket */
/**
 * The parts of the platform that are used.
 * @typedef {object} Platform
 * @property {(name: string) => {postMessage: (m: any) => void, onmessage: ((e: {data: any}) => void) | null, close: () => void}} channel
 * @property {{request: (name: string, options: any, fn: (lock: any) => Promise<void>) => Promise<any>}} locks
 * @property {import('./connection.js').Clock} clock
 */

/** So long the leader waits for the hellos of the others before it says its own. */
const GATHER = 60

/** The stations of this page, by name. @type {Map<string, Station>} */
const stations = new Map()

/**
 * A WebSocket class whose sockets are shared by all tabs that use the same name.
 * @param {string} name
 * @param {new (url: string, protocols: string[]) => any} WebSocket the real one
 * @param {Platform} [platform]
 * @returns {{WebSocket: new (url: string, protocols: string[]) => any, leave: () => void}} leave: when the client is closed
 */
export function share(name, WebSocket, platform) {
  const key = platform ? uuidv7() : name
  const station = stations.get(key) ?? new Station(name, platform ?? browser(), WebSocket)
  stations.set(key, station)
  station.users++
  return {
    WebSocket: class extends SharedSocket {
      /** @param {string} url @param {string[]} protocols */
      constructor(url, protocols) {
        super(station, url, protocols)
      }
    },
    leave: () => {
      if (--station.users > 0) return
      station.close()
      stations.delete(key)
    },
  }
}

/** @returns {Platform} */
function browser() {
  if (typeof BroadcastChannel === 'undefined' || !globalThis.navigator?.locks) {
    throw new TypeError('share needs BroadcastChannel and the Web Locks of a browser, on https or localhost')
  }
  return {
    channel: (name) => /** @type {any} */ (new BroadcastChannel(name)),
    locks: /** @type {any} */ (navigator.locks),
    clock: { now: Date.now, setTimeout: (fn, ms) => setTimeout(fn, ms), clearTimeout: (t) => clearTimeout(t) },
  }
}

/** One page's end of the channel; the leader's has the hub. */
class Station {
  /** @param {string} name @param {Platform} platform @param {new (url: string, protocols: string[]) => any} WebSocket */
  constructor(name, platform, WebSocket) {
    this.page = uuidv7()
    this.name = name
    this.users = 0
    this.WebSocket = WebSocket
    this.platform = platform
    /** @type {Map<string, SharedSocket>} */
    this.sockets = new Map()
    /** @type {Hub | null} */
    this.hub = null
    this.channel = platform.channel(name)
    this.channel.onmessage = ({ data }) => this.#heard(data)
    this.gone = new Promise((resolve) => {
      this.go = resolve
    })
    const { locks } = platform
    const held = () => /** @type {Promise<any>} */ (this.gone)
    // Whoever waits for a page's own lock learns when the page is gone.
    void locks.request(`${name} ${this.page}`, {}, held)
    void locks.request(name, {}, () => this.#lead())
  }

  #lead() {
    if (this.closed) return Promise.resolve()
    this.hub = new Hub(this)
    this.channel.postMessage({ t: 'leader' })
    // What this page had with an earlier leader is gone with him; what waited begins.
    for (const socket of [...this.sockets.values()]) {
      if (socket.opened) socket.ended(1006)
      else this.say({ t: 'open', socket: socket.id, url: socket.url, protocols: socket.protocols })
    }
    return /** @type {Promise<any>} */ (this.gone)
  }

  /** To the leader. @param {any} message */
  say(message) {
    const sent = { ...message, page: this.page }
    if (this.hub) queueMicrotask(() => this.hub?.heard(sent))
    else this.channel.postMessage(sent)
  }

  /** From the leader to a socket, wherever it is. @param {string} page @param {any} message */
  tell(page, message) {
    if (page === this.page) queueMicrotask(() => this.#told(message))
    else this.channel.postMessage({ ...message, to: page })
  }

  /** @param {any} message */
  #told(message) {
    const socket = this.sockets.get(message.socket)
    if (message.t === 'opened') socket?.begun()
    else if (message.t === 'text') socket?.heard(message.text)
    else socket?.ended(message.code, message.reason)
  }

  /** @param {any} message */
  #heard(message) {
    if (message.to === this.page) this.#told(message)
    else if (message.to === undefined && message.t !== 'leader') this.hub?.heard(message)
    else if (message.t === 'leader') {
      for (const socket of [...this.sockets.values()]) {
        if (socket.opened) socket.ended(1006)
        else this.say({ t: 'open', socket: socket.id, url: socket.url, protocols: socket.protocols })
      }
    }
  }

  close() {
    this.closed = true
    this.hub?.close()
    this.hub = null
    this.channel.close()
    this.go?.(undefined)
  }
}

/** @implements {Socket} */
class SharedSocket {
  /** @param {Station} station @param {string} url @param {string[]} protocols */
  constructor(station, url, protocols) {
    this.id = uuidv7()
    this.station = station
    this.url = url
    this.protocols = protocols
    this.opened = false
    /** @type {any} */
    this.onopen = this.onmessage = this.onclose = this.onerror = null
    station.sockets.set(this.id, this)
    queueMicrotask(() => station.say({ t: 'open', socket: this.id, url, protocols }))
  }

  begun() {
    if (this.opened) return
    this.opened = true
    this.onopen?.({})
  }

  /** @param {string} data */
  heard(data) {
    this.onmessage?.({ data })
  }

  /** @param {number} code @param {string} [reason] */
  ended(code, reason) {
    if (this.station.sockets.delete(this.id)) this.onclose?.({ code, reason })
  }

  /** @param {string} text */
  send(text) {
    this.station.say({ t: 'text', socket: this.id, text })
  }

  close() {
    if (this.station.sockets.delete(this.id) && !this.station.closed) this.station.say({ t: 'close', socket: this.id })
  }
}

/**
 * One client's place in the hub.
 * @typedef {object} Peer
 * @property {string} id
 * @property {string} page
 * @property {any} hello
 * @property {boolean} welcomed
 * @property {Map<string, string>} views the view that answers each of its subscriptions
 * @property {Map<string, any>} present what it shows on which object
 */

/** The leader's: many clients, one connection. */
class Hub {
  /** @param {Station} station */
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
    /** @type {Set<string>} */
    this.watched = new Set()
  }

  /** @param {any} message from a client's socket */
  heard(message) {
    const { t, socket: id, page } = message
    if (t === 'open') {
      if (this.peers.has(id)) return
      this.peers.set(id, { id, page, hello: null, welcomed: false, views: new Map(), present: new Map() })
      this.url = message.url
      this.protocols = message.protocols
      this.#watch(page)
      this.station.tell(page, { t: 'opened', socket: id })
      return
    }
    const peer = this.peers.get(id)
    if (!peer) {
      if (t === 'text') this.station.tell(page, { t: 'close', socket: id, code: 1006 }) // of an earlier leader
    } else if (t === 'close') this.#leave(peer)
    else this.#said(peer, JSON.parse(message.text))
  }

  /** Learns when a page is gone without a word. @param {string} page */
  #watch(page) {
    if (page === this.station.page || this.watched.has(page)) return
    this.watched.add(page)
    void this.station.platform.locks.request(`${this.station.name} ${page}`, {}, async () => {
      for (const peer of [...this.peers.values()]) if (peer.page === page) this.#leave(peer)
    })
  }

  /** @param {Peer} peer @param {any} m */
  #said(peer, m) {
    if (m.t === 'hello') {
      peer.hello = m
      if (this.welcome) this.#greet(peer)
      else if (!this.socket) this.timer ??= this.station.platform.clock.setTimeout(() => this.#connect(), GATHER)
      return
    }
    if (m.t === 'sub' || m.t === 'unsub') m.sub = `${peer.id}/${m.sub}`
    if (m.t === 'unsub') peer.views.delete(m.sub)
    else if (m.t === 'mutate') this.owners.set(m.mutation, peer.id)
    else if (m.t === 'can') this.asked.push(peer.id)
    else if (m.t === 'presence') peer.present.set(m.on, m.state)
    this.#send(m)
  }

  /** @param {any} m */
  #send(m) {
    if (this.welcome) this.socket.send(JSON.stringify(m))
  }

  #connect() {
    this.timer = undefined
    const hellos = [...this.peers.values()].flatMap((p) => (p.hello ? [p.hello] : []))
    if (!hellos.length) return
    const { token } = /** @type {any} */ (hellos.at(-1))
    const socket = (this.socket = new this.station.WebSocket(String(this.url), this.protocols ?? []))
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
    this.#deliver(peer, [{ ...this.welcome, applied }])
  }

  /** @param {Peer} peer @param {any[]} messages */
  #deliver(peer, messages) {
    const text = messages.map((m) => JSON.stringify(m)).join('\n')
    this.station.tell(peer.page, { t: 'text', socket: peer.id, text })
  }

  /** Shares out what came in one message: each client's part of it in one, too. @param {string} text */
  #received(text) {
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
        this.#answered(m.mutation, m.version)
        return one(this.owners.get(m.mutation))
      case 'reject':
        return one(this.owners.get(m.mutation))
      case 'can':
        return one(this.asked.shift())
      case 'presence': {
        const { [this.session]: _, ...sessions } = m.sessions
        return Object.keys(sessions).length ? everybody.map((p) => [p, { ...m, sessions }]) : []
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
    for (const [on, state] of peer.present) if (state !== null) this.#send({ t: 'presence', on, state: null })
    if (this.peers.size === 0) this.#drop()
  }

  #drop() {
    this.station.platform.clock.clearTimeout(this.timer)
    this.timer = undefined
    const { socket } = this
    this.socket = this.welcome = null
    this.asked = []
    this.owners.clear()
    if (!socket) return
    socket.onopen = socket.onmessage = socket.onclose = null
    socket.close(1000)
  }

  close() {
    this.#lost(1006)
  }
}
