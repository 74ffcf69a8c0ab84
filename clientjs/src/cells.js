/**
 * What can be read, and who wants to hear that it changed.
 *
 * A cell stands for one readable fact: the value at one path of one entity, the
 * keys of one object, the members of one list. It remembers a stamp of the fact;
 * after each batch of changes the store asks the cells of the entities touched
 * for a new stamp, and only a cell whose stamp differs speaks up. Nothing is
 * kept where nobody reads: cells are made while a reader (a framework binding,
 * or `observe`) is listening.
 */

/** @typedef {(cell: Cell) => void} Reader */

/** @type {Set<Reader>} */
const readers = new Set()

/**
 * Hears of every cell that is read, from now on.
 * @param {Reader} reader
 * @returns {() => void} stops
 */
export function addReader(reader) {
  readers.add(reader)
  return () => void readers.delete(reader)
}

/**
 * Runs fn without any reader hearing of it.
 * @template T
 * @param {() => T} fn
 * @returns {T}
 */
export function untracked(fn) {
  const held = [...readers]
  readers.clear()
  try {
    return fn()
  } finally {
    for (const r of held) readers.add(r)
  }
}

export class Cell {
  /** @param {() => any} stamp reads the fact; compared with Object.is */
  constructor(stamp) {
    this.read = stamp
    this.stamp = stamp()
    /** @type {Set<() => void>} */
    this.listeners = new Set()
    /** What a framework binding keeps here, by binding. @type {Map<any, any>} */
    this.bound = new Map()
  }
}

export class Cells {
  constructor() {
    /** @type {Map<string, Map<string, Cell>>} */
    this.byOwner = new Map()
  }

  /**
   * Tells the readers that a fact is being read.
   * @param {string} owner an entity's reference, or another name
   * @param {string} key
   * @param {() => any} stamp
   */
  track(owner, key, stamp) {
    if (readers.size === 0) return
    let cells = this.byOwner.get(owner)
    if (!cells) this.byOwner.set(owner, (cells = new Map()))
    let cell = cells.get(key)
    if (!cell) cells.set(key, (cell = new Cell(stamp)))
    for (const reader of readers) reader(cell)
  }

  /**
   * Asks an owner's cells whether their facts changed. One that has spoken is let
   * go: whoever still cares reads again, and for the others there is none to keep.
   * @param {string} owner
   * @param {boolean} [gone] all its cells speak, and go with it
   */
  refresh(owner, gone) {
    const cells = this.byOwner.get(owner)
    if (!cells) return
    for (const [key, cell] of [...cells]) {
      const stamp = gone ? {} : cell.read()
      if (Object.is(stamp, cell.stamp)) continue
      cell.stamp = stamp
      cells.delete(key)
      for (const fn of [...cell.listeners]) fn()
    }
    if (cells.size === 0) this.byOwner.delete(owner)
  }
}

/**
 * Runs fn and calls onChange, once a tick at most, when something that fn read
 * has changed since. Run it again to keep observing.
 * @template T
 * @param {() => T} fn
 * @param {() => void} onChange
 * @returns {{value: T, stop: () => void}}
 */
export function observe(fn, onChange) {
  /** @type {Set<Cell>} */
  const seen = new Set()
  const stopReading = addReader((cell) => seen.add(cell))
  let value
  try {
    value = fn()
  } finally {
    stopReading()
  }
  let told = false
  const heard = () => {
    if (told) return
    told = true
    queueMicrotask(() => told && onChange())
  }
  for (const cell of seen) cell.listeners.add(heard)
  const stop = () => {
    told = false
    for (const cell of seen) cell.listeners.delete(heard)
  }
  return { value, stop }
}
