// What every test in the browser needs: Chromium, a server to look at, and a
// page that reports what no page may do.
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'

const root = path.resolve(import.meta.dirname, '../..')
const axeSource = readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

// Chromium asks its maker for this and that at every start; all of it is off.
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage', '--font-render-hinting=none']

export async function startBrowser() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: flags })
}

// startFake serves the console over the fake API. stop ends it.
export async function startFake() {
  const folder = await mkdtemp(path.join(tmpdir(), 'console-'))
  const program = path.join(folder, 'serve')
  await new Promise((resolve, reject) => {
    spawn('go', ['build', '-o', program, './console/servetest'], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
      .on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`go build ended with ${code}`))))
  })
  const child = spawn(program, [], { stdio: ['pipe', 'pipe', 'inherit'] })
  const origin = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve)
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)))
  })
  return {
    origin,
    change: (what) => fetch(`${origin}/fake`, { method: 'POST', body: JSON.stringify(what) }),
    stop: async () => {
      child.stdin.end()
      await new Promise((resolve) => child.once('exit', resolve))
      await rm(folder, { recursive: true })
    },
  }
}

// watch collects what a page must not do: speak on the console, breach its
// policy, or ask another origin for anything.
export function watch(page, origin) {
  const complaints = []
  page.on('console', (message) => complaints.push(`console ${message.type()}: ${message.text()}`))
  page.on('pageerror', (error) => complaints.push(`error: ${error.message}`))
  page.on('request', (request) => {
    if (!request.url().startsWith(origin + '/')) complaints.push(`asked ${request.url()}`)
  })
  return complaints
}

// violations runs axe in a world of its own, past the page's policy, and returns
// what it found in one line each: by all rules, or by those that are named.
export async function violations(page, ...rules) {
  const source = await axeSource
  const session = await page.context().newCDPSession(page)
  const { frameTree } = await session.send('Page.getFrameTree')
  const { executionContextId } = await session.send('Page.createIsolatedWorld', { frameId: frameTree.frame.id, worldName: 'axe' })
  const run = async (expression) => {
    const answer = await session.send('Runtime.evaluate', { expression, contextId: executionContextId, awaitPromise: true, returnByValue: true })
    if (answer.exceptionDetails) throw new Error(answer.exceptionDetails.exception?.description ?? answer.exceptionDetails.text)
    return answer.result.value
  }
  await run(source)
  const only = rules.length ? `, runOnly: ${JSON.stringify(rules)}` : ''
  const found = await run(`axe.run(document, { resultTypes: ['violations'], iframes: false${only} })
    .then((r) => r.violations.map((v) => v.id + ': ' + v.help + ' ' + v.nodes.slice(0, 3).map((n) => n.target.join(' ')).join(' | ')))`)
  await session.detach()
  return found
}

export async function signIn(page, origin, token, path = '/console/') {
  await page.goto(`${origin}/console/?next=${encodeURIComponent(path)}`)
  await page.getByLabel('API token').fill(token)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.waitForURL((url) => url.pathname + url.search === path)
}
