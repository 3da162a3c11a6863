/**
 * On trial: one slider, one picture of what it does to a single case, and beside it the curve that
 * was measured over many tasks and training seeds. Three claims share it; constants and the
 * measured curves come from `__init__.py`.
 *
 * @typedef {{x: Float64Array, y: Float64Array}} Points
 * @typedef {{name: string, look: number, thin: boolean}} Series
 */
import { figure } from "../shared/lifecycle.js";
import { gradient, network, plus, predict, uniforms } from "../shared/maths.js";
import { button, element, floats, format, formatLoss, lineNames, panel, shortPower } from "../shared/ui.js";
import { slider, svgElement } from "../shared/ui.js";

const N_SHOTS = 10;
const GRID = Float64Array.from({ length: 201 }, (_, k) => -5 + k / 20);
const wide = (width) => Math.max(190, Math.min(260, Math.round(width * 0.62)));

const counted = (n) => `${n} inner step${n === 1 ? "" : "s"}`;

/** What differs between the claims: the slider, both plots, and the sentence. */
const TRIALS = {
  "related tasks": {
    range: { trait: "frequency", label: "frequency", min: 0.5, max: 3, step: 0.05, digits: 2 },
    support: [-5, 5],
    measured: { x: { min: 0.5, max: 3, ticks: [0.5, 1, 1.5, 2, 2.5, 3], label: "frequency of the new waves" } },
    live: (parent, redraw) => new WavePanel(parent, ["MAML"], redraw),
    single: (state) => `A new wave of frequency ${format(state.get("frequency"))}`,
  },
  shift: {
    range: { trait: "n_inner_steps", label: "inner steps", min: 0, max: 100, step: 1, digits: 0 },
    support: [-5, 0],
    measured: { x: { min: 0, max: 100, ticks: [0, 20, 40, 60, 80, 100], label: "inner steps" } },
    live: (parent, redraw) => new WavePanel(parent, ["as usual", "with the shift"], redraw),
    single: (state) => `After ${counted(state.get("n_inner_steps"))} on points left of zero`,
  },
  variance: {
    range: { trait: "alpha", label: "inner rate α", min: 0.001, max: 0.05, step: 0.001, log: true, digits: 4 },
    support: [-5, 5],
    measured: { x: { min: 0.001, max: 0.05, log: true, ticks: [0.001, 0.003, 0.01, 0.03], label: "inner rate α" } },
    live: (parent, redraw) => new FactorPanel(parent, redraw),
    single: (state) => `α = ${Number(state.get("alpha").toPrecision(3))}`,
  },
};

export const trialOf = (state) => TRIALS[state.get("claim")];
const labelOf = (state) => `On trial: ${state.get("claim")}`;
const traitsOf = (state) => [trialOf(state).range.trait, "seed"];

/**
 * A wave of the family, and the points to learn from within a range of x.
 * @returns {{amplitude: number, phase: number, frequency: number, support: Points}}
 */
export function newWave(seed, frequency, [low, high]) {
  const next = uniforms(seed);
  const [amplitude, phase] = [2 + 3 * next(), Math.PI * next()]; // high enough to be seen well
  const x = Float64Array.from({ length: N_SHOTS }, () => low + (high - low) * next());
  const y = x.map((value) => amplitude * Math.sin(frequency * value - phase));
  return { amplitude, phase, frequency, support: { x, y } };
}

/** theta_0, ..., theta_K on the support points; it stops where a parameter is no longer finite. */
export function descent(net, theta, { x, y }, alpha, nSteps) {
  const path = [Float64Array.from(theta)];
  while (path.length <= nSteps) {
    const next = plus(path.at(-1), -alpha, gradient(net, path.at(-1), x, y));
    if (!next.every(Number.isFinite)) break;
    path.push(next);
  }
  return path;
}

/** What a straight line between measured points says at `x`. */
export function between(xs, ys, x) {
  const right = Math.max(1, xs.findIndex((value) => value >= x));
  const share = (x - xs[right - 1]) / (xs[right] - xs[right - 1]);
  return ys[right - 1] + share * (ys[right] - ys[right - 1]);
}

