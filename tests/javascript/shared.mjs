import * as conv from "../../maml_teach/widgets/shared/conv.js";
import { film } from "../../maml_teach/widgets/shared/film.js";
import * as labels from "../../maml_teach/widgets/shared/labels.js";
import * as maths from "../../maml_teach/widgets/shared/maths.js";
import * as quadratic from "../../maml_teach/widgets/shared/quadratic.js";
import { inSlices } from "../../maml_teach/widgets/shared/slices.js";
import * as ui from "../../maml_teach/widgets/shared/ui.js";
import { answer, floats, network, plain, sent, state, task, tasks } from "./harness.mjs";

function firstUniforms(seed, count) {
  const next = maths.uniforms(seed);
  return Array.from({ length: count }, next);
}

const metaQuadratic = (net, batch, inner) =>
  quadratic.quadratic((theta) => maths.metaLoss(net, theta, batch, inner));

/**
 * Frames, timers and a clock that ticks once a look, for the rest of this process. What is returned
 * lets what waits longest happen, and says whether anything did.
 */
function heldTime() {
  const waiting = new Map();
  let [clock, id] = [0, 0];
  const ask = (run) => waiting.set(++id, run) && id;
  const forget = (which) => waiting.delete(which);
  Object.assign(globalThis, { requestAnimationFrame: ask, setTimeout: ask });
  Object.assign(globalThis, { cancelAnimationFrame: forget, clearTimeout: forget });
  performance.now = () => (clock += 1);
  return () => {
    const [next] = waiting;
    if (!next) return false;
    const [which, run] = next;
    forget(which);
    run();
    return true;
  };
}

/** Work that is replaced when it waits for a frame, and again when it waits for the repaint. */
function slicedWork() {
  const [goOn, seen] = [heldTime(), { first: 0, second: 0, third: 0, done: [] }];
  const slices = inSlices((done) => seen.done.push(done));
  function* count(name, n) {
    for (let k = 0; k < n; k++) {
      seen[name] += 1;
      yield;
    }
  }
  slices.start(count("first", 400));
  slices.start(count("second", 400));
  goOn(); // the frame: the rest waits for its repaint
  slices.start(count("third", 20));
  while (goOn());
  return seen;
}

/**
 * A film told what to do: after each act its picture, its button, whether it runs, and redraws.
 * `still` says whether the reader wants nothing to move by itself.
 */
function filmed(reel, acts, still) {
  let [tick, redraws, wait] = [null, 0, 0];
  globalThis.window = { setInterval: (run, milliseconds) => ([tick, wait] = [run, milliseconds]) && 1 };
  globalThis.clearInterval = () => (tick = null);
  globalThis.matchMedia = () => ({ matches: still });
  const play = { textContent: "" };
  const made = { ...film(play, reel, () => redraws++), tick: () => tick() };
  return acts.map((act) => {
    made[act]();
    return [made.at(), play.textContent, tick && wait, redraws];
  });
}

/** Labels of given widths put among the spots around points one after the other, in a frame. */
function settled(given, taken, frame) {
  return given.map(({ width, point, gaps, leftwards = false }) => {
    const node = { getComputedTextLength: () => width, setAttribute: (name, value) => (node[name] = value) };
    labels.settle(node, labels.spotsAround(point, gaps, leftwards), taken, frame);
    return [node.visibility, node.x, node.y, node["text-anchor"]].filter((value) => value !== undefined);
  });
}

/** A convolution and its way back: what comes out, the weights' gradient, the pictures' gradient. */
function convolution(layer, theta, images, n, received) {
  const there = conv.convolved(layer, theta, images, n);
  const grad = new Float64Array(theta.length);
  return { z: there.z, below: conv.convolvedBack(there, received, n, grad), grad };
}

/** start + A @ B, A seen through strides and B from some place on. */
function product(start, a, b, first, rows, inner, columns) {
  return maths.addProduct(start, 0, { ...a, data: floats(a.data) }, b, first, rows, inner, columns);
}

const made = (coefficients) => quadratic.quadratic((point) => quadratic.quadraticValue(coefficients, point));

answer({
  predict: [maths.predict, network, floats, floats],
  loss: [maths.loss, network, floats, floats, floats],
  gradient: [maths.gradient, network, floats, floats, floats],
  hvp: [maths.hvp, network, floats, floats, floats, floats],
  innerPath: [maths.innerPath, network, floats, task, plain],
  adapt: [maths.adapt, network, floats, task, plain],
  metaLoss: [maths.metaLoss, network, floats, tasks, plain],
  jointGradient: [maths.jointGradient, network, floats, tasks, plain],
  fomamlGradient: [maths.fomamlGradient, network, floats, tasks, plain],
  mamlGradient: [maths.mamlGradient, network, floats, tasks, plain],
  reptileGradient: [maths.reptileGradient, network, floats, tasks, plain],
  plus: [maths.plus, floats, plain, floats],
  mse: [maths.mse, floats, floats],
  angleBetween: [maths.angleBetween, floats, floats],
  uniforms: firstUniforms,
  sampleWithoutReplacement: maths.sampleWithoutReplacement,

  settled,
  lettered: labels.lettered,
  frameOf: labels.frameOf,
  product: [product, floats, plain, floats, plain, plain, plain, plain],

  quadratic: made,
  metaQuadratic: [metaQuadratic, network, tasks, plain],
  quadraticValue: quadratic.quadraticValue,
  quadraticMinimum: quadratic.quadraticMinimum,
  quadraticAxes: quadratic.quadraticAxes,
  largestCurvature: [quadratic.largestCurvature, network, task],

  // Such a network is read from its number of classes.
  convScores: [conv.scores, conv.convNet, floats, floats],
  convGradient: [conv.gradient, conv.convNet, floats, floats, plain],

  softmax: [conv.softmax, floats, plain],
  convolution: [convolution, plain, floats, floats, plain, floats],
  nParams: (nWays, channels) => conv.convNet(nWays, channels).nParams,

  floats: [plain, sent],
  format: ui.format,
  formatLoss: (text) => ui.formatLoss(Number(text)),
  toPosition: ui.toPosition,
  shortPower: ui.shortPower,
  decades: ui.decades,
  readNumber: ui.readNumber,
  fromPosition: ui.fromPosition,
  nearest: ui.nearest,
  spread: ui.spread,
  isBeyond: ui.isBeyond,
  seenInTraining: ui.seenInTraining,
  withTraining: [ui.withTraining, plain, state],
  beyondTraining: [ui.beyondTraining, state, plain],
  harmed: ui.harmed,
  atTheirEnds: [(given, ranges, traits) => traits.map(ui.atTheirEnds(given, ranges).get), state, plain, plain],

  slicedWork,
  filmed,
});
