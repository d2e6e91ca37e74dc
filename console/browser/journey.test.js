// The way of a customer's administrator through the whole product, on bin/local
// and a simulated HaloPSA: a link, connect, map, see what was delivered, lose the
// webhook, find out, reconnect, erase. By mouse, by keyboard alone, and with
// script off.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { startBrowser, violations, watch } from './browser.js'

const root = path.resolve(import.meta.dirname, '../..')
const offset = Number(process.env.PORT_OFFSET ?? 8000)
const origin = `http://127.0.0.1:${8081 + offset}`
let browser, folder, local, token

async function until(what, ask, patience = 60_000) {
  for (const begun = Date.now(); ;) {
    const answer = await ask().catch(() => undefined)
    if (answer) return answer
    if (Date.now() - begun > patience) throw new Error(`waited in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

async function api(method, route, body) {
  const answer = await fetch(origin + '/v1/tenants/' + route, {
    method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: body && JSON.stringify(body),
  })
  const text = await answer.text()
  assert.ok(answer.ok, `${method} ${route}: ${answer.status} ${text}`)
  return text ? JSON.parse(text) : undefined
}

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'console-journey-'))
  await new Promise((resolve, reject) => {
    spawn('go', ['build', '-o', path.join(folder, 'desk'), './console/desktest'], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
      .on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`go build ended with ${code}`))))
  })
  local = spawn(path.join(root, 'bin/local'), [], {
    stdio: ['ignore', 'ignore', process.env.CONSOLE_LOG ? 'inherit' : 'ignore'],
    env: { ...process.env, DATA_DIR: path.join(folder, 'data'), PORT_OFFSET: String(offset), HALO_ALLOW_NETS: '127.0.0.1/32', HEALTH_INTERVAL: '2s', SIMULATE: '0', LOG_LEVEL: 'warn' },
  })
  const died = new Promise((_, reject) => local.once('exit', (code) => reject(new Error(`bin/local ended with ${code}`))))
  died.catch(() => {})
  browser = await startBrowser()
  token = await Promise.race([died, until('the API', async () => {
    const text = (await readFile(path.join(folder, 'data/api-token'), 'utf8')).split('\n')[0]
    const answer = await fetch(origin + '/v1/tenants', { headers: { authorization: `Bearer ${text}` } })
    return answer.ok && text
  })])
})
after(async () => {
  await browser?.close()
  if (local?.exitCode === null) {
    const ended = new Promise((resolve) => local.once('exit', resolve))
    local.kill('SIGTERM')
    await ended
  }
  await rm(folder, { recursive: true, force: true })
})

// startDesk is the simulated HaloPSA of one tenant.
async function startDesk() {
  const child = spawn(path.join(folder, 'desk'), [], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async () => JSON.parse((await lines.next()).value)
  const desk = await next()
  return { ...desk, do: (line) => { child.stdin.write(line + '\n'); return next() }, stop: () => child.stdin.end() }
}

// The ways to use a page. Each finds a thing by its role and name, as a person
// does.
const mouse = (page) => ({
  press: (thing) => thing.click(),
  type: (field, text) => field.fill(text),
  tick: (box) => box.check(),
})
const keyboard = (page) => {
  // reach moves the focus with Tab alone until it is on the thing.
  const reach = async (thing) => {
    const handle = await thing.elementHandle()
    for (let n = 0; n < 600; n++) {
      if (await handle.evaluate((node) => node === document.activeElement)) return
      await page.keyboard.press('Tab')
    }
    throw new Error(`the keyboard does not reach ${thing}`)
  }
  return {
    press: async (thing) => { await reach(thing); await page.keyboard.press('Enter') },
    type: async (field, text) => { await reach(field); await page.keyboard.press('Control+A'); await page.keyboard.type(text) },
    tick: async (box) => { await reach(box); await page.keyboard.press('Space') },
  }
}

for (const [way, use, options] of [['mouse', mouse, {}], ['keyboard', keyboard, {}], ['no-script', mouse, { javaScriptEnabled: false }]]) {
  test(`the journey: ${way}`, { timeout: 180_000 }, async () => {
    const tenant = `journey-${way}`
    const desk = await startDesk()
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, timezoneId: 'Europe/London', locale: 'en-GB', ...options })
    const page = await context.newPage()
    const complaints = watch(page, origin)
    const { press, type, tick } = use(page)
    const button = (name) => page.getByRole('button', { name, exact: true }).first()
    const link = (name) => page.getByRole('link', { name, exact: true }).first()
    const heading = (name) => page.getByRole('heading', { name }).first().waitFor()
    const open = async (name) => { await press(page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name })); }
    try {
      // A link, as WorkSights' settings page makes one.
      await api('PUT', `${tenant}/users`, desk.users)
      const { url } = await api('POST', `${tenant}/console-link`, { path: `/console/${tenant}/connection` })
      await page.goto(url)
      await heading('HaloPSA is not connected')

      // Connect: first with a secret that is wrong.
      await press(link('Connect HaloPSA'))
      for (const [secret, then] of [['not this one', /There is a problem/], [desk.client_secret, /Connected, /]]) {
        await type(page.getByLabel('Tenant URL'), desk.url)
        await type(page.getByLabel('Client ID'), desk.client_id)
        await type(page.getByLabel('Client secret'), secret)
        await press(button('Connect'))
        await page.getByRole('heading', { name: then }).first().waitFor({ timeout: 60_000 })
      }

      // Map 40 of 60: ten are matched, twenty-nine or thirty are suggested, one
      // is mapped by hand, ten are ignored in bulk.
      await open('User mapping')
      await heading('10 of 60 agents mapped')
      await press(page.getByRole('button', { name: /^Accept \d+ sure suggestions$/ }))
      await heading('40 of 60 agents mapped')
      await press(link('Trainee 1'))
      await type(page.getByLabel('E-mail or user id'), 'amara.nwosu@worksights.example')
      await press(button('Map'))
      await page.getByText('Mapped. Tickets appear from now on.').waitFor()
      await open('User mapping')
      await type(page.getByLabel('Search agents'), 'queue')
      await press(button('Search'))
      const boxes = page.getByRole('checkbox', { name: /^Select Queue/ })
      await boxes.first().waitFor()
      await until('the ten queues', async () => (await boxes.count()) === 10)
      for (let n = 0; n < 10; n++) await tick(boxes.nth(n))
      await press(button('Ignore'))
      await page.getByText('10 agents ignored.').waitFor()
      await open('User mapping')
      await heading('41 of 60 agents mapped')
      if (options.javaScriptEnabled !== false) assert.deepEqual(await violations(page), [])

      // What Halo delivers from now on is on the timeline.
      const delivered = await desk.do('agent 42') // Trainee 1
      assert.deepEqual(delivered.status, [200, 200])
      await until('the timeline', async () => {
        await page.goto(`${origin}/console/${tenant}/timeline?user=u-40`)
        return page.getByText(`#${delivered.ticket}`).first().isVisible()
      })
      await open('Activity')
      await heading('By day and kind')
      await open('Missing something?')
      await type(page.getByLabel('Ticket number'), String(delivered.ticket))
      await press(button('Look up'))
      await page.getByText('On the timeline').first().waitFor()

      // Somebody switches the webhook off in Halo.
      assert.deepEqual(await desk.do('off'), { off: 1 })
      await until('the problem', async () => {
        await page.goto(`${origin}/console/${tenant}/connection`)
        return page.getByText(/is switched off in Halo/).first().isVisible()
      })
      await press(page.locator('.problem').getByRole('button', { name: 'Reconnect' }))
      await until('the connection', async () => {
        await page.goto(`${origin}/console/${tenant}/connection`)
        return !(await page.getByText(/is switched off in Halo/).first().isVisible())
      })
      const again = await desk.do('agent 42')
      assert.deepEqual(again.status, [200, 200])

      // A person who is erased is gone.
      await api('POST', `${tenant}/erasures`, { user_id: 'u-40' })
      await until('the erasure', async () => {
        await page.goto(`${origin}/console/${tenant}/timeline?user=u-40`)
        return page.getByText(/Nothing happened/).first().isVisible()
      })
      await open('Changes')
      await page.getByText('Mapped Trainee 1').first().waitFor()
      await press(button('Sign out'))
      await page.getByText('You are signed out.').waitFor()
      assert.deepEqual(complaints.filter((line) => !/status of (410|503)/.test(line)), [])
    } finally {
      await context.close()
      desk.stop()
    }
  })
}