/** By how much one inner step stretches the meta-gradient along a direction of this curvature. */
export const stretch = (alpha, curvature) => Math.abs(1 - alpha * curvature);

/** Share of sorted values above a limit. */
export function shareAbove(sorted, limit) {
  const first = sorted.findIndex((value) => value > limit);
  return first < 0 ? 0 : (sorted.length - first) / sorted.length;
}

/** The value in the middle, or at another share, of sorted values. */
export const quantile = (sorted, share) => sorted[Math.round(share * (sorted.length - 1))];

/** Curvatures from end to end of the axis, with the one whose factor is 0: the curve bends there. */
export function placesOfFactor(alpha, { min, max }) {
  const bend = Math.min(max, Math.max(min, 1 / alpha));
  const steps = Array.from({ length: 161 }, (_, k) => min * (max / min) ** (k / 160));
  return [...steps, bend].sort((p, q) => p - q);
}

const pairs = (y) => Array.from(GRID, (x, k) => [x, y[k]]);

/** One wave, and what the inner steps make of it from one start or two. */
class WavePanel {
  constructor(parent, names, redraw) {
    this.plot = panel(parent, { title: "One new wave", note: "dots: support set; dashed: the wave; dotted: before" }, waveOptions(), redraw).plot;
    this.truth = svgElement(this.plot.area, "path", { class: "mf-truth" });
    this.curves = names.map((_, k) => {
      const group = svgElement(this.plot.area, "g", { class: k ? "mf-role-variant" : "mf-role-maml" });
      return ["mf-before", "mf-curve"].map((kind) => svgElement(group, "path", { class: kind }));
    });
    this.dots = Array.from({ length: N_SHOTS }, () => svgElement(this.plot.area, "circle", { class: "mf-shot", r: 4 }));
    this.key = "";
  }

  /** The paths depend on the wave alone, so that moving along them costs nothing. */
  follow(state, { net, starts, alpha, support }) {
    const [seed, frequency] = [state.get("seed"), state.get("frequency")];
    if (this.key === `${seed} ${frequency}`) return;
    this.key = `${seed} ${frequency}`;
    this.wave = newWave(seed, frequency, support);
    const nSteps = state.get("claim") === "shift" ? 100 : 10;
    this.paths = starts.map((theta) => descent(net, theta, this.wave.support, alpha, nSteps));
  }

  draw(state, source) {
    this.follow(state, source);
    const { amplitude, frequency, phase, support } = this.wave;
    const truth = GRID.map((x) => amplitude * Math.sin(frequency * x - phase));
    this.truth.setAttribute("d", this.plot.line(pairs(truth)));
    const k = state.get("claim") === "shift" ? state.get("n_inner_steps") : 10;
    this.curves.forEach((curves, n) => {
      const path = this.paths[n];
      [path[0], path[Math.min(k, path.length - 1)]].forEach((theta, m) => {
        curves[m].setAttribute("d", this.plot.line(pairs(predict(source.net, theta, GRID))));
      });
    });
    this.dots.forEach((dot, n) => {
      dot.setAttribute("cx", this.plot.px(support.x[n]));
      dot.setAttribute("cy", this.plot.py(support.y[n]));
    });
  }

  words() {
    return "";
  }
}

const waveOptions = () => ({
  label: "A new wave, its support points, and the network before and after the inner steps",
  margin: [8, 10, 34, 34],
  height: wide,
  x: { min: -5, max: 5, ticks: [-4, -2, 0, 2, 4], label: "x" },
  y: { min: -7, max: 7, ticks: [-5, 0, 5] },
});

