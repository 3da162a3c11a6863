/**
 * Two loops: a line's slope and intercept are learned for several tasks at once. The inner loop
 * walks from the shared theta into each task, the outer loop moves theta. Every loss is a
 * quadratic bowl, so contours and minima are exact. Tasks and settings come from `__init__.py`.
 */
import { boxAround, frameOf, lettered, settle, spotsAround } from "../shared/labels.js";
import { figure } from "../shared/lifecycle.js";
import { angleBetween, fomamlGradient, innerPath, jointGradient, loss, mamlGradient } from "../shared/maths.js";
import { metaLoss, network, plus, predict, reptileGradient, sampleWithoutReplacement } from "../shared/maths.js";
import { largestCurvature, quadratic, quadraticAxes } from "../shared/quadratic.js";
import { quadraticMinimum, quadraticValue } from "../shared/quadratic.js";
import { button, choice, decades, dragPoint, element, format, formatLoss } from "../shared/ui.js";
import { panel, shortPower, slider, svgElement } from "../shared/ui.js";

const LINE = network([1, 1]);
const ALGORITHMS = {
  joint: jointGradient,
  FOMAML: fomamlGradient,
  MAML: mamlGradient,
  Reptile: reptileGradient,
};
const LETTERS = "ABCDEF";
const RADII = { theta: 10, optimum: 9.5, prime: 7.5 }; // pixels
const GONE = 100; // theta this far from the picture never comes back
const ARRIVED = 1e-4; // length of the gradient below which no step is seen
const FRAME_MS = 250;
const N_LEVELS = 9;
const FLAT = 1e-9; // an objective lower than this everywhere has no contours worth drawing
const LABEL = "Two loops: inner steps into each task, outer steps of theta";
const TRAITS = ["alpha", "beta", "n_inner_steps", "batch_size", "algorithm"];
const FOLLOWED = ["theta", "history", "previous_history"]; // drawn too; Reset begins a run instead

const innerOf = (state) => ({ alpha: state.get("alpha"), nInnerSteps: state.get("n_inner_steps") });

export function readTasks(state) {
  return state.get("tasks").map((task) => ({
    xSupport: Float64Array.from(task.x_support),
    ySupport: Float64Array.from(task.y_support),
    xQuery: Float64Array.from(task.x_query),
    yQuery: Float64Array.from(task.y_query),
  }));
}

/** Least squares on one task's support set: the bottom of its bowl. */
export function ownOptimum(task) {
  return quadraticMinimum(quadratic((p) => loss(LINE, p, task.xSupport, task.ySupport))).point;
}

/** The tasks drawn for the current outer step; the same seed always draws the same. */
function currentBatch(state, tasks) {
  const step = state.get("history").length - 1;
  return sampleWithoutReplacement(state.get("seed") + 7919 * step, tasks.length, state.get("batch_size"));
}

/** Everything the picture shows, computed afresh from the traits. */
export function compute(state, tasks) {
  const [inner, theta] = [innerOf(state), state.get("theta")];
  const batch = currentBatch(state, tasks);
  const chosen = batch.map((k) => tasks[k]);
  const gradients = Object.fromEntries(
    Object.entries(ALGORITHMS).map(([name, of]) => [name, of(LINE, theta, chosen, inner).gradient]),
  );
  const objective = quadratic((p) => metaLoss(LINE, p, tasks, inner));
  return {
    theta,
    batch,
    gradients,
    objective,
    minimum: quadraticMinimum(objective),
    paths: batch.map((k) => innerPath(LINE, theta, tasks[k], inner)),
    algorithm: state.get("algorithm"),
    beta: state.get("beta"),
    history: state.get("history"),
    previous: state.get("previous_history"),
    previousAlgorithm: state.get("previous_algorithm"),
    inner,
  };
}

