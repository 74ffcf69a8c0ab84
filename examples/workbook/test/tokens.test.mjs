/**
 * Tokens that end while a page is open. How long one has to live for that, depends
 * on the machine: a page must have been opened with it. So each is tried with tokens
 * that live longer and longer, until one was alive when it was needed.
 */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { accessible } from './accessible.mjs'
import { openWindow, picture, startBrowser } from './browser.mjs'
import { Server, token } from './server.mjs'
import { until } from './until.mjs'
import { button, live, makeBook, type } from './workbook.mjs'

let server, browser

before(async () => {
  server = await new Server().start()
  await makeBook(server, 'Tokens', 3, (n) => ({ name: `row ${n}` }))
  browser = await startBrowser()
})

after(async () => {
  await browser?.close()
  await server?.stop()
})

/** @param {(seconds: number) => Promise<boolean>} attempt whether a token that lives so long was alive when it was needed */
async function longEnough(attempt) {
  for (let seconds = 4; seconds <= 64; seconds *= 2) if (await attempt(seconds)) return
  assert.fail('no token lived for long enough')
}

// They wait more than they work: for the end of a token each.
describe('a token', { concurrency: true }, () => {
  test('is renewed before it expires, and the session goes on', () =>
    longEnough(async (seconds) => {
      const { page, context } = await openWindow(browser, 'about:blank')
      let opened = false
      let expires = 0 // when the short one does
      let renewed = 0 // when it was
      await context.route('**/login/token', (route) => {
        if (opened) renewed ||= Date.now()
        else expires = Date.now() + 1_000 * seconds
        return route.fulfill({ body: token('cat', opened ? 3600 : seconds) })
      })
      await page.goto(`${server.url}/#tokens=/login/token`)
      await live(page)
      await page.evaluate(() => {
        window.wasOffline = false
        const look = () => (window.wasOffline ||= !!document.querySelector('.status.off'))
        new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true })
      })
      opened = true
      await until(async () => renewed > 0 && Date.now() > expires + 1_000, async () => 'no other token was asked for')
      await page.getByRole('link', { name: 'Tokens' }).click()
      const text = `with another token than one of ${seconds} s`
      await type(page, 0, 0, text)
      await until(async () => (await server.commitsWith(text)).length === 1, async () => `not saved: ${text}`)
      const wasOffline = await page.evaluate(() => window.wasOffline)
      await context.close()
      return renewed < expires && !wasOffline
    }))

  test('that expires and is not renewed ends the session, which says so', () =>
    longEnough(async (seconds) => {
      const { page, context } = await openWindow(browser, server.url) // what it needs is in the cache
      await live(page)
      await page.goto('about:blank')
      await page.goto(`${server.url}/#token=${token('dan', seconds)}`)
      const over = page.getByText('your token has expired or is not valid')
      const opened = await Promise.race([live(page).then(() => true), over.or(page.getByText('Cannot connect')).first().waitFor().then(() => false)])
      if (opened) {
        await over.waitFor()
        await button(page, 'Connect again').waitFor()
        await picture(page, 'expired')
        await accessible(page, 'a session that has ended')
      }
      await context.close()
      return opened
    }))
})
