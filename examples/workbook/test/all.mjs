/**
 * Runs all tests that want a browser: this example's, the board's, and those of the
 * benchmark's pages. One browser serves all files, two of which run at a time; each
 * has a server and windows of its own.
 */

import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { chromium } from 'playwright-core'
import { program } from './browser.mjs'

const root = new URL('../../../', import.meta.url)
const files = ['examples/workbook/test', 'examples/board/test', 'bench/browser'].flatMap((folder) =>
  readdirSync(new URL(folder, root)).filter((file) => file.endsWith('.test.mjs')).map((file) => `${folder}/${file}`),
)

const browser = await chromium.launchServer(program())
try {
  const tests = spawn(process.execPath, ['--test', '--test-concurrency=2', '--test-reporter=spec', ...files], {
    cwd: root,
    env: { ...process.env, GRAPHTIDE_TEST_BROWSER: browser.wsEndpoint() },
    stdio: 'inherit',
  })
  process.exitCode = await new Promise((resolve) => tests.once('exit', (code) => resolve(code ?? 1)))
} finally {
  await browser.close()
}
