// What the pages do better with script, and do without it: filter while typing,
// select all, count what is selected, copy, print, know the viewer's zone.
const root = document.documentElement
root.classList.add('js')

// The zone in which the server writes times. It is known from the next page on.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone
if (zone && !document.cookie.includes('halo-zone=')) {
  document.cookie = `halo-zone=${encodeURIComponent(zone)}; path=/console/; max-age=31536000; samesite=lax${location.protocol === 'https:' ? '; secure' : ''}`
}
for (const field of document.querySelectorAll('[data-zone]')) field.value = zone ?? ''

// A summary of errors is read first.
document.querySelector('[data-focus]')?.focus()

// Filter while typing: the rows that are here at once, and where there are more
// than one page shows, the server's answer a moment later.
let asked = 0
function narrow(table, text) {
  const needle = text.trim().toLowerCase()
  for (const row of table.tBodies[0].rows) row.hidden = !row.textContent.toLowerCase().includes(needle)
  count()
}
function fetchRows(address) {
  const mine = ++asked
  const request = new XMLHttpRequest()
  request.responseType = 'document'
  request.open('GET', address)
  request.onload = () => {
    if (mine !== asked || request.status !== 200) return
    for (const old of document.querySelectorAll('[data-swap]')) {
      const fresh = request.response?.querySelector(`[data-swap="${old.dataset.swap}"]`)
      if (fresh) old.replaceWith(document.adoptNode(fresh))
    }
    count()
  }
  request.send()
}
for (const field of document.querySelectorAll('[data-filter]')) {
  let timer
  const began = field.value
  field.addEventListener('input', () => {
    const address = new URL(location.href)
    if (field.value.trim()) address.searchParams.set('q', field.value.trim())
    else address.searchParams.delete('q')
    for (const name of ['page', 'did', 'n', 'failed']) address.searchParams.delete(name)
    history.replaceState(null, '', address)
    const table = document.getElementById(field.dataset.filter)
    // Rows of before the page was loaded are not here: they are asked for.
    const all = !('more' in field.dataset) && began === ''
    if (table) narrow(table, field.value)
    clearTimeout(timer)
    if (!all || !table) timer = setTimeout(fetchRows, 150, address)
  })
}

// Selecting: a bar with the number, all at once, and a range with Shift.
function boxes() {
  return [...document.querySelectorAll('input[name=agent][type=checkbox]')].filter((box) => !box.closest('tr').hidden)
}
function count() {
  const shown = boxes()
  const n = shown.filter((box) => box.checked).length
  const all = document.querySelector('[data-all]')
  if (all) {
    all.checked = n > 0 && n === shown.length
    all.indeterminate = n > 0 && n < shown.length
  }
  const bar = document.querySelector('[data-count]')
  if (bar) bar.textContent = n === 1 ? '1 agent selected' : `${n} agents selected`
}
let last
document.addEventListener('click', (event) => {
  const box = event.target
  if (box.name === 'agent' && box.type === 'checkbox') {
    const shown = boxes()
    if (event.shiftKey && last) {
      const [from, to] = [shown.indexOf(last), shown.indexOf(box)].sort((a, b) => a - b)
      if (from >= 0) for (const between of shown.slice(from, to + 1)) between.checked = box.checked
    }
    last = box
  }
})
document.addEventListener('change', (event) => {
  if ('all' in event.target.dataset) for (const box of boxes()) box.checked = event.target.checked
  count()
})
// What is hidden by the filter is not meant by a button.
document.addEventListener('submit', (event) => {
  for (const row of event.target.querySelectorAll('tr[hidden] input')) row.disabled = true
})

document.addEventListener('click', async (event) => {
  const button = event.target.closest('[data-copy], [data-print]')
  if (!button) return
  if ('print' in button.dataset) return print()
  const words = button.textContent
  try {
    await navigator.clipboard.writeText(button.dataset.copy)
    button.textContent = 'Copied'
  } catch {
    button.textContent = 'Press Ctrl+C'
    getSelection().selectAllChildren(button.parentElement.querySelector('code'))
  }
  setTimeout(() => { button.textContent = words }, 2000)
})
count()
