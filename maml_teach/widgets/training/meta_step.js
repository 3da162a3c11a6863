/**
 * One outer step by WebAssembly, which meta_step.c has been compiled to: many times as fast as the
 * same mathematics in JavaScript. It is compiled where it is first used, which is in a worker.
 */
import { bytes } from "./meta_step_bytes.js";

const SETS = [["xSupport", "ySupport"], ["xQuery", "yQuery"]];
const MOMENTS = ["theta", "m", "v"];

/** What the module offers; null where there is no WebAssembly, or one without vectors. */
function compile() {
  const code = Uint8Array.from(atob(bytes), (sign) => sign.charCodeAt(0));
  try {
    return /** @type {any} */ (new WebAssembly.Instance(new WebAssembly.Module(code)).exports);
  } catch {
    return null;
  }
}

let compiled = /** @type {any} */ (undefined);
const core = () => (compiled === undefined ? (compiled = compile()) : compiled);

/** Whether these tasks can be computed so: all support sets of one size, all query sets of one. */
export function isCompiled(tasks) {
  const sizes = ({ xSupport, xQuery }) => `${xSupport.length} ${xQuery.length}`;
  return core() !== null && new Set(tasks.map(sizes)).size === 1;
}

/** Puts the points of all tasks where the module looks for them, each x with the 1 for the bias. */
function place(tasks, nInnerSteps) {
  const { xSupport, xQuery } = tasks[0];
  let at = core().place(tasks.length, xSupport.length, xQuery.length, nInnerSteps) / 8;
  const floats = new Float64Array(core().memory.buffer);
  for (const [x, y] of SETS) {
    for (const task of tasks) {
      for (const value of task[x]) {
        floats[at++] = value;
        floats[at++] = 1;
      }
    }
    for (const task of tasks) for (const value of task[y]) floats[at++] = value;
  }
  return floats;
}

/**
 * The meta-loss before an outer step, and the run after it.
 * @param {Record<string, any>} settings
 */
export function compiledStep(run, tasks, settings) {
  const { algorithm, alpha, beta, n_inner_steps: nInnerSteps } = settings;
  const floats = place(tasks, nInnerSteps);
  const start = (name) => core()[name].value / 8;
  for (const name of MOMENTS) floats.set(run[name], start(name));
  const nSteps = run.nSteps + 1;
  const metaLoss = core()[algorithm.toLowerCase()](alpha);
  core().adam(beta, 1 - 0.9 ** nSteps, 1 - 0.999 ** nSteps);
  const part = (name) => floats.slice(start(name), start(name) + run[name].length);
  const [theta, m, v] = MOMENTS.map(part);
  return { metaLoss, next: { theta, m, v, nSteps } };
}
