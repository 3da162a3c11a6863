/**
 * Jobs of meta_step.py in node: one in JSON on standard input, its answer on standard output. The
 * figure's text comes with the job; it is run as a classic script, as in a worker of the page.
 */
import { readFileSync } from "node:fs";

/** What the figure trains with, on a page that has `wasm` or, for undefined, has none. */
function figure(source, wasm) {
  const script = source.replace(/^export (default .*)?/gm, "");
  const names = "{ metaStep, newRun, sampleBatch, sampleTask, fitOf, ...maths_js }";
  return new Function("WebAssembly", `${script}\nreturn ${names};`)(wasm);
}

function median(values) {
  return values.sort((a, b) => a - b)[values.length >> 1];
}

/** What this process has computed so far, in milliseconds: what others do here does not count. */
function busy() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** One outer step after the other, on new tasks; `next` answers the milliseconds that one took. */
function stepper({ metaStep, newRun, sampleBatch, uniforms }, settings, seed) {
  let run = newRun(seed);
  const stream = uniforms(seed + 1000);
  const next = () => {
    const began = busy();
    run = metaStep(run, sampleBatch(stream), settings).run;
    return busy() - began;
  };
  return { next, run: () => run };
}

/** Median milliseconds of a step, compiled and in JavaScript, in turn. */
function speed({ source, settings, nRounds }) {
  const pages = { compiled: figure(source, WebAssembly), plain: figure(source, undefined) };
  const steppers = Object.entries(pages).map(([name, page]) => [name, stepper(page, settings, 0), []]);
  for (let k = -20; k < nRounds; k++) {
    for (const [, { next }, times] of steppers) {
      const time = next();
      if (k >= 0) times.push(time); // the first ones are not compiled for speed yet
    }
  }
  return Object.fromEntries(steppers.map(([name, , times]) => [name, median(times)]));
}

/** Trains for so many seconds by the clock; answers the steps, and the MSE before and after one inner step. */
function train({ source, settings, seed, seconds, nTasks }) {
  const page = figure(source, WebAssembly);
  const { next, run } = stepper(page, settings, seed);
  const end = performance.now() + 1000 * seconds;
  while (performance.now() < end) next();
  const stream = page.uniforms(3_000_000);
  const mseOf = (task) => page.fitOf(run().theta, settings, task).mses;
  const mses = Array.from({ length: nTasks }, () => mseOf(page.sampleTask(stream)));
  const mean = (k) => mses.reduce((sum, each) => sum + each[k], 0) / nTasks;
  return { nSteps: run().nSteps, before: mean(0), after: mean(1) };
}

const { job, ...given } = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify({ speed, train }[job](given)));
