/** The one connection of this page. */
import { connect } from '@graphtide/client'
import { shallowRef } from 'vue'

/** The client once it is connected. @type {import('vue').ShallowRef<import('@graphtide/client').Client | null>} */
export const client = shallowRef(null)
/** Why it could not connect. @type {import('vue').ShallowRef<Error | null>} */
export const failure = shallowRef(null)

/** A token may come as `#token=…`; it is kept for this tab and leaves the address bar. */
function token() {
  const given = /[#&]token=([^&]+)/.exec(location.hash)?.[1]
  if (given) {
    sessionStorage.setItem('token', given)
    history.replaceState(null, '', location.pathname)
  }
  return sessionStorage.getItem('token') ?? undefined
}

export async function start() {
  failure.value = null
  try {
    client.value = await connect({ url: location.origin, graph: 'main', token: token(), timeoutMs: 0 })
  } catch (err) {
    failure.value = err
  }
}

/** The connected client; only used below the place that waits for it. */
export const db = () => /** @type {import('@graphtide/client').Client} */ (client.value)

const colours = ['#c2410c', '#7c3aed', '#0369a1', '#be185d', '#4d7c0f', '#a16207']
const animals = ['Otter', 'Heron', 'Lynx', 'Wren', 'Badger', 'Seal', 'Hare', 'Finch', 'Stoat', 'Kite']
const pick = (list) => list[Math.floor(Math.random() * list.length)]
/** How the others see this tab. */
export const me = { name: pick(animals), colour: pick(colours) }
