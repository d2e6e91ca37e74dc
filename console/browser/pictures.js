// Takes the five pictures of the README anew: npm run pictures.
import { execFileSync } from 'node:child_process'
import { mkdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { signIn, startBrowser, startFake } from './browser.js'

const folder = path.resolve(import.meta.dirname, '../../docs/console')
await mkdir(folder, { recursive: true })
const [browser, fake] = await Promise.all([startBrowser(), startFake()])
try {
  for (const [name, address, colorScheme] of [
    ['integration', '/console/northwind/connection', 'light'],
    ['mapping', '/console/northwind/agents?q=b', 'dark'],
    ['timeline', '/console/northwind/timeline?user=u-1000', 'light'],
    ['activity', '/console/northwind/activity', 'light'],
    ['missing', '/console/northwind/missing?ticket=1042', 'dark'],
  ]) {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, colorScheme, timezoneId: 'Europe/London', locale: 'en-GB' })
    await signIn(page, fake.origin, 'hct_admin', address)
    if (name === 'mapping') {
      for (const n of [1, 3]) await page.locator('[name=agent]').nth(n).check()
      await page.evaluate(() => scrollTo(0, 0))
    }
    const file = path.join(folder, `${name}.png`)
    await page.screenshot({ path: file })
    execFileSync('pngquant', ['--force', '--strip', '--output', file, '64', file])
    console.log(`${file}: ${(await stat(file)).size} bytes`)
    await page.close()
  }
} finally {
  await browser.close()
  await fake.stop()
}
