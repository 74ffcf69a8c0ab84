/**
 * Makes the picture of the README: a light and a dark window on one workbook,
 * while an import runs. `GRAPHTIDE_BIN=… node scripts/picture.mjs FILE`
 */

import { openWindow, startBrowser } from '../test/browser.mjs'
import { Server } from '../test/server.mjs'

const file = process.argv[2] ?? 'workbook.png'
const server = await new Server().start()
const browser = await startBrowser()
try {
  const size = { viewport: { width: 940, height: 620 } }
  const ann = await openWindow(browser, server.url, size)
  const bob = await openWindow(browser, server.url, { ...size, colorScheme: 'dark' })
  await ann.page.getByText('Live', { exact: true }).waitFor()
  await ann.page.getByRole('button', { name: 'Start empty' }).click()
  const title = ann.page.getByLabel('Name of the workbook')
  await title.fill('Airports')
  await title.press('Enter')
  await bob.page.getByRole('link', { name: 'Airports' }).click()
  await ann.page.getByRole('button', { name: 'Import', exact: true }).click()
  await ann.page.getByRole('button', { name: 'Import airports' }).click()
  await ann.page.waitForFunction(() => Number(document.querySelector('.job .progress')?.getAttribute('aria-valuenow')) > 40)
  const [light, dark] = await Promise.all([ann.page.screenshot(), bob.page.screenshot()])
  const side = await browser.newPage({ viewport: { width: 1440, height: 700 } })
  const src = (png) => `data:image/png;base64,${png.toString('base64')}`
  await side.setContent(`<style>
    body { margin: 0; background: #dfe7e4; height: 700px; position: relative; overflow: hidden }
    img { position: absolute; border-radius: 10px; box-shadow: 0 12px 40px #0006; width: 900px }
  </style><img src="${src(light)}" style="left:36px;top:28px"><img src="${src(dark)}" style="left:504px;top:84px">`)
  await side.screenshot({ path: file })
} finally {
  await browser.close()
  await server.stop()
}
