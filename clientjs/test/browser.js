/** A browser's channels and locks, shared by its pages, in simulated time. */

/** Channels and locks of one browser, in simulated time. @param {any} sim */
export function browser(sim) {
  /** @type {Set<any>} */
  const channels = new Set()
  /** @type {Map<string, {held: boolean, waiting: (() => void)[]}>} */
  const locks = new Map()
  /** A page of it. */
  const open = () => {
    /** @type {any[]} */
    const mine = []
    let alive = true
    /** @type {(() => void)[]} */
    const release = []
    const platform = {
      clock: sim.clock,
      channel: () => {
        const channel = {
          onmessage: /** @type {any} */ (null),
          postMessage: (/** @type {any} */ data) => {
            const text = JSON.stringify(data)
            if (!alive) return
            for (const c of channels)
              if (c !== channel) sim.after(1, () => channels.has(c) && c.onmessage?.({ data: JSON.parse(text) }))
          },
          close: () => channels.delete(channel),
        }
        channels.add(channel)
        mine.push(channel)
        return channel
      },
      locks: {
        request: async (/** @type {string} */ name, /** @type {any} */ options, /** @type {any} */ fn) => {
          const lock = locks.get(name) ?? { held: false, waiting: [] }
          locks.set(name, lock)
          if (lock.held && options.ifAvailable) return fn(null)
          while (lock.held) {
            await new Promise((resolve, reject) => {
              const next = () => resolve(undefined)
              lock.waiting.push(next)
              options.signal?.addEventListener('abort', () => {
                if (lock.waiting.includes(next)) lock.waiting.splice(lock.waiting.indexOf(next), 1)
                reject(options.signal.reason)
              })
            })
          }
          if (!alive) return lock.waiting.shift()?.()
          lock.held = true
          const free = () => {
            lock.held = false
            lock.waiting.shift()?.()
          }
          release.push(free)
          await fn({ name })
          if (release.includes(free)) release.splice(release.indexOf(free), 1) && free()
        },
      },
    }
    return {
      platform,
      /** The page is gone, without a word. */
      kill: () => {
        alive = false
        for (const c of mine) channels.delete(c)
        for (const free of release.splice(0)) free()
      },
    }
  }
  return {
    open,
    /** What is in use by now. */
    inUse: () => ({
      channels: channels.size,
      locks: [...locks.values()].filter((l) => l.held || l.waiting.length).length,
    }),
  }
}
