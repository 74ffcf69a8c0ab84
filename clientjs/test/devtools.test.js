// @vitest-environment happy-dom
import { expect, test, vi } from 'vitest'
import { devtools, watch } from '../src/devtools.js'
import { addObject, id, world } from './world.js'

const STORE = id(1)

async function setup() {
  const w = world({ delay: () => 2 })
  w.seed([addObject(STORE, 'DataStore', { name: 'Book' })])
  const db = await w.connect()
  return { ...w, db }
}

test('shows what comes, changes and goes, what is sent and what becomes of it', async () => {
  const { db, sim, server } = await setup()
  vi.spyOn(console, 'warn').mockImplementation(() => {})
  const seen = watch(db)
  const view = db.subscribe({ root: STORE })
  await sim.wait(view.ready)
  view.root.name = 'Q3'
  await sim.run(50)
  server.options.refuse = () => ({ code: 'schema', title: 'No' })
  view.root.name = 'bad'
  await sim.run(50)
  view.close()
  await sim.run(50)
  const kinds = (/** @type {'graph'|'transactions'|'wire'} */ tab) => seen.lines[tab].map((l) => l.kind)
  expect(kinds('graph')[0]).toBe('enter')
  expect(kinds('graph')).toContain('change')
  expect(kinds('graph').at(-1)).toBe('leave')
  expect(kinds('transactions')).toEqual(['out', 'enter', 'out', 'reject'])
  expect(seen.lines.wire.some((l) => l.text.startsWith('→ {"t":"mutate"'))).toBe(true)
  expect(seen.lines.wire.some((l) => l.text.startsWith('← {"t":"load"'))).toBe(true)
  seen.stop()
  const before = seen.lines.wire.length
  db.subscribe({ root: STORE })
  await sim.run(50)
  expect(seen.lines.wire.length).toBe(before)
  vi.restoreAllMocks()
  db.close()
})

test('switches the line off and on again', async () => {
  const { db, sim } = await setup()
  const seen = watch(db)
  const view = db.subscribe({ root: STORE })
  await sim.wait(view.ready)
  seen.set({ offline: true })
  view.root.name = 'offline'
  await sim.run(5_000)
  expect([db.status, db.pending.length]).toEqual(['reconnecting', 1])
  seen.set({ offline: false })
  await sim.until(() => db.status === 'live' && db.pending.length === 0)
  seen.stop()
  db.close()
})

test('messages keep their order when the delay is switched off', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout'] })
  const { db } = await setup()
  /** @type {any[]} */
  const sent = []
  db.connection.send = (/** @type {any} */ m) => sent.push(m.n) > 0
  const seen = watch(db)
  seen.set({ delay: 500 })
  db.connection.send({ n: 1 })
  db.connection.send({ n: 2 })
  expect(sent).toEqual([])
  seen.set({ delay: 0 })
  db.connection.send({ n: 3 })
  expect(sent).toEqual([1, 2, 3])
  vi.advanceTimersByTime(1_000)
  expect(sent).toEqual([1, 2, 3])
  vi.useRealTimers()
  seen.stop()
  db.close()
})

test('the overlay can be read and worked without a mouse, and leaves nothing behind', async () => {
  const { db, sim } = await setup()
  const stop = devtools(db)
  const root = document.querySelector('graphtide-devtools')?.shadowRoot
  const view = db.subscribe({ root: STORE })
  await sim.wait(view.ready)
  await vi.waitFor(() => expect(root?.querySelector('li')?.textContent).toContain('DataStore'))
  expect(root?.querySelector('section')?.getAttribute('aria-label')).toBe('Graphtide devtools')
  const press = (/** @type {string} */ text) =>
    [...(root?.querySelectorAll('button') ?? [])].find((b) => b.textContent === text)?.click()
  press('wire')
  await vi.waitFor(() => expect(root?.querySelector('li')?.textContent).toMatch(/^[←→·]/))
  const tabs = [...(root?.querySelectorAll('[role=tab]') ?? [])]
  expect(tabs.map((t) => t.getAttribute('tabindex'))).toEqual(['-1', '-1', '0']) // one stop; the arrows do the rest
  tabs[2].dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true }))
  await vi.waitFor(() => expect(tabs[0].getAttribute('aria-selected')).toBe('true'))
  expect(root?.querySelector('[role=tabpanel]')?.getAttribute('aria-label')).toBeTruthy()
  press('offline')
  expect(db.status).toBe('reconnecting')
  stop()
  expect(document.querySelector('graphtide-devtools')).toBeNull()
  db.close()
})