/** Closed outline of the points where a convex quadratic exceeds its minimum by `rise`. */
export function ellipse(objective, rise, n = 72) {
  const { point } = quadraticMinimum(objective);
  const { large, small, angle } = quadraticAxes(objective);
  const [a, b] = [Math.sqrt(rise / large), Math.sqrt(rise / Math.max(small, 1e-9 * large))];
  return Array.from({ length: n }, (_, k) => {
    const t = (2 * Math.PI * k) / n;
    const [u, v] = [a * Math.cos(t), b * Math.sin(t)];
    return [
      point[0] + u * Math.cos(angle) - v * Math.sin(angle),
      point[1] + u * Math.sin(angle) + v * Math.cos(angle),
    ];
  });
}

/** How far above its minimum an objective gets its contours, from the highest in the picture down. */
export function contourRises(objective, { x, y }) {
  const corners = [x.min, x.max].flatMap((u) => [y.min, y.max].map((v) => [u, v]));
  const heights = corners.map((corner) => quadraticValue(objective, corner));
  const top = Math.max(...heights) - quadraticMinimum(objective).value;
  const highest = Math.floor(Math.log2(top));
  return top > FLAT ? Array.from({ length: N_LEVELS }, (_, k) => 2 ** (highest - k)) : [];
}

/** The plane of slope and intercept: the bowls, the inner paths, the arrows, the run so far. */
class Plane {
  constructor(parent, tasks, { redraw, moveTheta }) {
    const heading = { title: "Parameter plane", note: "contours: MAML's objective", className: "mf-plane" };
    this.plot = panel(parent, heading, planeOptions(), redraw).plot;
    this.bowls = Array.from({ length: N_LEVELS }, () => this.path("mf-bowl"));
    this.previous = this.path("mf-run mf-previous");
    this.walks = tasks.map((_, k) => this.makeWalk(k));
    this.run = this.path("mf-run");
    this.optima = tasks.map((task, k) => this.makeOptimum(ownOptimum(task), k)); // over all rings
    this.best = this.star(quadraticMinimum(jointObjective(tasks)).point, "joint");
    this.target = this.star([0, 0], "MAML");
    this.arrows = Object.keys(ALGORITHMS).map((name) => this.makeArrow(name));
    this.handle = dragPoint(this.plot, { label: "theta", step: 0.05, onMove: moveTheta });
    svgElement(this.handle.mark, "circle", { r: RADII.theta });
    svgElement(this.handle.mark, "text", { class: "mf-letter", y: 4.5, text: "θ" });
  }

  path(name, parent = this.plot.area) {
    return svgElement(parent, "path", { class: name });
  }

  makeWalk(k) {
    const group = svgElement(this.plot.area, "g", { class: `mf-task-${k}` });
    const inner = this.path("mf-inner", group);
    const steps = svgElement(group, "g");
    const end = svgElement(group, "g", { class: "mf-prime" });
    svgElement(end, "circle", { r: RADII.prime });
    const letter = svgElement(end, "text", { y: 4, text: LETTERS[k] });
    return { group, inner, steps, end, letter };
  }

  makeOptimum(point, k) {
    const group = svgElement(this.plot.area, "g", { class: `mf-task-${k}` });
    const dot = svgElement(group, "g");
    svgElement(dot, "circle", { class: "mf-optimum", r: RADII.optimum });
    const letter = svgElement(dot, "text", { class: "mf-letter", y: 4, text: LETTERS[k] });
    return { point, group, dot, letter };
  }

  /** A minimum: a star for MAML's objective, a cross for the joint loss, with its name. */
  star(point, name) {
    const node = svgElement(this.plot.area, "g", { class: "mf-minimum" });
    const shapes = { MAML: "M0 -9L2.6 -3L9 -2.6L4 1.6L5.6 8L0 4.4L-5.6 8L-4 1.6L-9 -2.6L-2.6 -3Z" };
    svgElement(node, "path", { d: shapes[name] ?? "M-7 -2.2H-2.2V-7H2.2V-2.2H7V2.2H2.2V7H-2.2V2.2H-7Z" });
    const label = svgElement(this.plot.over, "text", { class: "mf-halo mf-minimum-name", text: `min ${name}` });
    return { point, node, label };
  }

  makeArrow(name) {
    const line = this.path("mf-arrow");
    const label = svgElement(this.plot.over, "text", { class: "mf-halo mf-arrow-label", text: name });
    return { name, line, label, tip: new Float64Array(2) };
  }

