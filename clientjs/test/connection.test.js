import { describe, expect, test } from 'vitest'
import { Connection } from '../src/connection.js'
import { Problem } from '../src/protocol.js'
import { Renewal } from '../src/renewal.js'
import { Sim } from './sim.js'

/** A connection whose sockets the test plays. @param {any} [options] */
function setup(options = {}) {
  const sim = new Sim(3)
  /** @type {any[]} */
  const sockets = []
  /** @type {any[]} */
  const states = []
  /** @type {any[]} */
  const heard = []
  /** @type {boolean[]} */
  const asked = []
  let token = 0
  const connection = new Connection({
    open: () => {
      const socket = {
        sent: /** @type {any[]} */ ([]),
        send: (/** @type {string} */ text) => socket.sent.push(JSON.parse(text)),
        close: (/** @type {number} */ code) => (socket.closed = code),
        closed: 0,
      }
      sockets.push(socket)
      return /** @type {any} */ (socket)
    },
    token: async (renew) => {
      asked.push(renew)
      return options.token ? options.token() : `t${++token}`
    },
    renewable: options.renewable ?? true,
    clock: sim.clock,
    random: sim.random,
    handlers: {
      hello: () => ({ session: 's', pending: ['m1'] }),
      onWelcome: (w) => heard.push(w),
      onMessages: (m) => heard.push(...m),
      onState: (s) => states.push(s.name),
    },
  })
  const welcome = { t: 'welcome', epoch: 'e', version: 1 }
  return {
    sim,
    sockets,
    states,
    heard,
    asked,
    connection,
    say: (/** @type {any[]} */ ...m) => sockets.at(-1).onmessage({ data: m.map((x) => JSON.stringify(x)).join('\n') }),
    async live(/** @type {any} */ more = {}) {
      connection.start()
      await sim.settle()
      sockets.at(-1).onopen({})
      this.say({ ...welcome, ...more })
    },
  }
}

test('the handshake: token and session in the first message, then live', async () => {
  const c = setup()
  c.connection.start()
  await c.sim.settle()
  expect(c.connection.send({ t: 'ping' })).toBe(false)
  c.sockets[0].onopen({})
  expect(c.sockets[0].sent).toEqual([{ t: 'hello', token: 't1', session: 's', pending: ['m1'] }])
  c.say({ t: 'welcome', version: 1 }, { t: 'at', version: 1 })
  expect(c.states).toEqual(['connecting', 'greeting', 'live'])
  expect(c.heard.map((m) => m.t)).toEqual(['welcome', 'at'])
  expect(c.connection.send({ t: 'ping' })).toBe(true)
})

test('without a token there is none in the hello', async () => {
  const c = setup({ token: () => undefined })
  await c.live()
  expect('token' in c.sockets[0].sent[0]).toBe(false)
})

describe('close codes', () => {
  test.each([4400, 4403, 4404, 4408, 4409, 4413, 4426])('%i means: do not come back', async (code) => {
    const c = setup()
    await c.live()
    c.sockets[0].onclose({ code })
    expect(c.connection.state.name).toBe('closed')
    expect(/** @type {any} */ (c.connection.state).reason).toBeInstanceOf(Problem)
    await c.sim.run(600_000)
    expect(c.sockets.length).toBe(1)
  })

  test.each([1000, 1001, 1006, 1011, 4429, 4503, 4510, 4999])('%i means: come back after a delay', async (code) => {
    const c = setup()
    await c.live()
    c.sockets[0].onclose({ code })
    expect(c.connection.state.name).toBe('waiting')
    await c.sim.run(300)
    expect(c.sockets.length).toBe(2)
  })

  test('4401 means: come back with another token, once', async () => {
    const c = setup()
    await c.live()
    c.sockets[0].onclose({ code: 4401 })
    await c.sim.run(1000)
    expect(c.asked).toEqual([false, true])
    c.sockets[1].onopen({})
    expect(c.sockets[1].sent[0].token).toBe('t2')
    c.sockets[1].onclose({ code: 4401 })
    expect(c.connection.state.name).toBe('closed')
  })

  test('4401 is final where the token is a fixed text', async () => {
    const c = setup({ renewable: false })
    await c.live()
    c.sockets[0].onclose({ code: 4401 })
    expect(c.connection.state).toMatchObject({ name: 'closed', reason: { code: 'unauthenticated' } })
  })
})

