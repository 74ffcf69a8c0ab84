/**
 * Asks for another token before the one in use expires, and tells the server.
 * The connection goes on; rights that changed act as entities that come and go.
 */

const MAX_TIMER = 2 ** 31 - 1
/** So long before the end the next one is asked for. */
const EARLY = 30_000
const AGAIN = 5_000

export class Renewal {
  /** @param {import('./connection.js').Connection} connection */
  constructor(connection) {
    this.connection = connection
    /** @type {any} */
    this.timer = undefined
    this.closed = false
  }

  /** The token in use ends then. @param {string | undefined | null} expiresAt */
  expect(expiresAt) {
    const { clock, renewable } = this.connection
    const left = Date.parse(expiresAt ?? '') - clock.now()
    clock.clearTimeout(this.timer)
    if (!renewable || !(left > 0)) return
    this.#after(Math.min(MAX_TIMER, Math.max(left - EARLY, left / 2)), expiresAt)
  }

  /** @param {number} ms @param {string | undefined | null} expiresAt */
  #after(ms, expiresAt) {
    const { clock } = this.connection
    clock.clearTimeout(this.timer)
    if (this.closed) return // while another token was on its way
    this.timer = clock.setTimeout(async () => {
      try {
        const token = await this.connection.token(true)
        if (token !== undefined) this.connection.send({ t: 'token', token })
        this.expect(expiryOf(token))
      } catch {
        this.#after(AGAIN, expiresAt)
      }
    }, ms)
  }

  close() {
    this.closed = true
    this.connection.clock.clearTimeout(this.timer)
  }
}

/** The `exp` of a JWT, as a date text. @param {string | undefined} token */
export function expiryOf(token) {
  try {
    const payload = String(token).split('.')[1].replace(/-/g, '+').replace(/_/g, '/')
    const { exp } = JSON.parse(atob(payload))
    return typeof exp === 'number' ? new Date(exp * 1000).toISOString() : undefined
  } catch {
    return undefined
  }
}