  /** @param {Iterable<number>} point */
  pixel(point) {
    const [x, y] = point;
    return [this.plot.px(x), this.plot.py(y)];
  }

  put(node, point) {
    const [x, y] = this.pixel(point);
    node.setAttribute("transform", `translate(${x} ${y})`);
  }

  draw(view) {
    this.drawBowls(view.objective);
    this.target.point = view.minimum.point;
    for (const { node, point } of [this.target, this.best]) this.put(node, point);
    this.run.setAttribute("d", this.plot.line(view.history));
    this.previous.setAttribute("d", this.plot.line(view.previous));
    const paths = this.walks.map((_, k) => view.paths[view.batch.indexOf(k)]);
    paths.forEach((path, k) => this.drawTask(k, path));
    this.drawArrows(view);
    this.drawWords(view, this.drawLetters(view.theta, paths));
    const words = `slope ${format(view.theta[0])}, intercept ${format(view.theta[1])}`;
    this.handle.place(this.plot.inside(view.theta), words);
  }

  /** Contours at powers of two above the minimum: they move with alpha, never jump. */
  drawBowls(objective) {
    const rises = contourRises(objective, this.plot);
    this.bowls.forEach((node, k) => {
      const outline = k in rises ? this.plot.line(ellipse(objective, rises[k])) : "";
      node.setAttribute("d", outline && `${outline}Z`);
    });
  }

  drawTask(k, path) {
    const { group, inner, steps, end } = this.walks[k];
    const optimum = this.optima[k];
    for (const each of [group, optimum.group]) each.classList.toggle("mf-resting", path === undefined);
    this.put(optimum.dot, optimum.point);
    inner.setAttribute("d", path ? this.plot.line(path) : "");
    const between = path ? path.slice(1, -1) : [];
    steps.replaceChildren();
    for (const point of between) this.put(svgElement(steps, "circle", { class: "mf-step", r: 2.2 }), point);
    end.setAttribute("visibility", path ? "visible" : "hidden");
    if (path) this.put(end, path.at(-1));
  }

  drawArrows({ theta, gradients, beta, algorithm }) {
    for (const arrow of this.arrows) {
      const bold = arrow.name === algorithm;
      arrow.tip = plus(theta, -beta, gradients[arrow.name]);
      arrow.line.setAttribute("d", this.plot.arrow(theta, arrow.tip, bold ? 13 : 8));
      for (const node of [arrow.line, arrow.label]) node.classList.toggle("mf-chosen", bold);
    }
  }

  /** Letters only where they can be read; answers all discs, the uppermost first. */
  drawLetters(theta, paths) {
    const disc = (point, r, letter) => ({ at: this.pixel(point), r, letter });
    const optima = this.optima.map(({ point, letter }) => disc(point, RADII.optimum, letter));
    const primes = this.walks.flatMap(({ letter }, k) =>
      paths[k] ? [disc(paths[k].at(-1), RADII.prime, letter)] : [],
    );
    const discs = [disc(this.plot.inside(theta), RADII.theta, null), ...optima.reverse(), ...primes.reverse()];
    const shown = lettered(discs);
    discs.forEach(({ letter }, k) => letter?.setAttribute("visibility", shown[k] ? "inherit" : "hidden"));
    return discs;
  }

  /** A label needs an arrow long enough to see, with its tip inside the picture. */
  isReadable(theta, tip) {
    const [from, to] = [this.pixel(theta), this.pixel(tip)];
    const inside = this.plot.inside(tip).every((value, k) => value === tip[k]);
    return inside && Math.hypot(to[0] - from[0], to[1] - from[1]) > 13;
  }

