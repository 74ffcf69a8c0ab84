/**
 * Named events. A listener that throws does not keep the others from hearing;
 * its error is reported as an uncaught one would be.
 */
export class Emitter {
  constructor() {
    /** @type {Map<string, Set<(event: any) => void>>} */
    this.listeners = new Map()
  }

  /**
   * @param {string} name
   * @param {(event: any) => void} fn
   * @returns {() => void} stops listening
   */
  on(name, fn) {
    let set = this.listeners.get(name)
    if (!set) this.listeners.set(name, (set = new Set()))
    set.add(fn)
    return () => void set.delete(fn)
  }

  /**
   * @param {string} name
   * @param {any} [event]
   */
  emit(name, event) {
    for (const fn of [...(this.listeners.get(name) ?? [])]) {
      try {
        fn(event)
      } catch (err) {
        report(err)
      }
    }
  }
}

/**
 * Surfaces an error of somebody else's code without stopping ours.
 * @param {unknown} err
 */
export function report(err) {
  queueMicrotask(() => {
    throw err
  })
}
