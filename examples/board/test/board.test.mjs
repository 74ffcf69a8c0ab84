/** Two people at one board, in a real browser against the real server. */

import assert from 'node:assert/strict'
import { after, before, test as alone } from 'node:test'
import { preview } from 'vite'
import { accessible } from '../../workbook/test/accessible.mjs'
import { openWindow, picture, startBrowser, story } from '../../workbook/test/browser.mjs'
import { Server } from '../../workbook/test/server.mjs'

const here = (path) => new URL(`../${path}`, import.meta.url).pathname
const test = story(alone)
let server, pages, browser, ann, bob

before(async () => {
  server = await new Server(['--schema', here('app.yaml')]).start()
  process.env.GRAPHTIDE_URL = server.url
  pages = await preview({ root: here(''), preview: { host: '127.0.0.1', port: 0, strictPort: false }, logLevel: 'warn' })
  const url = `http://127.0.0.1:${pages.httpServer.address().port}`
  browser = await startBrowser()
  ann = await openWindow(browser, url)
  bob = await openWindow(browser, url, { colorScheme: 'dark' })
})

after(async () => {
  await browser?.close()
  await pages?.close()
  await server?.stop()
})

const lane = (page, name) => page.getByRole('region', { name, exact: true })
/** The titles of a lane's cards, once they are these. */
const holds = (page, name, titles) =>
  page.waitForFunction(
    ([of, wanted]) => JSON.stringify([...document.querySelectorAll(`section[aria-label="${of}"] .card input`)].map((i) => i.value)) === wanted,
    [name, JSON.stringify(titles)],
  )

test('a board and its cards appear at the other', async () => {
  await ann.page.getByText('Live', { exact: true }).waitFor()
  await ann.page.getByRole('button', { name: '+ New board' }).click()
  for (const title of ['Write it down', 'Think', 'Do it']) {
    await ann.page.getByLabel('New card in To do').fill(title)
    await ann.page.keyboard.press('Enter')
  }
  await holds(bob.page, 'To do', ['Write it down', 'Think', 'Do it'])
})

test('cards are moved by mouse and by keyboard, and both see the same order', async () => {
  const card = (page, title) => page.locator('.card').filter({ has: page.locator(`input[value="${title}"]`) })
  await card(ann.page, 'Do it').dragTo(lane(ann.page, 'Doing'))
  await holds(bob.page, 'Doing', ['Do it'])
  await card(bob.page, 'Think').locator('input').focus()
  await bob.page.keyboard.press('Alt+ArrowUp')
  await holds(ann.page, 'To do', ['Think', 'Write it down'])
  // It keeps the focus, in another lane too.
  const inFocus = () => bob.page.waitForFunction(() => document.activeElement.value === 'Think')
  await inFocus()
  await bob.page.keyboard.press('Alt+ArrowDown')
  await holds(ann.page, 'To do', ['Write it down', 'Think'])
  await inFocus()
  await bob.page.keyboard.press('Alt+ArrowRight')
  await holds(ann.page, 'Doing', ['Do it', 'Think'])
  await holds(ann.page, 'To do', ['Write it down'])
  await inFocus()
  await bob.page.keyboard.press('Alt+ArrowLeft')
  await holds(ann.page, 'To do', ['Write it down', 'Think'])
  await inFocus()
  await bob.page.keyboard.press('Alt+ArrowRight')
  await holds(ann.page, 'Doing', ['Do it', 'Think'])
})

test('a change replaces nothing on the page but what it changed', async () => {
  const marked = ann.page.locator('.card input').first()
  const before = await marked.evaluate((el) => (window.firstCard = el).value)
  await bob.page.locator('section[aria-label="Doing"] .card input').first().fill('Do it well')
  await bob.page.keyboard.press('Enter')
  await holds(ann.page, 'Doing', ['Do it well', 'Think'])
  assert.equal(await ann.page.evaluate(() => window.firstCard.isConnected && window.firstCard.value), before)
})

test('what one is typing stays when somebody else renames the same', async () => {
  const input = (page) => page.locator('section[aria-label="To do"] .card input').first()
  await input(bob.page).focus()
  await bob.page.keyboard.press('End')
  await bob.page.keyboard.type(', please')
  await input(ann.page).fill('Note it')
  await ann.page.keyboard.press('Enter')
  await bob.page.getByRole('button', { name: 'Delete Note it' }).waitFor()
  await holds(bob.page, 'To do', ['Write it down, please'])
  await bob.page.keyboard.press('Enter')
  await holds(ann.page, 'To do', ['Write it down, please'])
})

test('an undo that somebody else’s change is in the way of says so', async () => {
  await ann.page.getByRole('button', { name: 'Undo' }).click()
  const told = ann.page.getByRole('alert')
  await told.getByText('Not undone').waitFor()
  await told.getByRole('button', { name: 'All right' }).click()
  await holds(ann.page, 'To do', ['Write it down, please'])
})

test('what one is typing stays when somebody else moves the card', async () => {
  const input = (page, of, i) => page.locator(`section[aria-label="${of}"] .card input`).nth(i)
  await input(bob.page, 'Doing', 1).focus()
  await bob.page.keyboard.press('End')
  await bob.page.keyboard.type(' hrd')
  await bob.page.keyboard.press('ArrowLeft')
  await bob.page.keyboard.press('ArrowLeft')
  await input(ann.page, 'Doing', 1).focus()
  await ann.page.keyboard.press('Alt+ArrowLeft')
  await holds(bob.page, 'To do', ['Write it down, please', 'Think hrd'])
  await bob.page.waitForFunction(() => document.activeElement.value === 'Think hrd')
  await bob.page.keyboard.type('a') // where the caret was
  await bob.page.keyboard.press('Enter')
  await holds(ann.page, 'To do', ['Write it down, please', 'Think hard'])
  await input(ann.page, 'To do', 1).focus()
  await ann.page.keyboard.press('Alt+ArrowRight')
  await holds(bob.page, 'Doing', ['Do it well', 'Think hard'])
})

test('what the schema refuses is rolled back and told', async () => {
  const input = ann.page.locator('section[aria-label="Doing"] .card input').first()
  await input.fill('x'.repeat(300))
  await ann.page.keyboard.press('Enter')
  await ann.page.getByRole('alert').getByText('Not saved').waitFor()
  await holds(ann.page, 'Doing', ['Do it well', 'Think hard'])
  await accessible(ann.page, 'the board')
  await accessible(bob.page, 'the dark board')
  await picture(ann.page, 'board')
})

test('undo takes one’s own last change back, for both', async () => {
  await ann.page.getByLabel('New card in Done').fill('A mistake')
  await ann.page.keyboard.press('Enter')
  await holds(bob.page, 'Done', ['A mistake'])
  await ann.page.getByRole('button', { name: 'Undo' }).click()
  await holds(bob.page, 'Done', [])
  assert.match(ann.errors.shift(), /409/) // the undo that was refused
  for (const { errors } of [ann, bob]) assert.deepEqual(errors, [])
})
