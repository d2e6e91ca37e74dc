// What the script adds, and what must work without it.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { signIn, startBrowser, startFake, watch } from './browser.js'

let browser, fake

before(async () => { [browser, fake] = await Promise.all([startBrowser(), startFake()]) })
after(async () => {
  await browser?.close()
  await fake?.stop()
})

async function visit(path, token = 'hct_operator', options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, timezoneId: 'Europe/London', locale: 'en-GB', ...options })
  const page = await context.newPage()
  const complaints = watch(page, fake.origin)
  await signIn(page, fake.origin, token, path)
  return { page, complaints, context }
}

const rows = (page) => page.locator('#agents tbody tr:visible')

test('two thousand agents: the page is small, and the filter is at once', async () => {
  const { page, complaints, context } = await visit('/console/crowd/agents')
  const size = await page.evaluate(() => performance.getEntriesByType('navigation')[0].transferSize)
  assert.ok(size > 10_000 && size < 300_000, `${size} bytes`)
  assert.equal(await rows(page).count(), 200)
  const took = await page.evaluate(() => {
    const field = document.querySelector('[data-filter]')
    const times = ['a', 'am', 'ama', 'amar', 'amara'].map((text) => {
      field.value = text
      const begun = performance.now()
      field.dispatchEvent(new Event('input', { bubbles: true }))
      document.body.getBoundingClientRect() // what is seen is laid out
      return performance.now() - begun
    })
    return Math.max(...times)
  })
  assert.ok(took < 50, `the filter took ${took} ms`)
  console.log(`# ${size} bytes, the filter took at most ${took.toFixed(1)} ms`)
  // Those on other pages come a moment later, and the address says what is shown.
  await page.locator('[data-swap=tabs]').getByText('All 68').waitFor()
  assert.equal(await rows(page).count(), 68)
  assert.equal(new URL(page.url()).search, '?q=amara')
  await page.reload()
  assert.equal(await rows(page).count(), 68)
  assert.deepEqual(complaints, [])
  await context.close()
})

test('what is filtered can be unfiltered', async () => {
  const { page, context } = await visit('/console/northwind/agents?q=ben')
  const few = await rows(page).count()
  assert.ok(few > 1 && few < 20)
  await page.getByLabel('Search agents').fill('')
  await page.locator('[data-swap=tabs]').getByText('All 119').waitFor()
  assert.equal(await rows(page).count(), 119)
  await context.close()
})

test('selecting: the bar appears with the number, a range with Shift, and what is filtered away is left alone', async () => {
  const { page, context } = await visit('/console/northwind/agents')
  const bar = page.getByRole('group', { name: 'Selected agents' })
  assert.equal(await bar.isVisible(), false)
  await rows(page).nth(0).getByRole('checkbox').check()
  await bar.getByText('1 agent selected').waitFor()
  await rows(page).nth(4).getByRole('checkbox').click({ modifiers: ['Shift'] })
  await bar.getByText('5 agents selected').waitFor()
  await page.getByLabel('Select all that are shown').check()
  await bar.getByText('119 agents selected').waitFor()
  await page.getByLabel('Search agents').fill('ben')
  const few = await rows(page).count()
  await bar.getByText(`${few} agents selected`).waitFor()
  await bar.getByRole('button', { name: 'Map…' }).click()
  await page.getByRole('heading', { level: 1, name: `Map ${few} agents` }).waitFor()
  await context.close()
})

test('Enter in a box destroys nothing', async () => {
  const { page, context } = await visit('/console/northwind/agents')
  await rows(page).nth(2).getByRole('checkbox').focus()
  await page.keyboard.press('Space')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { level: 1, name: 'Map 1 agent' }).waitFor()
  await context.close()
})

test('errors are read first, and what was typed stays', async () => {
  const { page, context } = await visit('/console/fresh/connect')
  await page.getByLabel('Tenant URL').fill('acme.halopsa.com')
  await page.getByLabel('Client secret').fill('s3cret')
  await page.getByRole('button', { name: 'Connect' }).click()
  const summary = page.getByRole('alert')
  await summary.waitFor()
  assert.equal(await summary.evaluate((node) => node === document.activeElement), true)
  assert.equal(await page.getByLabel('Tenant URL').inputValue(), 'acme.halopsa.com')
  assert.equal(await page.getByLabel('Client secret').inputValue(), '')
  await summary.getByRole('link').first().click()
  assert.equal(await page.evaluate(() => document.activeElement.id), 'client_id')
  await context.close()
})

