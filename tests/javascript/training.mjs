import * as training from "../../maml_teach/widgets/training/training.js";
import { isCompiled } from "../../maml_teach/widgets/training/meta_step.js";
import { uniforms } from "../../maml_teach/widgets/shared/maths.js";
import { answer, floats, plain, stream, task, tasks } from "./harness.mjs";

function curveOf(losses) {
  const curve = training.newCurve();
  training.addLosses(curve, losses);
  return curve;
}

/** A task from given uniforms, its curve at some x, and how many uniforms it left. */
function sampledTask(numbers, x) {
  const { curve, ...points } = training.sampleTask(stream(numbers));
  return { ...points, curve: x.map(curve), left: numbers.length };
}

const withCurve = ({ amplitude, phase, ...points }) => ({
  ...task(points),
  curve: (x) => amplitude * Math.sin(x - phase),
});

/** Outer steps one after the other, on a batch each. */
function metaSteps(run, batches, settings) {
  return batches.map((batch) => {
    const done = training.metaStep(run, tasks(batch), settings);
    run = done.run;
    return done;
  });
}

/** From here on this process is a page without WebAssembly. */
const withoutWebAssembly = () => delete globalThis.WebAssembly;

/** What a worker reports that is told these commands one after the other. */
function served(commands, serve = training.serve) {
  const reports = [];
  const scope = { postMessage: (report) => reports.push(report) };
  serve(scope);
  for (const data of commands) scope.onmessage({ data });
  return reports;
}

/** The same of a worker made from the text that a page gets, and how often it compiled something. */
function servedByThePage(source, commands) {
  let count = 0;
  const Module = function (bytes) {
    count++;
    return new WebAssembly.Module(bytes);
  };
  const program = new Function("WebAssembly", `${training.asScript(source)}\nreturn serve;`);
  const serve = program({ Module, Instance: WebAssembly.Instance });
  return { reports: served(commands, serve), count };
}

/** The same, where each is told after all that the ones before have set going. */
function servedInTime(commands) {
  const [waiting, reports] = [new Map(), []];
  let last = 0;
  Object.assign(globalThis, {
    setTimeout: (go) => waiting.set((last += 1), go) && last,
    clearTimeout: (id) => waiting.delete(id),
  });
  const scope = { postMessage: (report) => reports.push(report) };
  training.serve(scope);
  for (const data of commands) {
    scope.onmessage({ data });
    for (const [id, go] of waiting) {
      waiting.delete(id);
      go();
    }
  }
  return reports;
}

answer({
  firstTheta: training.firstTheta,
  newRun: training.newRun,
  sampledTask,
  sampledBatch: (seed) => training.sampleBatch(uniforms(seed)),
  heldOutTask: training.heldOutTask,
  metaSteps,
  isCompiled: [isCompiled, tasks],
  withoutWebAssembly,
  served: (commands) => served(commands),
  servedByThePage,
  servedInTime,
  grid: () => training.GRID,
  fitOf: [training.fitOf, floats, plain, withCurve],
  curveOf,
  stepsAxis: training.stepsAxis,
  lossAxis: training.lossAxis,
  smoothedSpeed: training.smoothedSpeed,
  runningMean: training.runningMean,
  roundSize: training.roundSize,
  inWords: training.inWords,
});
