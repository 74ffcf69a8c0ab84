import { describe, expect, test } from 'vitest'
import { Hub } from '../src/hub.js'
import { share } from '../src/share.js'
import { browser } from './browser.js'
import { fakeWebSocket } from './sim.js'
import { addObject, id, world } from './world.js'

const STORE = id(1)

/**
 * Tabs that share a line, opened so far apart.
 * @param {number} count @param {number} apart
 * @param {{server?: any, token?: (sim: import('./sim.js').Sim) => any}} [options] token: what a tab gives as its own
 */
async function tabs(count, apart, { server, token = () => 'ann' } = {}) {
  const w = world({ server })
  w.seed([addObject(STORE, 'DataStore', { name: 'Book' })])
  const { open } = browser(w.sim)
  const Real = fakeWebSocket({ sim: w.sim, server: w.server, delay: () => 5 })
  /** @type {any[]} */
  const lines = []
  const options = { silent: false }
  const Line = class extends Real {
    /** @param {string} url */
    constructor(url) {
      super(url)
      lines.push(this)
      if (options.silent) deaden(this)
    }
  }
  const all = []
  for (let i = 0; i < count; i++) {
    const page = open()
    const { WebSocket } = share('test', Line, page.platform)
    const db = w.make({ WebSocket, token: token(w.sim) })
    await w.sim.wait(db.start(20_000))
    const view = db.subscribe({ root: STORE })
    await w.sim.wait(view.ready)
    all.push({ db, view, page })
    await w.sim.run(apart)
  }
  return { ...w, all, lines, options, dbs: all.map(({ db }) => db) }
}

/** A line that is dead, though nobody has said so. @param {any} socket */
function deaden(socket) {
  Object.defineProperty(socket, 'onmessage', { get: () => null, set() {} })
  socket.send = () => {}
}