/** |1 - alpha lambda| over the curvature lambda, and where the tasks' curvatures lie. */
class FactorPanel {
  constructor(parent, redraw) {
    const heading = { title: "Factor of one step", note: "bars: 90% of tasks; shaded: stretched" };
    this.plot = panel(parent, heading, factorOptions(), redraw).plot;
    this.zone = svgElement(this.plot.area, "path", { class: "mf-harm" });
    this.level = svgElement(this.plot.area, "path", { class: "mf-level" });
    this.line = svgElement(this.plot.area, "path", { class: "mf-factor" });
    this.marks = ["mf-role-random", "mf-role-maml"].map((name) => {
      const group = svgElement(this.plot.area, "g", { class: name });
      return { bar: svgElement(group, "path", { class: "mf-bar" }), dot: svgElement(group, "circle", { class: "mf-dot", r: 5 }) };
    });
  }

  draw(state, { curvatures }) {
    const [alpha, { min, max }] = [state.get("alpha"), this.plot.x];
    const beyond = Math.min(max, 2 / alpha);
    this.zone.setAttribute("d", `${this.plot.line([[beyond, 0], [beyond, 4], [max, 4], [max, 0]])}Z`);
    this.level.setAttribute("d", this.plot.line([[min, 1], [max, 1]]));
    const at = (value) => [value, stretch(alpha, value)];
    this.line.setAttribute("d", this.plot.line(placesOfFactor(alpha, this.plot.x).map(at)));
    curvatures.forEach((sorted, n) => this.mark(this.marks[n], sorted, at, n));
  }

  mark({ bar, dot }, sorted, at, n) {
    const [low, middle, high] = [0.05, 0.5, 0.95].map((share) => quantile(sorted, share));
    const y = 3.6 - 0.35 * n;
    bar.setAttribute("d", this.plot.line([[low, y], [high, y]]));
    dot.setAttribute("cx", this.plot.px(middle));
    dot.setAttribute("cy", this.plot.py(y));
  }

  words(state, { curvatures }) {
    const shares = curvatures.map((sorted) => shareAbove(Array.from(sorted), 2 / state.get("alpha")));
    const [random, maml] = shares.map((share) => `${format(100 * share, 0)}%`);
    return ` The steepest direction is stretched (α times curvature above 2) for ${random} of the tasks at the random start, for ${maml} at the MAML start.`;
  }
}

const factorOptions = () => ({
  label: "The factor 1 minus alpha times curvature, in size, over the curvature; bars show the curvatures of the tasks",
  margin: [8, 10, 34, 34],
  height: wide,
  x: { min: 3, max: 3000, log: true, ticks: [10, 100, 1000], label: "curvature λ", format: shortPower },
  y: { min: 0, max: 4, ticks: [0, 1, 2, 3], label: "|1 − αλ|" },
});

/** The measured curves, each with its band, and where the slider stands. */
class MeasuredPanel {
  constructor(parent, state, source, redraw) {
    const heading = { title: state.get("measured_title"), note: state.get("measured_note") };
    this.plot = panel(parent, heading, measuredOptions(state, source), redraw).plot;
    const group = ({ look, thin }) =>
      svgElement(this.plot.area, "g", { class: `mf-role-${look}${thin ? " mf-thin" : ""}` });
    this.groups = source.series.map(group);
    this.bands = this.groups.map((g) => svgElement(g, "path", { class: "mf-band" }));
    this.level = svgElement(this.plot.area, "path", { class: "mf-level" });
    this.now = svgElement(this.plot.area, "path", { class: "mf-now" });
    this.lines = this.groups.map((g) => svgElement(g, "path", { class: "mf-curve" }));
    this.dots = this.groups.map((g) => svgElement(g, "circle", { class: "mf-dot", r: 4.5 }));
  }

  draw(state, source) {
    const { xs, curves, range } = source;
    const x = state.get(range.trait);
    const { min, max } = this.plot.y;
    this.now.setAttribute("d", this.plot.line([[x, min], [x, max]]));
    if (state.get("claim") === "variance") this.level.setAttribute("d", this.plot.line([[xs[0], 1], [xs.at(-1), 1]]));
    curves.forEach(({ mean, low, high }, n) => {
      const over = (values) => xs.map((value, k) => [value, Math.max(values[k], min)]);
      this.lines[n].setAttribute("d", this.plot.line(over(mean)));
      this.bands[n].setAttribute("d", `${this.plot.line([...over(low), ...over(high).reverse()])}Z`);
      this.dots[n].setAttribute("cx", this.plot.px(x));
      this.dots[n].setAttribute("cy", this.plot.py(between(xs, mean, x)));
    });
  }
}

