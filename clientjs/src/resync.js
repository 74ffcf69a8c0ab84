/**
 * Views that do not fit what comes: they are asked for again, at once, and then
 * at growing intervals.
 */

/** @typedef {import('./projection.js').View} View */

const FIRST = 500
const LONGEST = 30_000
/** How long a subscription that was put off waits where the server does not say. */
const POSTPONE = 1_000

export class Resync {
  /** @param {import('./session.js').Session} session */
  constructor(session) {
    this.session = session
    /** How often each view got out of step in a row. @type {Map<View, number>} */
    this.slips = new Map()
    /** @type {Set<any>} */
    this.timers = new Set()
    session.resync = this
  }

  /**
   * A view does not fit what came.
   * @param {View} view
   * @param {boolean} [wrong] what it holds cannot be built upon: it is loaded whole
   */
  slipped(view, wrong) {
    const { session } = this
    const times = Math.max(wrong ? 1 : 0, this.slips.get(view) ?? 0) + 1
    this.slips.set(view, times)
    session.emit('resync', { view, times })
    // The first time from where it stood; if that does not help, whole.
    view.awaiting = times === 1 ? 'difference' : 'whole' // hear nothing until it is answered
    if (times <= 2) session.subscribe(view, times === 1 && view.loaded)
    else this.later(view, Math.min(LONGEST, FIRST * 2 ** (times - 3)))
  }

  /** It is in step, or gone. @param {View} view */
  well(view) {
    this.slips.delete(view)
  }

  /** Subscribes a view anew after a while, unless a new connection has done so. @param {View} view @param {number} [ms] */
  later(view, ms = POSTPONE) {
    const { session } = this
    const { sub } = view
    const timer = session.clock.setTimeout(() => {
      this.timers.delete(timer)
      if (session.live && session.views.has(view) && view.sub === sub) session.subscribe(view, false)
    }, ms)
    this.timers.add(timer)
  }

  close() {
    for (const timer of this.timers) this.session.clock.clearTimeout(timer)
  }
}
