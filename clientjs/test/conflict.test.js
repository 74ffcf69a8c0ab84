import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { connect } from '../src/index.js'
import { startServer } from './server.js'

/** Two people write the same at once: what the schema says about that, from the schema to the screen. */
const SCHEMA = `
graphtide: 1
types:
  Task:
    properties:
      title: {type: string, x-conflict: last-writer}
      state: {type: string, x-conflict: unchanged}
      since: {type: string, x-conflict: unchanged}
      tags: {type: array, items: {type: string}}
    access: {read: [public], write: [public]}
    methods:
      close:
        params: {state: {type: string}}
        patch:
          - {op: replace, path: /body/state, value: {$param: state}}
`

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server
beforeAll(async () => {
  server = await startServer(SCHEMA)
}, 600_000) // it may have to be compiled
afterAll(() => server?.stop())

/** A task, and two clients that have it before them. */
async function setup() {
  const dbs = await Promise.all([connect({ url: server.url }), connect({ url: server.url })])
  const [ann, bob] = dbs
  const made = ann.create('Task', { title: 'Task', state: 'open', tags: ['a', 'b', 'c'] })
  await ann.settled()
  const tasks = []
  const refused = vi.fn()
  for (const db of dbs) {
    const view = db.subscribe({ root: made.$id })
    await view.ready
    tasks.push(view.root)
    db.on('reject', refused)
  }
  const same = () => JSON.stringify(tasks[0]) === JSON.stringify(tasks[1])
  return {
    ann,
    bob,
    tasks,
    refused,
    /** Both are done, and see the same. */
    together: () => vi.waitFor(() => expect([same(), ann.pending, bob.pending]).toEqual([true, [], []]), 60_000),
    close: () => dbs.map((db) => db.close()),
  }
}

/**
 * Both write in one turn, so that neither can have seen the other's.
 * @param {Awaited<ReturnType<typeof setup>>} both
 * @param {(task: any, name: string) => void} write
 */
const atOnce = async ({ ann, bob, tasks: [a, b] }, write) =>
  (
    await Promise.allSettled([
      ann.transact(() => write(a, 'ann')).then(() => 'ann'),
      bob.transact(() => write(b, 'bob')).then(() => 'bob'),
    ])
  ).map((r) => (r.status === 'fulfilled' ? r.value : r.reason))

describe('two who write at once', () => {
  test('last-writer: both are taken, and one is seen by both', async () => {
    const both = await setup()
    expect(await atOnce(both, (task, name) => (task.title = name))).toEqual(['ann', 'bob'])
    await both.together()
    expect(['ann', 'bob']).toContain(both.tasks[0].title)
    expect(both.refused).not.toHaveBeenCalled()
    both.close()
  })

  test.each([
    ['a property', 'state', (/** @type {any} */ task, /** @type {string} */ name) => (task.state = name)],
    ['one that is absent', 'since', (/** @type {any} */ task, /** @type {string} */ name) => (task.since = name)],
    [
      'a method of the schema',
      'state',
      (/** @type {any} */ task, /** @type {string} */ name) => task.close({ state: name }),
    ],
  ])(
    'unchanged, %s: one is taken, the other is told what is there, and nothing else of his is',
    async (_, name, write) => {
      const both = await setup()
      const results = await atOnce(both, (task, who) => {
        task.title = `by ${who}`
        write(task, who)
      })
      await both.together()
      const [task] = both.tasks
      const [winner] = results.filter((r) => typeof r === 'string')
      const [problem] = results.filter((r) => typeof r !== 'string')
      expect([task[name], task.title]).toEqual([winner, `by ${winner}`])
      expect(problem).toMatchObject({ code: 'test-failed', problem: { status: 409, version: task.$meta.version } })
      expect(problem.problem.actual).toEqual(name === 'since' ? task.$meta.version : winner)
      expect(both.refused).toHaveBeenCalledTimes(1)
      both.close()
    },
  )

  test('elements of a list: each hits the one that was meant, and the client sends again by itself', async () => {
    const both = await setup()
    const { ann, bob, tasks } = both
    const [a, b] = tasks
    await Promise.all([ann.transact(() => a.tags.splice(0, 1)), bob.transact(() => (b.tags[2] = 'C'))])
    await both.together()
    expect([...a.tags]).toEqual(['b', 'C'])
    await Promise.all([ann.transact(() => a.tags.unshift('new')), bob.transact(() => b.tags.splice(0, 1))])
    await both.together()
    expect([...a.tags]).toEqual(['new', 'C'])
    expect(both.refused).not.toHaveBeenCalled()
    both.close()
  })

  test('undo: what somebody has changed since is told and stays, and can be passed over', async () => {
    const both = await setup()
    const { ann, bob, tasks } = both
    const [a, b] = tasks
    await ann.transact(() => a.tags.push('d'))
    await ann.transact(() => (a.title = 'by ann'))
    await both.together()
    await bob.transact(() => (b.title = 'by bob'))
    await expect(ann.undo()).rejects.toMatchObject({
      code: 'undo-conflict',
      conflicts: [{ path: `/objects/${a.$id}/body/title`, object: a }],
    })
    await ann.undo({ skip: true })
    await both.together()
    expect([a.title, [...a.tags]]).toEqual(['by bob', ['a', 'b', 'c']])
    both.close()
  })
})
