/**
 * Makes the picture of the README: a light window on a workbook while an import
 * runs, and a dark one in which a row is talked about. `GRAPHTIDE_BIN=… node scripts/picture.mjs FILE`
 */

import { openWindow, startBrowser } from '../test/browser.mjs'
import { Server } from '../test/server.mjs'
import { button, cell, live } from '../test/workbook.mjs'

const file = process.argv[2] ?? 'workbook.png'
let browser, server
try {
  browser = await startBrowser()
  server = new Server()
  await server.start()
  const size = { viewport: { width: 1000, height: 690 } }
  const [ann, bob] = [await openWindow(browser, server.url, size), await openWindow(browser, server.url, { ...size, colorScheme: 'dark' })]
  for (const [{ page }, name] of [[ann, 'Ann'], [bob, 'Bob']]) {
    await live(page)
    await page.getByLabel('Your name').fill(name)
    await page.getByLabel('Your name').press('Enter')
  }
  await button(ann.page, 'Start empty').click()
  const title = ann.page.getByLabel('Name of the workbook')
  await title.fill('Airports')
  await title.press('Enter')
  await bob.page.getByRole('link', { name: 'Airports' }).click()
  await button(ann.page, 'Import').click()
  await button(ann.page, 'Import airports').click()
  await cell(bob.page, 4, 0).waitFor()
  for (const { page } of [bob, ann]) {
    await cell(page, 3, 0).click()
    await page.keyboard.press('Shift+Enter')
    await page.getByLabel('Your comment').fill(page === bob.page ? 'Is the code of this one right?' : 'Yes, it is: I looked it up.')
    await page.keyboard.press('Enter')
    await page.getByText('Is the code of this one right?').waitFor()
  }
  await bob.page.getByText('I looked it up').waitFor()
  await bob.page.getByText('Read by Ann').waitFor()
  await cell(bob.page, 6, 0).click()
  await button(ann.page, 'Import').click()
  await ann.page.waitForFunction(() => Number(document.querySelector('.job [role=progressbar]')?.getAttribute('aria-valuenow')) > 30)
  const [light, dark] = await Promise.all([ann.page.screenshot(), bob.page.screenshot()])
  const side = await browser.newPage({ viewport: { width: 1440, height: 740 } })
  const src = (png) => `data:image/png;base64,${png.toString('base64')}`
  await side.setContent(`<style>
    body { margin: 0; background: #dfe7e4; height: 740px; position: relative; overflow: hidden }
    img { position: absolute; border-radius: 10px; box-shadow: 0 12px 40px #0006; width: 920px }
  </style><img src="${src(light)}" style="left:36px;top:28px"><img src="${src(dark)}" style="left:484px;top:76px">`)
  await side.screenshot({ path: file })
} finally {
  await browser?.close()
  await server?.stop()
}
