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

import { Hub } from './hub.js'
import { uuidv7 } from './uuid.js'

/** @typedef {import('./connection.js').Socket} Socket */
/**
 * The parts of the platform that are used.
 * @typedef {object} Platform
 * @property {(name: string) => {postMessage: (m: any) => void, onmessage: ((e: {data: any}) => void) | null, close: () => void}} channel
 * @property {{request: (name: string, options: any, fn: (lock: any) => Promise<void>) => Promise<any>}} locks
 * @property {import('./connection.js').Clock} clock
 */

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
export class Station {
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
    this.leaving = new AbortController()
    const held = () => /** @type {Promise<any>} */ (this.gone)
    // Whoever waits for a page's own lock learns when the page is gone.
    this.lock(`${name} ${this.page}`, held)
    this.lock(name, () => this.#lead())
  }

  /** Waits for a lock as long as this page shares. @param {string} name @param {() => Promise<any>} fn */
  lock(name, fn) {
    const { signal } = this.leaving
    this.platform.locks.request(name, { signal }, fn).catch((err) => {
      if (!signal.aborted) throw err
    })
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
    this.leaving.abort()
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