test('a connect under way shows its steps, survives a reload, and goes on by itself', async () => {
  const { page, complaints, context } = await visit('/console/fresh/connect')
  await fake.change({ hold: true })
  await page.getByLabel('Tenant URL').fill('acme.halopsa.com')
  await page.getByLabel('Client ID').fill('id')
  await page.getByLabel('Client secret').fill('right')
  await page.getByRole('button', { name: 'Connect' }).click()
  await page.getByRole('heading', { name: 'Connecting HaloPSA' }).waitFor()
  await page.reload()
  await page.getByText('Register the webhook').waitFor()
  await fake.change({ mend: true })
  await page.getByText('Connected. Halo reports ticket events from now on.').waitFor()
  assert.deepEqual(complaints, [])
  await context.close()
})

test('the zone is the viewer’s', async () => {
  const { page, context } = await visit('/console/northwind/timeline?user=u-1000', 'hct_operator', { timezoneId: 'Asia/Tokyo' })
  await page.getByText('Asia/Tokyo').first().waitFor()
  await context.close()
})

test('copying a scope', async () => {
  const { page, context } = await visit('/console/fresh/connect', 'hct_operator', { permissions: ['clipboard-read', 'clipboard-write'] })
  await page.getByRole('button', { name: 'Copy admin:webhooks' }).click()
  await page.getByText('Copied').waitFor()
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), 'admin:webhooks')
  await context.close()
})

test('nothing moves where motion is not wanted, and print shows the day only', async () => {
  const { page, context } = await visit('/console/northwind/timeline?user=u-1000', 'hct_operator', { reducedMotion: 'reduce' })
  assert.equal(await page.locator('.btn').first().evaluate((node) => getComputedStyle(node).transitionDuration), '0s')
  await page.emulateMedia({ media: 'print' })
  assert.equal(await page.getByRole('navigation').first().isVisible(), false)
  assert.equal(await page.getByRole('heading', { level: 1 }).isVisible(), true)
  assert.ok(await page.locator('.list li').count() > 20)
  await context.close()
})

test('another site cannot show the pages in a frame, nor send their forms', async () => {
  const { page, context } = await visit('/console/northwind/connection')
  const elsewhere = fake.origin.replace('127.0.0.1', 'localhost') // another site to the browser
  await page.route(elsewhere + '/evil', (route) => route.fulfill({
    contentType: 'text/html',
    body: `<iframe src="${fake.origin}/console/northwind/connection"></iframe><form method="post" action="${fake.origin}/console/northwind/connection"><input name="do" value="disconnect"><input name="sure" value="1"><button>Win</button></form>`,
  }))
  await page.goto(elsewhere + '/evil')
  assert.equal(await page.frames()[1].getByRole('heading').count(), 0)
  await page.getByRole('button', { name: 'Win' }).click()
  await page.waitForURL(fake.origin + '/**')
  assert.match(await page.getByRole('heading', { level: 1 }).textContent(), /sent from another site|Sign in/)
  await page.goto(fake.origin + '/console/northwind/connection')
  await page.getByText('Connected, with one thing to do').waitFor()
  await context.close()
})

test('a link from another site signs in', async () => {
  const context = await browser.newContext()
  const page = await context.newPage()
  await fake.change({ link: 'one', path: '/console/northwind/agents' })
  const elsewhere = fake.origin.replace('127.0.0.1', 'localhost')
  await page.route(elsewhere + '/settings', (route) => route.fulfill({ contentType: 'text/html', body: `<a href="${fake.origin}/console/link/one">Open</a>` }))
  await page.goto(elsewhere + '/settings')
  await page.getByRole('link', { name: 'Open' }).click()
  await page.waitForURL('**/console/northwind/agents')
  await page.getByRole('heading', { level: 1, name: /of 119 agents mapped/ }).waitFor()
  await page.goto(fake.origin + '/console/link/one')
  await page.getByRole('heading', { name: 'This link has been used or has ended' }).waitFor()
  await context.close()
})
