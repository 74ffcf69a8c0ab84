/**
 * The routes that are asked over HTTP: schema, history, revert.
 */

import { Problem } from './protocol.js'

export class Http {
  /**
   * @param {object} options
   * @param {string} options.base the server's origin, without a slash at the end
   * @param {string} options.graph
   * @param {(renew: boolean) => Promise<string | undefined>} options.token
   * @param {typeof globalThis.fetch} options.fetch
   */
  constructor({ base, graph, token, fetch }) {
    this.base = base
    this.graph = graph
    this.token = token
    this.fetch = fetch
  }

  /**
   * @param {string} path
   * @param {{method?: string, body?: any, headers?: Record<string, string>}} [options]
   * @param {boolean} [renew] the token at hand was refused
   * @returns {Promise<any>} the answer's JSON; rejects with a Problem
   */
  async request(path, options = {}, renew = false) {
    const { body } = options
    const token = await this.token(renew)
    const headers = { ...options.headers }
    if (token !== undefined) headers.authorization = `Bearer ${token}`
    if (body !== undefined) headers['content-type'] = 'application/json'
    let answer
    try {
      answer = await this.fetch(this.base + path, {
        ...options,
        headers,
        body: JSON.stringify(body),
      })
    } catch (/** @type {any} */ err) {
      throw new Problem({
        code: 'unavailable',
        detail: `the server cannot be reached: ${err.message ?? err}`,
      })
    }
    if (answer.status === 401 && !renew) return this.request(path, options, true)
    const json = await answer.json().catch(() => undefined)
    if (answer.ok && json !== undefined) return json
    throw new Problem(
      json?.code
        ? json
        : {
            code: answer.status >= 500 ? 'unavailable' : 'unexpected',
            status: answer.status,
            detail: `the server answered ${answer.status}`,
          },
    )
  }

  schema() {
    return this.request('/v1/schema?view=client')
  }

  /** @param {string} ref */
  history(ref) {
    return this.request(`/v1/graphs/${this.graph}/${ref}/history`)
  }
}