  /** Names of arrows and minima, clear of all discs and of each other; the chosen one comes first. */
  drawWords({ theta, algorithm }, discs) {
    const { plot } = this;
    const minima = [this.target, this.best];
    const marks = [...discs, ...minima.map(({ point }) => ({ at: this.pixel(point), r: 8 }))];
    const taken = marks.map(({ at, r }) => boxAround(at, r));
    const name = ({ label, tip }) => {
      const spots = spotsAround(this.pixel(tip), [7, 14, 21], tip[0] < theta[0]);
      settle(label, this.isReadable(theta, tip) ? spots : [], taken, frameOf(plot.box));
    };
    this.arrows.filter((arrow) => arrow.name === algorithm).forEach(name);
    for (const { label, point } of minima) settle(label, spotsAround(this.pixel(point), [12, 20]), taken, frameOf(plot.box));
    this.arrows.filter((arrow) => arrow.name !== algorithm).forEach(name);
  }
}

const planeOptions = () => ({
  label: "Parameter plane: slope to the right, intercept upwards",
  margin: [6, 8, 36, 40],
  // Both axes have the same scale, so that contours and arrows meet at their true angles.
  height: (width) => Math.round(((width - 48) * 6.2) / 6) + 42,
  x: { min: -3.3, max: 2.7, ticks: [-3, -2, -1, 0, 1, 2], label: "slope" },
  y: { min: -2.7, max: 3.5, ticks: [-2, -1, 0, 1, 2, 3], label: "intercept" },
});

const jointObjective = (tasks) =>
  quadratic((p) => metaLoss(LINE, p, tasks, { alpha: 0, nInnerSteps: 0 }));

/** The same in data space: support points, the shared line, and the line after adapting. */
class DataPanel {
  constructor(parent, tasks, redraw) {
    const heading = { title: "Data space", note: "dashed: θ · solid: θ′ per task" };
    this.plot = panel(parent, heading, dataOptions(), redraw).plot;
    this.shared = svgElement(this.plot.area, "path", { class: "mf-shared" });
    this.tasks = tasks.map((task, k) => this.makeTask(task, k));
  }

  makeTask(task, k) {
    const group = svgElement(this.plot.area, "g", { class: `mf-task-${k}` });
    const line = svgElement(group, "path", { class: "mf-fit" });
    const points = Array.from(task.xSupport, (x, n) => ({
      at: [x, task.ySupport[n]],
      node: svgElement(group, "circle", { class: "mf-datum", r: 3.6 }),
    }));
    const label = svgElement(group, "text", { class: "mf-halo mf-fit-label", text: LETTERS[k] });
    const xs = [...task.xSupport, ...task.xQuery];
    return { group, line, points, label, ends: [Math.min(...xs) - 0.15, Math.max(...xs) + 0.15] };
  }

  draw({ theta, batch, paths }) {
    const at = (parameters, x) => [x, predict(LINE, parameters, Float64Array.of(x))[0]];
    const { min, max } = this.plot.x;
    const [frame, taken] = [{ ...frameOf(this.plot.box), right: this.plot.widthOf }, []];
    this.shared.setAttribute("d", this.plot.line([at(theta, min), at(theta, max)]));
    this.tasks.forEach(({ group, line, points, label, ends }, k) => {
      const path = paths[batch.indexOf(k)];
      group.classList.toggle("mf-resting", path === undefined);
      line.setAttribute("d", path ? this.plot.line(ends.map((x) => at(path.at(-1), x))) : "");
      for (const { at: point, node } of points) {
        node.setAttribute("cx", this.plot.px(point[0]));
        node.setAttribute("cy", this.plot.py(point[1]));
      }
      const [x, y] = this.plot.inside(at(path ? path.at(-1) : theta, ends[1]));
      const spots = path ? spotsAround([this.plot.px(x), this.plot.py(y)], [3, 10, 18]) : [];
      settle(label, spots, taken, frame);
    });
  }
}

const dataOptions = () => ({
  label: "Data space: each task's points, the shared line and the adapted lines",
  margin: [6, 12, 20, 26],
  height: (width) => Math.max(150, Math.min(232, Math.round(width * 0.85 - 84))),
  x: { min: -3, max: 3, ticks: [-3, -2, -1, 0, 1, 2, 3] },
  y: { min: -5, max: 5, ticks: [-4, -2, 0, 2, 4] },
});