describe('a shared line', () => {
  test('that dies without a word is given up, by tabs that notice at different times', async () => {
    const { dbs, all, lines, sim, server } = await tabs(2, 3_000)
    deaden(lines[0])
    await sim.run(60_000)
    expect(lines.length).toBeGreaterThan(1)
    await sim.run(20_000)
    expect(dbs.map((db) => db.status)).toEqual(['live', 'live'])
    all[1].view.root.name = 'again'
    await sim.run(200)
    expect(all[0].view.root.name).toBe('again')
    expect(server.entity(`objects/${STORE}`).body.name).toBe('again')
    for (const db of dbs) db.close()
  })

  test('is given up soon where the network is said to have changed', async () => {
    const { dbs, lines, sim } = await tabs(2, 3_000)
    deaden(lines[0])
    dbs[0].reconnect()
    await sim.run(9_000)
    expect(lines).toHaveLength(2)
    expect(dbs.map((db) => db.status)).toEqual(['live', 'live'])
    for (const db of dbs) db.close()
  })

  test('to a server that does not answer the greeting is tried anew', async () => {
    const { dbs, lines, options, sim } = await tabs(2, 3_000)
    options.silent = true
    lines[0].cut(1006)
    await sim.run(10_000)
    options.silent = false
    await sim.run(60_000)
    expect(dbs.map((db) => db.status)).toEqual(['live', 'live'])
    for (const db of dbs) db.close()
  })

  test('that is quiet but good is kept, though tabs come and go', async () => {
    const { dbs, lines, sim } = await tabs(3, 7_000)
    await sim.run(100_000)
    dbs[2].close()
    await sim.run(100_000)
    expect(lines).toHaveLength(1)
    expect(dbs.slice(0, 2).map((db) => db.status)).toEqual(['live', 'live'])
    for (const db of dbs) db.close()
  })

  test('has its token renewed, by whichever tab is left, and never ends for want of one', async () => {
    /** @type {string[]} */
    const given = []
    /** @type {import('./sim.js').Sim} */
    let clock
    /** Good for a minute. @param {import('./sim.js').Sim} sim */
    const token = (sim) => {
      clock = sim
      return async () => {
        given.push(`t.${btoa(JSON.stringify({ sub: 'ann', exp: sim.time / 1000 + 60 }))}.s`)
        return given.at(-1)
      }
    }
    const expiresAt = () => new Date(clock.time + 60_000).toISOString()
    const w = await tabs(2, 100_000, { server: { expiresAt }, token })
    const { dbs, lines, sim, server } = w
    const renewed = () => server.heard.filter((/** @type {any} */ m) => m.t === 'token').length
    expect(lines).toHaveLength(1) // it outlived its first tokens
    expect(renewed()).toBeGreaterThan(2)
    // The tab that joined long after the first token had ended renews as well.
    let before = renewed()
    dbs[0].close()
    await sim.run(200_000)
    expect(renewed()).toBeGreaterThan(before)
    expect([lines.length, dbs[1].status]).toEqual([1, 'live'])
    before = given.length
    dbs[1].close()
    await sim.run(200_000)
    expect(given.length).toBe(before) // nobody is left to want one
  })

  test('to a tab that joins late says until when the token of today is good', async () => {
    /** @param {import('./sim.js').Sim} sim */
    const token = (sim) => async () => `t.${btoa(JSON.stringify({ exp: sim.time / 1000 + 600 }))}.s`
    const w = await tabs(2, 100_000, { server: { expiresAt: () => new Date(60_000).toISOString() }, token })
    const [, late] = w.dbs
    expect(w.lines).toHaveLength(1)
    expect(Date.parse(String(late.expiresAt))).toBeGreaterThan(w.sim.time)
    for (const db of w.dbs) db.close()
  })

  test('to a node that drains is left by all tabs when told to, and nothing is lost', async () => {
    const { all, dbs, lines, sim, server } = await tabs(3, 1_000)
    const [session] = server.sessions
    session.peer.send('{"t":"bye","retryAfterMs":5000}')
    await sim.run(1_000)
    all[1].view.root.name = 'while it drains'
    await sim.run(1_000)
    expect([lines.length, server.entity(`objects/${STORE}`).body.name]).toEqual([1, 'while it drains'])
    server.mute = true // its last breath: what is sent now is not answered
    all[2].view.root.name = 'too late'
    await sim.run(2_500)
    expect(dbs.map((db) => db.status)).toEqual(['live', 'live', 'live'])
    server.mute = false
    await sim.until(() => dbs.every((db) => db.status === 'live' && db.pending.length === 0))
    await sim.run(1_000)
    expect(lines).toHaveLength(2)
    expect(all.map(({ view }) => view.root.name)).toEqual(['too late', 'too late', 'too late'])
    expect(server.entity(`objects/${STORE}`).body.name).toBe('too late')
    for (const db of dbs) db.close()
  })

  test('forgets who sent what is answered', () => {
    /** @type {any} */
    let socket
    const clock = { now: () => 0, setTimeout: (/** @type {any} */ fn) => fn(), clearTimeout: () => {} }
    const WebSocket = class {
      constructor() {
        socket = this
      }
      send() {}
      close() {}
    }
    /** @type {any} */
    const station = { page: 'p', platform: { clock }, WebSocket, tell() {} }
    const hub = new Hub(station)
    const say = (/** @type {any} */ m) => hub.heard({ t: 'text', socket: 's', page: 'p', text: JSON.stringify(m) })
    hub.heard({ t: 'open', socket: 's', page: 'p', url: '', protocols: [] })
    say({ t: 'hello', pending: [] })
    socket.onmessage({ data: '{"t":"welcome","user":{"id":"ann"}}' })
    say({ t: 'mutate', mutation: 'a', patch: [] })
    say({ t: 'mutate', mutation: 'b', patch: [] })
    expect(hub.owners.size).toBe(2)
    socket.onmessage({ data: '{"t":"ack","mutation":"a","version":1}\n{"t":"reject","mutation":"b"}' })
    expect(hub.owners.size).toBe(0)
  })
})
