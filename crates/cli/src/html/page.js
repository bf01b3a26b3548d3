
'use strict'
{
  const WAIT_MS = 120, LINE_PX = 19
  const find = id => document.getElementById(id)
  const form = find('filters')
  const blocks = [...document.querySelectorAll('#lines > div')].map(element => ({ element, rows: [...element.querySelectorAll('p[id]')] }))
  const total = blocks.reduce((sum, block) => sum + block.rows.length, 0)
  let texts = null // of all lines, in lower case; made when somebody looks for one

  const value = id => find(id)?.value ?? ''
  const textOf = row => row.lastElementChild.textContent.toLowerCase()

  /** Whether a line passes, by its place and its row. */
  function filter() {
    const text = value('text').toLowerCase(), run = value('run'), stream = value('stream'), level = value('level')
    if (text) texts ??= blocks.flatMap(block => block.rows.map(textOf))
    return (at, row) => {
      const { r, k } = row.dataset
      return (!run || r === run) && (!stream || k[0] === stream) && (!level || k[1] >= level) && (!text || texts[at].includes(text))
    }
  }

  function apply() {
    const passes = filter()
    let at = 0, shown = 0
    for (const { element, rows } of blocks) {
      let here = 0
      for (const row of rows) {
        const hide = !passes(at++, row)
        if (row.hidden !== hide) row.hidden = hide
        if (!hide) here++
      }
      element.hidden = here === 0
      if (here < rows.length) element.style.containIntrinsicSize = `auto ${here * LINE_PX}px`
      else element.style.containIntrinsicSize = ''
      shown += here
    }
    const words = number => number.toLocaleString('en')
    find('count').textContent = shown === total ? `${words(total)} lines` : `${words(shown)} of ${words(total)} lines`
  }

  /** A link to a line that is filtered out ends the filtering. */
  function jump() {
    const row = find(location.hash.slice(1))
    if (!row?.hidden) return
    form.reset()
    apply()
    row.scrollIntoView({ block: 'center' })
  }

  if (form) {
    let timer
    form.hidden = false
    form.addEventListener('submit', event => event.preventDefault())
    form.addEventListener('input', () => {
      clearTimeout(timer)
      timer = setTimeout(apply, WAIT_MS)
    })
    addEventListener('hashchange', jump)
    addEventListener('pageshow', apply) // a browser that goes back fills the form in again
  }
}