/** MAML's objective on all tasks along this run and the one before. */
class RunPanel {
  constructor(parent, redraw) {
    const heading = { title: "Meta-loss of the run", note: "all tasks, log scale" };
    this.plot = panel(parent, heading, runOptions(), redraw).plot;
    this.floor = svgElement(this.plot.area, "path", { class: "mf-floor" });
    this.previous = svgElement(this.plot.area, "path", { class: "mf-run mf-previous" });
    this.run = svgElement(this.plot.area, "path", { class: "mf-run" });
    this.dot = svgElement(this.plot.area, "circle", { class: "mf-run-dot", r: 4.5 });
    const label = (name) => svgElement(this.plot.over, "text", { class: `mf-halo ${name}` });
    this.labels = [label(""), label("mf-quiet")];
    this.floorLabel = svgElement(this.plot.over, "text", { class: "mf-halo mf-quiet" });
  }

  draw({ history, previous, objective, minimum, algorithm, previousAlgorithm }) {
    const along = (run) => run.map((theta, t) => [t, quadraticValue(objective, theta)]);
    const [now, before] = [along(history), along(previous)];
    this.fit([...now, ...before], minimum.value);
    this.run.setAttribute("d", this.plot.line(now));
    this.previous.setAttribute("d", this.plot.line(before));
    const { min, max } = this.plot.x;
    this.floor.setAttribute("d", this.plot.line([[min, minimum.value], [max, minimum.value]]));
    this.dot.setAttribute("cx", this.plot.px(now.at(-1)[0]));
    this.dot.setAttribute("cy", this.plot.py(now.at(-1)[1]));
    const taken = [boxAround([this.plot.px(now.at(-1)[0]), this.plot.py(now.at(-1)[1])], 4)];
    this.label(this.labels[0], algorithm, this.atEnd(now), taken);
    this.label(this.labels[1], before.length > 1 ? `before: ${previousAlgorithm}` : "", this.atEnd(before), taken);
    this.label(this.floorLabel, `lowest possible ${formatLoss(minimum.value)}`, this.atFloor(minimum.value), taken);
  }

  label(node, text, spots, taken) {
    node.textContent = text;
    settle(node, spots, taken, frameOf(this.plot.box));
  }

  /** Spots for the name of a run, at its last point. */
  atEnd(points) {
    if (!points.length) return [];
    const [x, y] = this.plot.inside(points.at(-1));
    return spotsAround([this.plot.px(x), this.plot.py(y)], [8, 14, 24]);
  }

  /** @returns {import("../shared/labels.js").Spot[]} */
  atFloor(value) {
    const { left, width } = this.plot.box;
    const [start, end] = [left + 5, left + width - 5];
    const ys = [14, -5].map((down) => this.plot.py(value) + down);
    return ys.flatMap((y) => [[start, y, "start"], [end, y, "end"]]);
  }

  fit(points, lowest) {
    const axes = runAxes(points, lowest);
    this.plot.setX(axes.x);
    this.plot.setY(axes.y);
  }
}

/** Axes for points of outer step and meta-loss, which cannot fall below `lowest`. */
export function runAxes(points, lowest) {
  const last = Math.max(...points.map(([t]) => t));
  const end = [10, 20, 40, 80, 160, 320].find((n) => n >= last) ?? last;
  const values = points.map(([, value]) => value).filter(Number.isFinite);
  const low = Math.floor(Math.log10(Math.max(1e-3, lowest * 0.8)));
  const high = Math.max(low + 1, Math.min(4, Math.ceil(Math.log10(Math.max(...values)))));
  const y = { min: 10 ** low, max: 10 ** high, ticks: decades(low, high) };
  return { x: { max: end, ticks: [0, end / 2, end] }, y };
}

const runOptions = () => ({
  label: "Meta-loss on all tasks against outer steps",
  margin: [10, 12, 36, 38],
  height: (width) => Math.max(130, Math.min(205, Math.round(width * 0.71 - 60))),
  x: { min: 0, max: 10, ticks: [0, 5, 10], label: "outer steps" },
  y: { min: 0.1, max: 10, log: true, ticks: [0.1, 1, 10], format: shortPower },
});

