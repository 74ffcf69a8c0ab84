/** Every row can be measured, on either side: a small run of the whole. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

test('each row has a figure from both sides', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bench-client-'))
  try {
    const json = join(folder, 'figures.json')
    const main = new URL('main.mjs', import.meta.url).pathname
    const { stdout } = await promisify(execFile)(process.execPath, [main, '--quick', '--sizes', '60', '--json', json])
    const figures = Object.entries(JSON.parse(readFileSync(json, 'utf8')))
    assert.equal(figures.length, 8)
    for (const [name, { floor, graphtide }] of figures) {
      assert.ok(stdout.includes(name), name)
      for (const side of [floor, graphtide]) assert.ok(side.length === 1 && Number.isFinite(side[0]), name)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
