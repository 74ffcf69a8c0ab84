/**
 * React 18 and 19: what a component has read of the graph renders it once when
 * it changes, and nothing else does.
 */

import { useEffect, useRef, useState, useSyncExternalStore } from 'react'
import { addReader } from './cells.js'

/** @typedef {import('./cells.js').Cell} Cell */

/** What one component has read, and whether that has changed since. */
class Reading {
  constructor() {
    this.version = 0
    this.told = false
    /** Read by the newest rendering, with what was read. @type {Map<Cell, any>} */
    this.seen = new Map()
    /** Those listened to. @type {Map<Cell, any>} */
    this.held = new Map()
    /** @type {(() => void) | null} */
    this.render = null
    this.heard = () => {
      if (this.told) return
      this.told = true
      queueMicrotask(() => {
        this.told = false
        this.version++
        this.render?.()
      })
    }
    this.subscribe = (/** @type {() => void} */ render) => {
      this.render = render
      return () => {
        this.render = null
        this.listen(new Map())
      }
    }
  }

  /** @template T @param {() => T} fn @returns {T} */
  read(fn) {
    const seen = (this.seen = new Map())
    const stop = addReader((cell) => seen.set(cell, cell.stamp))
    try {
      return fn()
    } finally {
      stop()
    }
  }

  /** @param {Map<Cell, any>} cells */
  listen(cells) {
    for (const cell of this.held.keys()) if (!cells.has(cell)) cell.listeners.delete(this.heard)
    for (const [cell, stamp] of cells) {
      cell.listeners.add(this.heard)
      // It may have changed between rendering and now.
      if (!this.held.has(cell) && !Object.is(cell.stamp, stamp)) this.heard()
    }
    this.held = cells
  }
}

function useReading() {
  const ref = useRef(/** @type {Reading | null} */ (null))
  ref.current ??= new Reading()
  const reading = ref.current
  const version = () => reading.version
  useSyncExternalStore(reading.subscribe, version, version)
  useEffect(() => reading.listen(reading.seen))
  return reading
}

/**
 * What fn reads of the graph, current as the graph changes.
 * @template T
 * @param {() => T} fn
 * @returns {T}
 */
export function useLive(fn) {
  return useReading().read(fn)
}

/**
 * A component that renders again when anything changes that it has read while
 * rendering. (What its children read is theirs.)
 * @template {object} P
 * @param {(props: P) => any} component
 * @returns {import('react').FunctionComponent<P>}
 */
export function live(component) {
  /** @param {P} props */
  const Live = (props) => useReading().read(() => component(props))
  Live.displayName = component.name
  return Live
}

/**
 * A subscription that lives as long as the component: undefined in the first
 * rendering. It is made anew when what is asked for changes.
 * @param {{subscribe: Function}} db
 * @param {Record<string, any> | string} projection
 * @param {Record<string, any>} [args]
 * @returns {import('./projection.js').View | undefined}
 */
export function useView(db, projection, args) {
  const key = JSON.stringify([projection, args])
  const [held, hold] = useState(/** @type {{key: string, view: any} | null} */ (null))
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key stands for what is asked for
  useEffect(() => {
    const view = db.subscribe(projection, args)
    hold({ key, view })
    return () => view.close()
  }, [db, key])
  return held?.key === key ? held.view : undefined
}