export function measuredOptions(state, { trial, curves }) {
  const all = curves.flatMap(({ low, high }) => [...low, ...high]).filter((value) => value > 0);
  const [low, high] = [Math.max(0.001, Math.min(...all)), Math.min(100, Math.max(...all))];
  const fine = high < 50 * low ? [0.2, 0.5, 0.7, 1.5, 2, 3, 5] : [];
  const ticks = [0.001, 0.01, 0.1, 1, 10, 100, ...fine].filter((v) => v >= low / 1.1 && v <= high * 1.1);
  return {
    label: `${state.get("measured_title")}, over the slider's values`,
    margin: [8, 13, 34, 40],
    height: wide,
    x: trial.measured.x,
    y: { min: low / 1.1, max: high * 1.1, log: true, ticks, format: shortPower },
  };
}

/** Everything Python sent, unpacked. */
export function readSource(state) {
  const trial = trialOf(state);
  const [net, xs] = [network(state.get("sizes"), "relu"), state.get("places")];
  const numbers = Array.from(floats(state.get("curves")));
  const series = state.get("series").map(([name, look, thin]) => ({ name, look, thin: Boolean(thin) }));
  const part = (n, k) => numbers.slice((3 * n + k) * xs.length, (3 * n + k + 1) * xs.length);
  const curves = series.map((_, n) => ({ mean: part(n, 0), low: part(n, 1), high: part(n, 2) }));
  const cut = (bytes, n) => {
    const all = Float64Array.from(floats(bytes));
    return Array.from({ length: all.length / n }, (_, k) => all.slice(k * n, (k + 1) * n));
  };
  const starts = cut(state.get("starts"), net.nParams);
  const sorted = cut(state.get("curvatures"), Math.max(1, state.get("n_curvatures")));
  return { trial, range: trial.range, support: trial.support, net, xs, series, curves, starts, curvatures: sorted, alpha: state.get("inner_rate") };
}

const nameOf = ({ name, look, thin }) => ({ text: name, look: `mf-role-${look}${thin ? " mf-thin" : ""}` });

export function describe(state, source, live) {
  const { xs, series, curves, trial, range } = source;
  const x = state.get(range.trait);
  const values = curves.map(({ mean }, n) => `${series[n].name} ${formatLoss(between(xs, mean, x))}`);
  return `${trial.single(state)}. ${state.get("measured_title")}: ${values.join(", ")}.${live.words(state, source)}`;
}

/** What the read-out says at places of the slider from end to end. */
function allWords(state, source, live) {
  const { trait, min, max, log, digits } = source.range;
  const along = (share) => (log ? min * (max / min) ** share : min + share * (max - min));
  const at = (share) => Number(along(share).toFixed(digits));
  return Array.from({ length: 101 }, (_, k) => {
    const value = at(k / 100);
    return describe({ get: (name) => (name === trait ? value : state.get(name)) }, source, live);
  });
}

function lead(root, state, { range, starts }, reset) {
  const top = element(root, "div", { class: "mf-lead" });
  slider(top, state, range);
  const buttons = element(top, "div", { class: "mf-buttons" });
  if (starts.length) {
    button(buttons, "Another wave", () => state.set({ seed: state.get("seed") + 1 }));
  }
  button(buttons, "Reset", reset);
}

function build({ root, state, redraw, reset, status }) {
  const source = readSource(state);
  lead(root, state, source, reset);
  lineNames(root, source.series.map(nameOf));
  const grid = element(root, "div", { class: "mf-grid" });
  const live = source.trial.live(grid, redraw);
  const panels = [live, new MeasuredPanel(grid, state, source, redraw)];
  const say = status().room(allWords(state, source, live));
  const draw = () => {
    for (const panel of panels) panel.draw(state, source);
    say(describe(state, source, live));
  };
  return { draw, panels };
}

export default figure({ name: "claims", label: labelOf, traits: traitsOf, build });