const far = (theta) => theta.some((value) => !(Math.abs(value) < GONE));

/** What the largest curvature of all tasks means for the inner rate. */
export function inInnerLoop(product) {
  if (product > 2) return "above 2: in the steepest task every inner step lands farther off";
  if (product > 1) return "between 1 and 2: in the steepest task inner steps overshoot";
  return "below 1: every task comes closer smoothly";
}

/** What is left to say once theta will not come back. */
const diverged = ({ theta, algorithm, history }) =>
  `Diverged: the outer rate β is too large here. Reset, or lower it. ${algorithm}, ` +
  `outer step ${history.length - 1}: θ = (${format(theta[0])}, ${format(theta[1])}).`;

export function describe(view, curvature) {
  const { theta, gradients, algorithm, beta, objective, inner, history } = view;
  const gradient = gradients[algorithm];
  const next = plus(theta, -beta, gradient);
  const [now, then] = [quadraticValue(objective, theta), quadraticValue(objective, next)];
  const product = inner.alpha * curvature;
  const angle = angleBetween(gradient, gradients.MAML);
  const exact = algorithm === "MAML" || !Number.isFinite(angle);
  const apart = exact ? "" : `, ${angle.toFixed(0)}° from the exact MAML gradient`;
  if (far(theta)) return diverged(view);
  return (
    `${algorithm}, outer step ${history.length - 1}: θ = (${format(theta[0])}, ` +
    `${format(theta[1])}); gradient (${format(gradient[0])}, ${format(gradient[1])})${apart}; ` +
    `the next step takes the meta-loss from ${formatLoss(now)} to ${formatLoss(then)}. α × largest curvature = ${format(product)}, ${inInnerLoop(product)}.`
  );
}

/** The longest that the read-out can become: after many steps, all numbers are long. */
function longestWords(tasks, curvature) {
  const theta = [-12, -12];
  const gradients = { MAML: [1, 1], Reptile: [-88.88, -88.89] };
  const inner = { alpha: 0.5, nInnerSteps: 0 };
  const objective = quadratic((p) => metaLoss(LINE, p, tasks, inner));
  const run = { history: Array(100), algorithm: "Reptile", beta: 1 };
  return describe({ theta, gradients, inner, objective, ...run }, curvature);
}

/** The run: what moves theta, and what becomes of the path when it does. */
function runActions(state, tasks) {
  const begin = (theta) => {
    const old = state.get("history");
    if (old.length > 1) state.set({ previous_history: old, previous_algorithm: lastAlgorithm });
    lastAlgorithm = state.get("algorithm");
    state.set({ history: [theta], theta });
  };
  let lastAlgorithm = state.get("algorithm");
  return {
    begin,
    step() {
      const theta = state.get("theta");
      const batch = currentBatch(state, tasks).map((k) => tasks[k]);
      const { gradient } = ALGORITHMS[state.get("algorithm")](LINE, theta, batch, innerOf(state));
      const next = Array.from(plus(theta, -state.get("beta"), gradient));
      if (far(theta) || next.some((value) => !Number.isFinite(value))) return false;
      state.set({ history: [...state.get("history"), next], theta: next });
      return !far(next) && Math.hypot(...gradient) > ARRIVED;
    },
    /** Python, a slider elsewhere or the reader put theta somewhere new. */
    followTheta() {
      const [theta, last] = [state.get("theta"), state.get("history").at(-1)];
      if (!last || theta.some((value, k) => value !== last[k])) begin([...theta]);
    },
    /** Another algorithm starts again where the last one started: a fair comparison. */
    changeAlgorithm() {
      begin(state.get("history")[0]);
    },
  };
}

