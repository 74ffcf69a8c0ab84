/**
 * Vue: importing this once makes everything that components, computed values and
 * watchers read of a graph reactive. Each readable fact is a cell of its own, so
 * a change re-renders what had read it and nothing else.
 */

import { getCurrentScope, onScopeDispose, shallowRef, triggerRef } from 'vue'
import { addReader } from './cells.js'

addReader((cell) => {
  let ref = cell.bound.get(shallowRef)
  if (!ref) {
    ref = shallowRef(null)
    cell.bound.set(shallowRef, ref)
    cell.listeners.add(() => triggerRef(ref))
  }
  void ref.value
})

/**
 * A subscription that ends with the component, or the effect scope, that made it.
 * @param {import('./client.js').Client | {subscribe: Function}} db
 * @param {Record<string, any> | string} projection
 * @param {Record<string, any>} [args]
 * @returns {import('./projection.js').View}
 */
export function useView(db, projection, args) {
  const view = db.subscribe(projection, args)
  if (getCurrentScope()) onScopeDispose(() => view.close())
  return view
}

/**
 * A ref of what fn reads of the graph, current as the graph changes.
 * @template T
 * @param {() => T} fn
 * @returns {Readonly<import('vue').ComputedRef<T>>}
 */
export { computed as useLive } from 'vue'
