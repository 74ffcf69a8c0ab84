/**
 * `@graphtide/client`: a shared, typed graph as ordinary JavaScript objects.
 *
 *     const db = await connect({ url, graph: 'main', token })
 *     const view = db.subscribe({ root: id, in: { dataStore: {} } })
 *     await view.ready
 *     view.root.name = 'Q3'
 */

import { Client } from './client.js'

export { observe } from './cells.js'
export { Client } from './client.js'
export { Problem } from './protocol.js'
export { uuidv7 } from './uuid.js'

/**
 * @typedef {object} ConnectOptions
 * @property {string} [url] the server's origin; in a browser that of the page by default
 * @property {string} [graph] `main` by default
 * @property {import('./client.js').TokenSource} [token] a string, or a function that is asked again before it expires
 * @property {Record<string, any>} [classes] classes by type name: their methods and getters appear on objects of the type
 * @property {typeof globalThis.fetch} [fetch]
 * @property {any} [WebSocket] where there is no global one; in Node the package `ws` is used if it is there
 * @property {boolean} [share] the tabs of this browser share one connection
 * @property {boolean} [persist] unsent transactions, loaded views and undo survive a reload
 * @property {number} [timeoutMs] how long to try before the promise rejects: 20 s by default, 0 keeps trying
 * @property {import('./connection.js').Clock} [clock] for tests
 * @property {() => number} [random] for tests
 */

/**
 * Connects to a graph.
 * @template {Record<string, any>} [T=Record<string, any>] what `graphtide schema types` calls `Types`
 * @param {ConnectOptions} [options]
 * @returns {Promise<Client<T>>} once the server has said welcome
 */
export async function connect(options = {}) {
  const { location } = globalThis
  const origin = options.url ?? location?.origin
  if (!origin) throw new TypeError('connect needs the url of the server')
  const { share, persist, graph = 'main' } = options
  const url = new URL(origin, location?.href).href
  const all = {
    ...options,
    url,
    graph,
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    WebSocket: options.WebSocket ?? globalThis.WebSocket ?? (await nodeWebSocket()),
  }
  if (share || persist) return (await import('./tabs.js')).connectKept(all, start)
  return start(new Client(all), options)
}

/** @param {Client} client @param {ConnectOptions} options */
function start(client, options) {
  if (typeof globalThis.addEventListener === 'function') {
    const hurry = () => client.reconnect()
    const said = ['online', 'offline'] // of the whole machine: the line to this server is asked
    for (const name of said) globalThis.addEventListener(name, hurry)
    const stop = client.on('status', (status) => {
      if (status !== 'closed') return
      for (const name of said) globalThis.removeEventListener(name, hurry)
      stop()
    })
  }
  return client.start(options.timeoutMs ?? 20_000)
}

/** @param {string} name a variable, so that bundlers for browsers leave the import alone */
async function nodeWebSocket(name = 'ws') {
  try {
    return (await import(/* @vite-ignore */ name)).WebSocket
  } catch {
    throw new TypeError('this platform has no WebSocket: install the package ws, or pass one as the option WebSocket')
  }
}