test('retries slow down with chance in them, and start afresh after a steady while', async () => {
  const c = setup()
  await c.live()
  const waits = []
  for (let i = 0; i < 8; i++) {
    c.sockets.at(-1).onclose({ code: 1006 })
    const { until } = /** @type {any} */ (c.connection.state)
    waits.push(until - c.sim.time)
    await c.sim.until(() => c.connection.state.name === 'greeting')
  }
  waits.forEach((ms, i) => {
    const most = Math.min(15_000, 250 * 2 ** i)
    expect(ms).toBeGreaterThanOrEqual(most * 0.1)
    expect(ms).toBeLessThanOrEqual(most)
  })
  c.sockets.at(-1).onopen({})
  c.say({ t: 'welcome', version: 1 })
  await c.sim.run(6_000)
  c.sockets.at(-1).onclose({ code: 1006 })
  expect(/** @type {any} */ (c.connection.state).until - c.sim.time).toBeLessThanOrEqual(250)
})

test('a node that drains is left when it says, not all at once', async () => {
  const c = setup()
  await c.live()
  c.say({ t: 'bye', retryAfterMs: 5_000 })
  await c.sim.run(4_900)
  expect(c.sockets.length).toBe(1)
  await c.sim.run(500)
  expect(c.sockets.length).toBe(2)
})

test('silence is asked about, and then taken for a dead line', async () => {
  const c = setup()
  await c.live()
  await c.sim.run(20_500)
  expect(c.sockets[0].sent.at(-1)).toEqual({ t: 'ping' })
  c.say({ t: 'at', version: 1, digests: {} })
  await c.sim.run(15_000)
  expect(c.connection.state.name).toBe('live')
  await c.sim.run(16_000)
  expect(c.sockets.length).toBe(2)
  expect(c.sockets[0].closed).toBe(4000)
})

test('where the network is said to have changed, a line that does not answer is soon left', async () => {
  const c = setup()
  await c.live()
  c.connection.hurry()
  expect(c.sockets[0].sent.at(-1)).toEqual({ t: 'ping' })
  c.say({ t: 'at', version: 1, digests: {} })
  await c.sim.run(6_000)
  expect(c.connection.state.name).toBe('live')
  c.connection.hurry()
  await c.sim.run(6_000)
  expect(c.sockets[0].closed).toBe(4000)
  expect(c.sockets.length).toBe(2)
})

test('a server that never greets is given up', async () => {
  const c = setup()
  c.connection.start()
  await c.sim.run(16_000)
  expect(c.sockets.length).toBe(2)
})

test('what an old socket still says is not heard', async () => {
  const c = setup()
  await c.live()
  const old = { ...c.sockets[0] }
  c.sockets[0].onclose({ code: 1006 })
  await c.sim.run(300)
  old.onmessage({ data: '{"t":"at","version":9}' })
  expect(c.heard.map((m) => m.t)).toEqual(['welcome'])
})

test('nonsense ends the socket, not the client', async () => {
  const c = setup()
  await c.live()
  c.sockets[0].onmessage({ data: 'nonsense' })
  expect(c.connection.state.name).toBe('waiting')
  await c.sim.run(300)
  expect(c.sockets.length).toBe(2)
})

test('the token is renewed before it expires', async () => {
  const c = setup()
  await c.live()
  const renewal = new Renewal(c.connection)
  renewal.expect(new Date(120_000).toISOString())
  for (let i = 0; i < 9; i++) {
    await c.sim.run(10_000)
    c.say({ t: 'at', version: 1 })
  }
  expect(c.asked).toEqual([false, true])
  expect(c.sockets[0].sent.filter((/** @type {any} */ m) => m.t === 'token')).toEqual([{ t: 'token', token: 't2' }])
  renewal.close()
})

test('a token source that fails is asked again', async () => {
  let fail = true
  const c = setup({
    token: () => {
      if (fail) throw new Error('the sign-in service is away')
      return 'ok'
    },
  })
  c.connection.start()
  await c.sim.run(100)
  expect(c.sockets.length).toBe(0)
  fail = false
  await c.sim.run(1_000)
  expect(c.sockets.length).toBe(1)
})

test('closing is for good, and can be done twice', async () => {
  const c = setup()
  await c.live()
  c.connection.close()
  c.connection.close()
  expect(c.sockets[0].closed).toBe(1000)
  expect(c.states.filter((s) => s === 'closed').length).toBe(1)
  expect(c.sim.events.size).toBe(0)
})
