import { expect, test, vi } from 'vitest'
import { Http } from '../src/http.js'

/** @param {(token: string) => [number, any]} answer @param {any} [token] */
function setup(answer, token = async (/** @type {boolean} */ renew) => (renew ? 'new' : 'old')) {
  const fetch = vi.fn(async (_url, { headers }) => {
    const [status, body] = answer(headers.authorization)
    return { ok: status < 300, status, json: async () => body }
  })
  const asked = vi.fn(/** @type {(renew: boolean) => Promise<any>} */ (token))
  return {
    fetch,
    asked,
    http: new Http({ base: 'http://x', graph: 'main', token: asked, fetch: /** @type {any} */ (fetch) }),
  }
}

test('a token that is refused is renewed, and the same is asked again', async () => {
  const { http, fetch, asked } = setup((token) => (token === 'Bearer new' ? [200, { version: 7 }] : [401, {}]))
  const headers = { 'Idempotency-Key': 'k' }
  expect(await http.request('/revert', { method: 'POST', body: { versions: [1] }, headers })).toEqual({ version: 7 })
  expect(asked.mock.calls).toEqual([[false], [true]])
  const [first, second] = fetch.mock.calls.map(([url, init]) => [
    url,
    { ...init, headers: { ...init.headers, authorization: '' } },
  ])
  expect(second).toEqual(first)
})

test('once: what is refused again is told', async () => {
  const { http, fetch } = setup(() => [401, { code: 'unauthenticated', title: 'No' }])
  await expect(http.history('objects/1')).rejects.toMatchObject({ code: 'unauthenticated' })
  expect(fetch).toHaveBeenCalledTimes(2)
})
