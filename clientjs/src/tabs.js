/**
 * Connecting with what a browser keeps for all tabs of a user: a shared
 * connection, and what outlives a page.
 */

import { Client } from './client.js'
import { nameOf } from './identity.js'

/**
 * @param {any} options complete
 * @param {(client: Client, options: any) => Promise<Client>} start
 * @returns {Promise<Client>}
 */
export async function connectKept(options, start) {
  const { token, url, graph } = options
  // Whose it is must be known first; the client need not ask again.
  const first = typeof token === 'function' ? await token(false) : token
  let used = false
  const source = async (/** @type {boolean} */ renew) => {
    if (used || renew) return token(renew)
    used = true
    return first
  }
  const name = nameOf(url, graph, first)
  let { WebSocket } = options
  let leave = () => {}
  if (options.share) {
    const { share } = await import('./share.js')
    ;({ WebSocket, leave } = share(name, WebSocket))
  }
  const client = new Client({ ...options, WebSocket, token: typeof token === 'function' ? source : token })
  client.on('status', (status) => status === 'closed' && leave())
  if (options.persist) {
    await client.equip()
    await (await import('./persist.js')).persist(client, name)
  }
  return start(client, options)
}
