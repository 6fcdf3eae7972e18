/** A VMFile from code. Run it after a build: node examples/library/vmfile.ts [VMFILE] */
import {converge, discover, frame, isVmctlError, openEngine, parse, parseVmfile, planAll, resolve} from 'vmctl'

const engine = await openEngine()

// #region read
const path = discover(process.argv[2], process.cwd())
const vmfile = await parse(engine, path)
for (const vm of vmfile.vms) process.stdout.write(`${vm.name}: ${vm.vcpus} CPUs, ${vm.memoryMiB} MB\n`)
// #endregion

// #region plan
for (const {vm, steps} of await planAll(engine, {vmfile, verb: 'up', provision: true})) {
  for (const {action, cause} of steps) process.stdout.write(`${vm}  ${action}  ${cause}\n`)
}
// #endregion

// #region resolve
for (const spec of vmfile.vms) {
  const {image, steps} = await resolve(engine, spec)
  process.stdout.write(`${spec.name}: ${image.path}, ${steps.length} provision steps\n`)
}
// #endregion

// #region up
const results = await converge(engine, {vmfile, verb: 'up', provision: true})
for (const {name, state} of results) process.stdout.write(`${name} is ${state}\n`)
await converge(engine, {vmfile, verb: 'down', provision: false, destroy: true})
// #endregion

// #region problems
const text = 'vm "web" {\n    vcpus 0\n}\n'
try {
  await parseVmfile(text, {path: '/project/VMFile.kdl', directory: '/project'})
} catch (error) {
  if (!isVmctlError(error)) throw error
  for (const problem of error.problems) process.stdout.write(`${problem.message}\n${frame(text, problem)}\n`)
}
// #endregion