function legend(parent) {
  const list = element(parent, "ul", { class: "mf-legend mf-task-0" });
  const swatch = (text, width) => {
    const item = element(list, "li");
    const svg = svgElement(item, "svg", { width, height: 20, "aria-hidden": "true" });
    element(item, "span", { text });
    return svg;
  };
  const own = swatch("best for task A alone", 20);
  svgElement(own, "circle", { class: "mf-optimum", cx: 10, cy: 10, r: 9 });
  svgElement(own, "text", { class: "mf-letter", x: 10, y: 14, text: "A" });
  const inner = swatch("inner steps to θ′ of task A", 44);
  svgElement(inner, "path", { class: "mf-inner", d: "M0 10H28" });
  const prime = svgElement(inner, "g", { class: "mf-prime", transform: "translate(35 10)" });
  svgElement(prime, "circle", { r: 7.5 });
  svgElement(prime, "text", { y: 3.5, text: "A" });
  const outer = swatch("next outer step", 28);
  svgElement(outer, "path", { class: "mf-arrow mf-chosen", d: "M0 10H26M18 5L26 10L18 15" });
  const others = swatch("with other algorithms", 28);
  svgElement(others, "path", { class: "mf-arrow", d: "M0 10H26M19 6L26 10L19 14" });
}

function rangesFor(nTasks) {
  return [
    { trait: "alpha", label: "inner rate α", min: 0.01, max: 0.5, step: 0.01, digits: 2 },
    { trait: "n_inner_steps", label: "inner steps K", min: 0, max: 10, step: 1, digits: 0 },
    { trait: "beta", label: "outer rate β", min: 0.01, max: 1, step: 0.01, digits: 2 },
    { trait: "batch_size", label: "tasks per step", min: 1, max: nTasks, step: 1, digits: 0 },
  ];
}

/** Plays outer steps until there is none left to take; readers who want less motion get them at once. */
function playing(state, step, node) {
  let timer = 0;
  const stop = () => state.set({ playing: false });
  const rush = () => {
    for (let n = 0; n < 40 && step(); n++);
    stop();
  };
  const follow = () => {
    clearInterval(timer);
    const on = state.get("playing");
    node.textContent = on ? "❚❚ Pause" : "▶ Play";
    if (!on) return;
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) rush();
    else timer = setInterval(() => step() || stop(), FRAME_MS);
  };
  node.addEventListener("click", () => state.set({ playing: !state.get("playing") }));
  state.on(["playing"], follow);
  follow();
  return () => clearInterval(timer);
}

function lead(root, state, run, reset) {
  const top = element(root, "div", { class: "mf-lead" });
  const options = Object.keys(ALGORITHMS).map((name) => [name, name]);
  choice(top, state, { trait: "algorithm", label: "outer loop", options });
  const buttons = element(top, "div", { class: "mf-buttons" });
  const play = button(buttons, "", () => {}, { class: "mf-primary" });
  button(buttons, "Step", () => run.step());
  button(buttons, "Reset", reset);
  return playing(state, run.step, play);
}

function build({ root, state, redraw, reset, status }) {
  const tasks = readTasks(state);
  const curvature = Math.max(...tasks.map((task) => largestCurvature(LINE, task)));
  const start = [...state.get("theta")];
  if (state.get("history").length === 0) state.set({ history: [start] });
  const run = runActions(state, tasks);
  const stop = lead(root, state, run, () => {
    state.set({ playing: false });
    run.begin(start);
    reset();
  });
  legend(root);
  const grid = element(root, "div", { class: "mf-grid mf-uneven" });
  const plane = new Plane(grid, tasks, { redraw, moveTheta: (theta) => state.set({ theta }) });
  const side = element(grid, "div", { class: "mf-side" });
  const panels = [plane, new DataPanel(side, tasks, redraw), new RunPanel(side, redraw)];
  const say = status().room([longestWords(tasks, curvature)]);
  const box = element(root, "div", { class: "mf-controls" });
  for (const range of rangesFor(tasks.length)) slider(box, state, range);
  state.on(["theta"], run.followTheta);
  state.on(["algorithm"], run.changeAlgorithm);
  state.on(FOLLOWED, redraw);
  const draw = () => {
    const view = compute(state, tasks);
    for (const panel of panels) panel.draw(view);
    say(describe(view, curvature));
  };
  return { draw, panels, stop };
}

export default figure({ name: "two_loops", label: LABEL, traits: TRAITS, build });
