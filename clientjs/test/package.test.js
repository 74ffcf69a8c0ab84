import { readdirSync, readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { describe, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { connect } from '../src/index.js'
import { FakeServer } from './fake-server.js'
import { Sim } from './sim.js'
import { addObject, id, schema } from './world.js'

const source = (/** @type {string} */ name) => new URL(`../src/${name}.js`, import.meta.url).pathname

/**
 * A file with all that it imports, minified and compressed.
 * @param {string} name
 * @param {{fetched?: boolean, external?: string[]}} [options] fetched: with what it imports dynamically, too
 */
async function size(name, { fetched = false, external = [] } = {}) {
  const { outputFiles, metafile } = await build({
    entryPoints: [source(name)],
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    write: false,
    metafile: true,
    external,
    plugins: fetched
      ? []
      : [
          {
            name: 'leave what is fetched later',
            setup: (b) =>
              b.onResolve({ filter: /.*/ }, (a) =>
                a.kind === 'dynamic-import' ? { path: a.path, external: true } : undefined,
              ),
          },
        ],
  })
  return { bytes: gzipSync(outputFiles[0].contents, { level: 9 }).length, inputs: Object.keys(metafile.inputs) }
}

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')

/** What the README promises, in bytes. @param {string} what how the row of its table begins */
const promised = (what) => 1_000 * Number(readme.split(`\n| ${what}`)[1].match(/\| ([\d.]+) kB \|/)?.[1])

describe('size, minified and compressed, is what the README says', () => {
  test('of the core: what a page needs to show live data', async () => {
    const { bytes, inputs } = await size('index')
    expect(promised('the core')).toBe(12_000)
    expect(bytes).toBeLessThanOrEqual(promised('the core'))
    // Nothing but our own files: no runtime dependency.
    expect(inputs.filter((f) => !/(^|\/)src\//.test(f))).toEqual([])
  })

  test.each(['vue', 'react', 'svelte'])('of the binding to %s', async (name) => {
    const external = ['vue', 'react', 'svelte', 'svelte/reactivity', './cells.js']
    expect((await size(name, { external })).bytes).toBeLessThanOrEqual(promised('each binding'))
  })

  test('of everything that connect may ever fetch', async () => {
    expect((await size('index', { fetched: true })).bytes).toBeLessThanOrEqual(promised('all that `connect`'))
  })
})

test('no source file imports a package, but for the bindings', () => {
  const folder = new URL('../src/', import.meta.url)
  for (const file of readdirSync(folder)) {
    const text = readFileSync(new URL(file, folder), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '') // comments hold examples
    const packages = [...text.matchAll(/from '([^'./][^']*)'/g)].map((m) => m[1])
    const own = file.replace('.js', '')
    const bindings = ['vue', 'react', 'svelte']
    expect([...new Set(packages.map((p) => p.split('/')[0]))], file).toEqual(bindings.includes(own) ? [own] : [])
  }
})

describe('in Node', () => {
  test('connect works over a real socket, with ws found by itself', async () => {
    const sim = new Sim()
    const server = new FakeServer(sim, { schema })
    server.commit([addObject(id(1), 'DataStore', { name: 'Book' })], 'seed', crypto.randomUUID())
    const wss = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    await new Promise((resolve) => wss.once('listening', () => resolve(undefined)))
    wss.on('connection', (socket) => {
      const session = server.accept({
        send: (/** @type {string} */ text) => socket.send(text),
        close: (/** @type {number} */ code) => socket.close(code),
      })
      socket.on('message', async (data) => {
        session.receive(String(data))
        await sim.run(1)
      })
      socket.on('close', () => session.gone())
    })
    const { port } = /** @type {import('node:net').AddressInfo} */ (wss.address())
    try {
      const db = await connect({ url: `http://127.0.0.1:${port}`, fetch: /** @type {any} */ (server.fetch) })
      const view = db.subscribe({ root: id(1) })
      await view.ready
      const version = await db.transact(() => (view.root.name = 'Q3'))
      expect([version, view.root.name, server.entity(`objects/${id(1)}`).body.name]).toEqual([2, 'Q3', 'Q3'])
      db.close()
    } finally {
      await new Promise((resolve) => wss.close(resolve))
    }
  })

  test('connect says what is missing', async () => {
    await expect(connect({})).rejects.toThrow(/url/)
  })
})
