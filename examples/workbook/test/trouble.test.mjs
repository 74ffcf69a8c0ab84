/**
 * What goes wrong in real life: lines fail, tabs close, servers die, schemas
 * change (and tokens expire: `tokens.test.mjs`). Nothing that somebody wrote is lost in silence, nothing
 * happens twice, and in the end all see the same.
 */

import assert from 'node:assert/strict'
import { after, before, test as alone } from 'node:test'
import { accessible } from './accessible.mjs'
import { openWindow, picture, startBrowser, story } from './browser.mjs'
import { Server } from './server.mjs'
import { button, live, makeBook, offline, shows, type } from './workbook.mjs'

const test = story(alone)
let server, browser, address, ann, bob

before(async () => {
  server = await new Server().start()
  const book = await makeBook(server, 'Trouble', 12, (n) => ({ name: `row ${n}` }))
  address = `${server.url}/#${book}`
  browser = await startBrowser()
  ann = await openWindow(browser, address)
  await shows(ann.page, 0, 0, 'row 1')
  bob = await openWindow(browser, address)
  await shows(bob.page, 0, 0, 'row 1')
})

after(async () => {
  await browser?.close()
  await server?.stop()
})

test('offline one goes on working; back again, all is sent, and what others did comes', async () => {
  await ann.context.setOffline(true)
  await offline(ann.page)
  await type(ann.page, 0, 0, 'written offline')
  await ann.page.getByText('1 change is kept here').waitFor()
  await ann.page.getByRole('button', { name: /^Offline/ }).click()
  await ann.page.getByRole('region', { name: 'Changes on their way' }).getByText('Name of “written offline”').waitFor()
  await picture(ann.page, 'offline')
  await accessible(ann.page, 'offline')
  await type(bob.page, 1, 0, 'by Bob meanwhile')
  await live(bob.page)
  await ann.context.setOffline(false)
  await live(ann.page)
  await shows(ann.page, 1, 0, 'by Bob meanwhile')
  await shows(bob.page, 0, 0, 'written offline')
  await button(ann.page, 'Close').click()
})

test('a tab that closes in the middle of a job leaves it running, for the others to see', async () => {
  await button(ann.page, 'Import').click()
  await ann.page.getByLabel('Region').selectOption('Europe')
  await button(ann.page, 'Import airports').click()
  await bob.page.locator('.job.running').waitFor()
  await ann.page.close()
  await accessible(bob.page, 'a job that runs')
  await bob.page.locator('.job.succeeded').waitFor()
  assert.match(await bob.page.locator('.job .result').innerText(), /airports imported/)
  await bob.page.keyboard.press('Escape')
})

/** Waits until a page has written down what it could not send: that takes a moment longer than to show it. */
const writtenDown = (page, text) =>
  page.waitForFunction(async (text) => {
    const done = (request) => new Promise((resolve, reject) => Object.assign(request, { onsuccess: () => resolve(request.result), onerror: () => reject(request.error) }))
    const tabs = (await indexedDB.databases()).map(async ({ name }) => {
      const database = await done(indexedDB.open(name))
      const [store] = database.objectStoreNames
      const records = await done(database.transaction(store).objectStore(store).getAll(IDBKeyRange.bound('tab:', 'tab;')))
      database.close()
      return JSON.stringify(records.map((r) => r.pending)).includes(text)
    })
    return (await Promise.all(tabs)).includes(true)
  }, text, { polling: 100 })

test('a tab that closes before its change was sent sends it when the page is opened again', async () => {
  ann.page = await ann.context.newPage()
  await ann.page.goto(address)
  await live(ann.page)
  await ann.context.setOffline(true)
  await offline(ann.page)
  await type(ann.page, 2, 0, 'before the tab closed')
  await ann.page.getByText('1 change is kept here').waitFor()
  await writtenDown(ann.page, 'before the tab closed')
  await ann.page.close()
  await ann.context.setOffline(false)
  ann.page = await ann.context.newPage()
  // A browser that is busy ends a page late; what is a living tab's own is left to it.
  await ann.page.goto(`${server.url}/v1/schema`)
  await ann.page.waitForFunction(async () => (await navigator.locks.query()).held.length === 0, null, { polling: 100 })
  await ann.page.goto(address)
  await shows(bob.page, 2, 0, 'before the tab closed')
  await shows(ann.page, 2, 0, 'before the tab closed')
  assert.equal((await server.commitsWith('before the tab closed')).length, 1)
})

test('tabs of one browser share a connection, and go on when the leading tab closes', async () => {
  const second = await ann.context.newPage()
  let sockets = 0
  second.on('websocket', () => sockets++)
  await second.goto(address)
  await live(second)
  await shows(second, 0, 0, 'written offline')
  assert.equal(sockets, 0)
  const leads = second.waitForEvent('websocket')
  await ann.page.close()
  await leads
  ann.page = second
  await type(bob.page, 3, 0, 'after the leader left')
  await shows(second, 3, 0, 'after the leader left')
  await type(second, 4, 0, 'from the new leader')
  await shows(bob.page, 4, 0, 'from the new leader')
})

test('a server that is killed and comes back finds its clients again, and each change once', async () => {
  await server.kill()
  await offline(ann.page)
  await offline(bob.page)
  await type(ann.page, 5, 0, 'while the server was dead')
  await server.start()
  await live(ann.page)
  await live(bob.page)
  await shows(bob.page, 5, 0, 'while the server was dead')
  assert.equal((await server.commitsWith('while the server was dead')).length, 1)
  await type(bob.page, 6, 0, 'all is well')
  await shows(ann.page, 6, 0, 'all is well')
})

test('a tab from before a new schema is told, its edits are judged by the new one, and a reload mends it', async () => {
  const stricter = await server.ask('/v1/schema')
  stricter.types.Record.properties.values.additionalProperties.maxLength = 100
  await server.ask('/v1/schema', { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify(stricter) })
  await ann.page.getByText('was given a new schema').waitFor()
  await type(ann.page, 8, 0, 'an edit that the old schema allowed and the new one does not, '.repeat(2))
  await ann.page.getByRole('alert').getByText('was not saved').waitFor()
  await button(ann.page, 'Leave it as it is').click()
  await shows(ann.page, 8, 0, 'row 9')
  await type(ann.page, 8, 0, 'shorter')
  await shows(bob.page, 8, 0, 'shorter')
  await picture(ann.page, 'schema')
  await accessible(ann.page, 'a newer schema')
  await button(ann.page, 'Reload').click()
  await live(ann.page)
  await shows(ann.page, 8, 0, 'shorter')
  assert.equal(await ann.page.getByText('was given a new schema').count(), 0)
})
