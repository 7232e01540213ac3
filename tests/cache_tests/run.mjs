// Runs the public suite through a cache and compares with what passed before.
//   node run.mjs SUITE BASE EXPECTED [--update]     prints the report; fails when a test in EXPECTED did not pass
//   node run.mjs SUITE BASE --only ID…              prints the results of these tests as JSON
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'

const KINDS = ['required', 'optimal', 'informational']
const [suite, base, expected, ...rest] = process.argv.slice(2)

const load = path => import(pathToFileURL(`${suite}/${path}`))
const { runTests, getResults } = await load('client/runner.mjs')
const fetch = createRequire(pathToFileURL(`${suite}/package.json`))('node-fetch')

// As the suite's own command does: the index, and the groups that stand beside it.
const groups = [...(await load('tests/index.mjs')).default]
for (const file of readdirSync(`${suite}/tests`).filter(name => name.endsWith('.mjs')).sort()) {
  const group = (await load(`tests/${file}`)).default
  if (group?.id && group.tests && !groups.some(known => known.id === group.id)) groups.push(group)
}
const tests = new Map()
for (const group of groups) {
  for (const test of group.tests) {
    if (!test.browser_only) tests.set(test.id, test)
  }
}

if (expected === '--only') {
  const only = groups.map(group => ({ ...group, tests: group.tests.filter(test => rest.includes(test.id)) }))
  await runTests(only, fetch, false, base)
  console.log(JSON.stringify(getResults()))
  process.exit()
}

await runTests(groups, fetch, false, base)
const results = getResults()
const before = existsSync(expected) ? readFileSync(expected, 'utf8').split('\n').filter(line => line && line[0] !== '#') : []

// The tests measure with real seconds, which a busy machine can spoil: what seems lost is tried once more, alone.
const lost = () => before.filter(id => tests.has(id) && results[id] !== true)
if (lost().length > 0) {
  const again = spawnSync(process.execPath, [fileURLToPath(import.meta.url), suite, base, '--only', ...lost()], { encoding: 'utf8' })
  Object.assign(results, JSON.parse(again.stdout.trim().split('\n').pop()))
}

// A test that passes only because what it builds on does not work at all says nothing.
function dependencyOf (test) {
  return (test.depends_on ?? []).find(id => results[id] !== true || dependencyOf(tests.get(id)))
}
function outcome (test) {
  const dependency = dependencyOf(test)
  if (results[test.id] === true) return dependency ? `depends on ${dependency}` : undefined
  const [name, message] = results[test.id] ?? ['Missing', 'no result']
  return name === 'Assertion' ? message : `${name}: ${message}`
}
const kindOf = test => ({ required: 'required', optimal: 'optimal', check: 'informational' })[test.kind ?? 'required']

const counts = Object.fromEntries(KINDS.map(kind => [kind, { passed: 0, total: 0 }]))
const failed = []
for (const test of tests.values()) {
  const why = outcome(test)
  const count = counts[kindOf(test)]
  count.total += 1
  if (why === undefined) count.passed += 1
  else failed.push([kindOf(test), test.id, why])
}
for (const kind of KINDS) {
  for (const [, id, why] of failed.filter(each => each[0] === kind)) console.log(`  not passed  ${kind.padEnd(13)}  ${id}: ${why}`)
}
for (const kind of KINDS) console.log(`  ${kind.padEnd(13)}  ${counts[kind].passed} of ${counts[kind].total}`)

const passed = [...tests.keys()].filter(id => results[id] === true)
if (rest.includes('--update')) {
  writeFileSync(expected, passed.map(id => `${id}\n`).join(''))
} else {
  const gained = passed.filter(id => !before.includes(id))
  if (gained.length > 0) console.log(`  passed for the first time (--update keeps them): ${gained.join(' ')}`)
  if (lost().length > 0) {
    console.log(`  passed before and not now: ${lost().join(' ')}`)
    process.exitCode = 1
  }
}
