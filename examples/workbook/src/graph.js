/** The one connection of this page. */
import { connect } from '@graphtide/client'
import { shallowRef } from 'vue'

/** The client once it is connected. @type {import('vue').ShallowRef<import('@graphtide/client').Client | null>} */
export const client = shallowRef(null)
/** Why it could not connect. @type {import('vue').ShallowRef<Error | null>} */
export const failure = shallowRef(null)

/**
 * Where tokens come from: `#token=…` is one, `#tokens=/address` says where there
 * is a fresh one whenever it is needed, as an app with a login would have it.
 * Either is kept for this tab and leaves the address bar.
 */
function tokens() {
  const given = /^#(tokens?)=([^&]+)$/.exec(location.hash)
  if (given) {
    sessionStorage.setItem(given[1], decodeURIComponent(given[2]))
    history.replaceState(null, '', location.pathname)
  }
  const address = sessionStorage.getItem('tokens')
  if (!address) return sessionStorage.getItem('token') ?? undefined
  return async () => (await fetch(address, { cache: 'no-store' })).text()
}

export async function start() {
  failure.value = null
  try {
    // Several tabs share a connection, and what is not yet sent outlives the page.
    client.value = await connect({ url: location.origin, graph: 'main', token: tokens(), share: 'locks' in navigator, persist: true, timeoutMs: 0 })
  } catch (err) {
    failure.value = err
  }
}

/** The connected client; only used below the place that waits for it. */
export const db = () => /** @type {import('@graphtide/client').Client} */ (client.value)
