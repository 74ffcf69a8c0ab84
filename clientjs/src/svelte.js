/**
 * Svelte 5: importing this once makes everything that components, `$derived`
 * and `$effect` read of a graph reactive. Each readable fact is a cell of its
 * own, so a change runs again what had read it and nothing else.
 */

import { onDestroy } from 'svelte'
import { createSubscriber } from 'svelte/reactivity'
import { addReader } from './cells.js'

addReader((cell) => {
  let subscribe = cell.bound.get(createSubscriber)
  if (!subscribe) {
    subscribe = createSubscriber((update) => {
      cell.listeners.add(update)
      return () => cell.listeners.delete(update)
    })
    cell.bound.set(createSubscriber, subscribe)
  }
  subscribe()
})

/**
 * A subscription that ends with the component that made it.
 * @param {{subscribe: Function}} db
 * @param {Record<string, any> | string} projection
 * @param {Record<string, any>} [args]
 * @returns {import('./projection.js').View}
 */
export function useView(db, projection, args) {
  const view = db.subscribe(projection, args)
  onDestroy(() => view.close())
  return view
}
