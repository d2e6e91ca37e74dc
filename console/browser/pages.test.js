// Every page in every state, light and dark, on a telephone and on a desk: axe
// finds nothing, nothing is wider than the window, nothing is asked of another
// origin, nothing is said on the console. Each leaves a picture in screenshots/.
import assert from 'node:assert/strict'
import { mkdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { signIn, startBrowser, startFake, violations, watch } from './browser.js'
import { pages } from './pages.js'

const pictures = path.join(import.meta.dirname, 'screenshots')
let browser, fake

before(async () => {
  await rm(pictures, { recursive: true, force: true })
  await mkdir(pictures, { recursive: true })
  ;[browser, fake] = await Promise.all([startBrowser(), startFake()])
})
after(async () => {
  await browser?.close()
  await fake?.stop()
})

// failing pages change the fake for everybody, so those come last, one by one.
const calm = pages.filter(([, , state]) => !state?.fail)
const failing = pages.filter(([, , state]) => state?.fail)

async function visitor(width) {
  const context = await browser.newContext({ viewport: { width, height: 800 }, reducedMotion: 'reduce', timezoneId: 'Europe/London', locale: 'en-GB' })
  const page = await context.newPage()
  return { context, page, complaints: watch(page, fake.origin) }
}

// look sees one page in both schemes. What depends on the scheme is contrast;
// all other rules are asked once.
async function look(page, complaints, [name, address, state = {}]) {
  const width = page.viewportSize().width
  complaints.length = 0
  await page.goto(fake.origin + address)
  if (state.wrong) {
    await page.getByLabel('API token').fill('hct_nobody')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('alert').waitFor()
  }
  const [wide, tall] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight])
  assert.ok(wide <= width, `${name}: ${wide} pixels wide, of ${width}`)
  for (const [colorScheme, rules] of [['light', []], ['dark', ['color-contrast']]]) {
    await page.emulateMedia({ colorScheme })
    assert.deepEqual(await violations(page, ...rules), [], `axe on ${name}, ${width}, ${colorScheme}`)
    await page.screenshot({ path: path.join(pictures, `${name}-${width}-${colorScheme}.png`), fullPage: true, clip: { x: 0, y: 0, width, height: Math.min(tall, 2400) } })
  }
  // A page that says that something failed does so by its status as well, and
  // Chromium reports that status: it is the one thing that it may say.
  const said = complaints.filter((line) => !/^console error: Failed to load resource: the server responded with a status of (401|404|410|503)/.test(line))
  assert.deepEqual(said, [], `${name}, ${width}`)
}

test('axe, the console and other origins are seen', async () => {
  const page = await browser.newPage()
  const complaints = watch(page, fake.origin)
  await page.route('**/*', (route) => route.fulfill({
    contentType: 'text/html', headers: { 'content-security-policy': "default-src 'none'" },
    body: '<html><img src="http://elsewhere.example/x.png"><input><script>alert(1)</script>',
  }))
  await page.goto(fake.origin + '/')
  assert.ok((await violations(page)).some((line) => line.startsWith('image-alt')), 'axe finds nothing: this proves nothing')
  assert.ok(complaints.some((line) => line.includes('Content Security Policy')), 'a breach of the policy is not seen: this proves nothing')
  await page.close()
})

describe('pages, light and dark', { concurrency: 2 }, () => {
  for (const width of [320, 1280]) {
    test(`at ${width} pixels`, async () => {
      for (const signed of [true, false]) {
        const { context, page, complaints } = await visitor(width)
        if (signed) await signIn(page, fake.origin, 'hct_operator')
        for (const entry of calm.filter(([, , state]) => signed !== !!state?.signedOut)) await look(page, complaints, entry)
        await context.close()
      }
    })
  }
})

describe('pages of which a part fails', () => {
  for (const width of [320, 1280]) {
    test(`at ${width} pixels`, async () => {
      const { context, page, complaints } = await visitor(width)
      await signIn(page, fake.origin, 'hct_operator')
      for (const entry of failing) {
        for (const fail of entry[2].fail) await fake.change({ fail, how: entry[2].how })
        try {
          await look(page, complaints, entry)
        } finally {
          await fake.change({ mend: true })
        }
      }
      await context.close()
    })
  }
})
