import { readFileSync } from 'node:fs'
import { describe, expect, test, vi } from 'vitest'
import { Client } from '../src/client.js'
import * as index from '../src/index.js'
import { addEdge, addObject, id, schema, world } from './world.js'

const [STORE, ANN, REC] = [id(1), id(2), id(3)]
const text = readFileSync(new URL('../README.md', import.meta.url), 'utf8')

/** The indented code under a heading ('' for the beginning), without imports. @param {string} heading */
function code(heading) {
  const part = text.split(/^## /m).find((p) => (heading ? p.startsWith(heading) : p.startsWith('# '))) ?? ''
  const lines = part.split('\n').filter((l) => /^ {4}/.test(l) && !/^ {4}import /.test(l))
  return lines.join('\n').replace(/…/g, '{}')
}

/** Runs code as a page of its own would. @param {string} source @param {Record<string, any>} names */
function run(source, names) {
  const returned =
    '\nreturn { db: typeof db === "undefined" ? undefined : db, view: typeof view === "undefined" ? undefined : view }'
  const AsyncFunction = (async () => {}).constructor
  return /** @type {any} */ (AsyncFunction)(...Object.keys(names), source + returned)(...Object.values(names))
}

async function setup() {
  const w = world()
  w.seed([
    addObject(STORE, 'DataStore', { name: 'Book', tags: ['old'], columns: [] }),
    addObject(ANN, 'User', { givenName: 'Ann' }),
    addObject(REC, 'Record', { rank: 1, values: {} }),
    addEdge(id(10), 'creator', STORE, ANN),
    addEdge(id(11), 'dataStore', REC, STORE),
  ])
  /** Goes on with simulated time while the code waits. @param {Promise<any>} promise */
  const through = (promise) => w.sim.wait(promise)
  return { ...w, through }
}

describe('the examples of the README do what they say', () => {
  test('the first one', async () => {
    const w = await setup()
    const connect = () => w.connect()
    const { db, view } = await w.through(run(code(''), { connect, url: 'x', token: 't', id: STORE }))
    expect([view.root.name, db.pending.length]).toEqual(['Q3', 1])
    await w.sim.run(100)
    expect(w.server.entity(`objects/${STORE}`).body.name).toBe('Q3')
    db.close()
  })

  test('writing', async () => {
    const w = await setup()
    const db = await w.connect()
    const view = db.subscribe({ root: STORE, in: { dataStore: {} }, out: { creator: {} } })
    await w.sim.wait(view.ready)
    const lone = db.subscribe({ root: ANN })
    await w.sim.wait(lone.ready)
    const refused = vi.fn()
    db.on('reject', refused)
    const source = code('Writing').replace('value: 7', 'value: 1')
    await w.through(run(source, { db, store: view.root, ann: db.get(ANN), id: REC }))
    await w.sim.run(100)
    expect(refused).not.toHaveBeenCalled()
    const { body } = w.server.entity(`objects/${STORE}`)
    expect(body.tags).toEqual(['old', 'new'])
    expect(view.root.creator).toBe(null)
    expect(view.root.records.map((/** @type {any} */ r) => r.values.city)).toEqual([undefined, 'Bern'])
    db.close()
  })

  test('operations, rights, presence', async () => {
    const w = await setup()
    const db = await w.connect()
    const view = db.subscribe({ root: STORE })
    await w.sim.wait(view.ready)
    const running = run(code('Operations'), { db, store: view.root })
    await w.sim.until(() => [...w.server.state.objects.values()].some((o) => o.body.cancel))
    const [operation] = [...w.server.state.objects].find(([, o]) => o.type === 'OperationRequest') ?? []
    w.server.commit(
      [{ op: 'add', path: `/objects/${operation}/body/state`, value: 'succeeded' }],
      'run:1',
      crypto.randomUUID(),
    )
    await w.through(running)
    expect(view.root.$can('write')).toBe(true)
    await w.sim.run(10)
    expect([...(w.server.present.get(STORE)?.values() ?? [])]).toMatchObject([{ state: { cursor: 3 } }])
    db.close()
  })
})

test('what the README names is there', async () => {
  const w = await setup()
  const db = await w.connect()
  const view = db.subscribe({ root: STORE, in: { dataStore: {} } })
  await w.sim.wait(view.ready)
  for (const [, name] of text.matchAll(/`db\.(\w+)/g)) expect(name in db, `db.${name}`).toBe(true)
  for (const [, name] of text.matchAll(/`view\.(\w+)/g)) expect(name in view, `view.${name}`).toBe(true)
  for (const [, name] of text.matchAll(/`(\$\w+)[`(]/g)) {
    const edge = view.root.$in('dataStore').length ? view.root.$edge('records', db.get(REC)) : undefined
    expect(name in view.root || (edge && name in edge), name).toBe(true)
  }
  for (const [, names] of text.matchAll(/import \{ ([^}]+) \} from '@graphtide\/client'/g))
    for (const name of names.split(', ')) expect(name in index, name).toBe(true)
  db.close()
  expect(Client.name).toBe('Client')
  expect(schema.version).toBe(1)
})

test('every public function says what goes in, what comes out and what it throws', () => {
  const source = readFileSync(new URL('../src/client.js', import.meta.url), 'utf8')
  const members = [...source.matchAll(/^ {2}(?:async |get )?([a-z]\w*)\(([^)]*)\) \{/gm)]
  expect(members.length).toBeGreaterThan(15)
  for (const m of members) {
    if (m[1] === 'constructor') continue
    const before = source.slice(0, m.index).trimEnd()
    expect(before.endsWith('*/'), `${m[1]} has no comment`).toBe(true)
    const comment = before.slice(before.lastIndexOf('/**'))
    const names = m[2].split(/, (?![^{]*\})/).map((p) => p.split(' = ')[0].trim())
    for (const p of names) if (/^\w+$/.test(p)) expect(comment, `${m[1]}(${p})`).toContain(p)
  }
})
