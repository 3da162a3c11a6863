/**
 * Playground: one new sinusoid, a few points of it, and the same gradient descent from several
 * starts side by side. Constants and settings come from `__init__.py`.
 */
import { figure } from "../shared/lifecycle.js";
import { gradient, loss, network, plus, predict, uniforms } from "../shared/maths.js";
import { button, choice, decades, dragPoint, element, floats, format } from "../shared/ui.js";
import { formatLoss, panel, role, shortPower, slider, spread, svgElement } from "../shared/ui.js";

const MAX_STEPS = 20;
const MAX_SHOTS = 20;
const DIVERGED = 1e4; // beyond any loss worth drawing: the targets never exceed 5
const REGIONS = { everywhere: [-5, 5], "left half": [-5, 0], "right half": [0, 5] };
const RANGES = [
  { trait: "alpha", label: "inner rate α", min: 0.001, max: 0.1, step: 0.001, log: true, digits: 3 },
  { trait: "n_shots", label: "points", min: 1, max: MAX_SHOTS, step: 1, digits: 0 },
  { trait: "amplitude", label: "amplitude", min: 0.1, max: 5, step: 0.1, digits: 1 },
  { trait: "phase", label: "phase", min: 0, max: 3.14, step: 0.02, digits: 2 },
];
const STEPS = { trait: "n_inner_steps", label: "inner steps", min: 0, max: MAX_STEPS, step: 1, digits: 0 };
const LABEL = "Playground: one new sinusoid, several starts";
const TRAITS = ["amplitude", "phase", "n_shots", "alpha", "region", "seed", "points", "n_inner_steps"];

const grid = (n) => Float64Array.from({ length: n }, (_, k) => -5 + (10 * k) / (n - 1));
const CURVE_X = grid(101);
const JUDGED_X = grid(51); // the whole curve, not only the points shown

/** The starts as Python sent them: names, and one float32 block of all parameters. */
export function readStarts(state) {
  const net = network(state.get("sizes"), "relu");
  const all = Float64Array.from(floats(state.get("starts")));
  const starts = state.get("names").map((name, k) => ({
    name,
    theta: all.slice(k * net.nParams, (k + 1) * net.nParams),
  }));
  return { net, starts };
}

const wave = (state) => (x) => state.get("amplitude") * Math.sin(x - state.get("phase"));

/**
 * The K points to learn from. Entries of `points` are the reader's: [x, y], or [x, null] for a
 * point that stays on the curve. The rest is drawn from the seeded stream of x.
 */
export function supportPoints({ seed, region, nShots, points }, curve) {
  const [low, high] = REGIONS[region];
  const next = uniforms(seed);
  const shots = points.slice(0, nShots).map(([x, y]) => [x, y ?? curve(x)]);
  const taken = new Set(shots.map(([x]) => x));
  while (shots.length < nShots) {
    const x = low + (high - low) * next();
    if (!taken.has(x)) shots.push([x, curve(x)]);
  }
  return shots;
}

function currentPoints(state) {
  const settings = { seed: state.get("seed"), region: state.get("region") };
  const rest = { nShots: state.get("n_shots"), points: state.get("points") };
  return supportPoints({ ...settings, ...rest }, wave(state));
}

/** The same points as entries of the `points` trait: untouched ones follow the curve. */
function asEntries(state) {
  const points = state.get("points");
  return currentPoints(state).map(([x], k) => [x, points[k]?.[1] ?? null]);
}

/** From every start, a run of no steps yet on the points, and how to walk on from theta_k. */
export function newRuns({ net, starts }, state, shots) {
  const [curve, alpha] = [wave(state), state.get("alpha")];
  const xs = Float64Array.from(shots, ([x]) => x);
  const ys = Float64Array.from(shots, ([, y]) => y);
  const truth = JUDGED_X.map(curve);
  const judge = (theta) => loss(net, theta, JUDGED_X, truth);
  const step = (theta) => plus(theta, -alpha, gradient(net, theta, xs, ys));
  return starts.map(({ theta }) => ({
    path: [theta],
    losses: [judge(theta)],
    diverged: Infinity,
    judge,
    step,
  }));
}

/** Walks on until step k: theta_k, the loss over the whole curve there, and whether it is lost. */
export function walk(run, k) {
  while (run.path.length <= k) {
    run.path.push(run.step(run.path.at(-1)));
    run.losses.push(run.judge(run.path.at(-1)));
    const lost = !(run.losses.at(-1) < DIVERGED);
    if (lost) run.diverged = Math.min(run.diverged, run.path.length - 1);
  }
}

/** The runs on the given points: new ones only where something that they depend on has changed. */
function runsOn(source, state) {
  let [runs, computedFor] = [[], ""];
  return (shots) => {
    const key = JSON.stringify([shots, state.get("amplitude"), state.get("phase"), state.get("alpha")]);
    if (key !== computedFor) [runs, computedFor] = [newRuns(source, state, shots), key];
    return runs;
  };
}

const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

/** One start: the true curve, the model before and after, the points. */
class StartPanel {
  constructor(parent, { name }, index, actions) {
    const heading = { title: name, className: role(name) };
    const made = panel(parent, heading, panelOptions(name), actions.redraw);
    this.plot = made.plot;
    this.mse = made.note;
    const path = (name) => svgElement(this.plot.area, "path", { class: name });
    this.gap = path("mf-gap");
    this.truth = path("mf-truth");
    this.before = path("mf-before");
    this.after = path("mf-after");
    this.note = svgElement(this.plot.area, "text", { class: "mf-note", "text-anchor": "middle" });
    this.actions = actions;
    this.tabbable = actions.tabbable(index);
    this.points = [];
    this.start = /** @type {Float64Array | null} */ (null); // the curve before adapting
    if (actions.editable) this.addOnClick();
  }

  addOnClick() {
    this.plot.svg.classList.add("mf-editable");
    this.plot.svg.addEventListener("click", (event) => {
      if (event.detail < 2) this.actions.add(this.plot.pointOf(event));
    });
  }

  draw({ net, curve, shots, selected, k, run }) {
    const outcome = run.diverged <= k ? null : predict(net, run.path[k], CURVE_X);
    this.start ??= predict(net, run.path[0], CURVE_X); // always the same
    const pairs = (y) => Array.from(CURVE_X, (x, n) => [x, y[n]]);
    const truth = pairs(CURVE_X.map(curve));
    const after = outcome ? this.plot.line(pairs(outcome)) : "";
    this.truth.setAttribute("d", this.plot.line(truth));
    this.before.setAttribute("d", this.plot.line(pairs(this.start)));
    this.after.setAttribute("d", after);
    const back = this.plot.line(truth.reverse()).slice(1);
    this.gap.setAttribute("d", after && `${after}L${back}Z`);
    this.drawWords(k, run);
    this.drawPoints(shots, selected);
  }

  drawWords(k, { losses, diverged }) {
    const outcome = diverged <= k ? "diverged" : formatLoss(losses[k]);
    this.mse.replaceChildren(`MSE ${formatLoss(losses[0])} → `);
    element(this.mse, "strong", { text: outcome });
    const { left, top, width, height } = this.plot.box;
    this.note.setAttribute("x", left + width / 2);
    this.note.setAttribute("y", top + height / 2);
    this.note.textContent = diverged <= k ? `diverged after ${plural(diverged, "step")}` : "";
  }

  drawPoints(shots, selected) {
    while (this.points.length > shots.length) this.points.pop().node.remove();
    while (this.points.length < shots.length) this.points.push(this.makePoint(this.points.length));
    shots.forEach(([x, y], k) => {
      this.points[k].place([x, y], `x ${format(x, 1)}, y ${format(y, 1)}`);
      this.points[k].node.classList.toggle("mf-selected", k === selected);
    });
  }

  makePoint(k) {
    const { editable, move, remove, select } = this.actions;
    const point = dragPoint(this.plot, {
      label: `Point ${k + 1}`,
      step: 0.1,
      tabbable: editable && this.tabbable,
      className: editable ? "" : "mf-fixed",
      onMove: (to) => editable && move(k, to),
      onDelete: () => editable && remove(k),
    });
    svgElement(point.mark, "circle", { r: 5 });
    point.node.addEventListener("dblclick", () => editable && remove(k));
    for (const name of ["focus", "pointerdown"]) point.node.addEventListener(name, () => select(k));
    return point;
  }
}

const panelOptions = (name) => ({
  label: `The curve and the model from the start ${name}`,
  margin: [6, 8, 20, 26],
  height: (width) => Math.max(140, Math.min(215, Math.round(width * 0.5))),
  x: { min: -5, max: 5, ticks: [-4, -2, 0, 2, 4] },
  y: { min: -6, max: 6, ticks: [-5, 0, 5] },
});

/** Loss over the whole curve against inner steps, for all starts; choose the step here too. */
class ErrorPanel {
  constructor(parent, starts, { redraw, chooseStep }) {
    const heading = { title: "MSE against inner steps", note: "log scale" };
    this.plot = panel(parent, heading, errorOptions(), redraw).plot;
    this.now = svgElement(this.plot.area, "path", { class: "mf-now" });
    this.series = starts.map(({ name }, k) => this.makeSeries(name, k));
    this.grip = dragPoint(this.plot, {
      label: "Inner steps",
      step: 1,
      onMove: ([x]) => chooseStep(Math.round(x)),
    });
    svgElement(this.grip.mark, "path", { d: "M-6 -6H6V2L0 8L-6 2Z" });
    this.plot.svg.addEventListener("click", (event) => {
      chooseStep(Math.round(this.plot.pointOf(event)[0]));
    });
  }

  makeSeries(name, k) {
    const group = svgElement(this.plot.area, "g", { class: role(name) });
    const label = { class: `mf-label ${role(name)}`, text: name };
    return {
      name,
      line: svgElement(group, "path", { class: "mf-curve" }),
      dot: svgElement(group, "circle", { class: "mf-dot", r: 4.5 }),
      label: svgElement(this.plot.over, "text", label),
    };
  }

  draw({ k, runs }) {
    const { min, max } = this.plot.y;
    this.now.setAttribute("d", this.plot.line([[k, min], [k, max]]));
    this.grip.place([k, max], plural(k, "inner step"));
    const ends = runs.map((run, n) => this.drawSeries(this.series[n], run, k));
    const { top, height } = this.plot.box;
    spread(ends, 15, top + 8, top + height).forEach((y, n) => {
      this.series[n].label.setAttribute("x", this.plot.px(MAX_STEPS) + 6);
      this.series[n].label.setAttribute("y", y + 4);
    });
  }

  drawSeries({ name, line, dot, label }, { losses, diverged }, k) {
    const shown = losses.slice(0, Math.min(diverged, MAX_STEPS) + 1).map((value, n) => [n, value]);
    if (diverged < Infinity) shown[diverged][1] = this.plot.y.max;
    line.setAttribute("d", this.plot.line(shown));
    dot.setAttribute("visibility", k < diverged ? "visible" : "hidden");
    dot.setAttribute("cx", this.plot.px(k));
    dot.setAttribute("cy", k < diverged ? this.plot.py(losses[k]) : 0);
    label.textContent = diverged <= MAX_STEPS ? `${name} ✕` : name;
    return this.plot.py(shown.at(-1)[1]);
  }
}

/** Draws the errors of all steps: those not known yet are computed after the repaint. */
function errorsLater(errors, state) {
  let [runs, later] = [[], 0];
  const draw = () => {
    later = 0;
    runs.forEach((run) => walk(run, MAX_STEPS));
    errors.draw({ k: state.get("n_inner_steps"), runs });
  };
  const show = (current, complete) => {
    runs = current;
    if (complete) draw();
    else later ||= setTimeout(draw, 25);
  };
  return { show, cancel: () => clearTimeout(later) };
}

const errorOptions = () => ({
  label: "Mean squared error over the whole curve against the number of inner steps",
  margin: [14, 82, 20, 38],
  height: panelOptions("").height,
  x: { min: 0, max: MAX_STEPS, ticks: [0, 5, 10, 15, 20] },
  // The same for all settings, so that one can be compared with the next.
  y: { min: 1e-3, max: 1e2, log: true, ticks: decades(-3, 2), format: shortPower },
});

export function describe(state, runs, names) {
  const [k, shots] = [state.get("n_inner_steps"), state.get("n_shots")];
  const own = state.get("points").slice(0, shots).filter(([, y]) => y !== null).length;
  const each = runs.map(({ losses, diverged }, n) => {
    if (diverged <= k) return `${names[n]} diverged after ${plural(diverged, "step")}`;
    return `${names[n]} ${formatLoss(losses[0])} → ${formatLoss(losses[k])}`;
  });
  const alive = runs.map(({ losses, diverged }) => (diverged <= k ? Infinity : losses[k]));
  const best = alive.indexOf(Math.min(...alive));
  const verdict = Math.min(...alive) < Infinity ? `Closest: ${names[best]}.` : "The rate α is too large.";
  const mine = own ? `, ${own} of them yours` : "";
  return (
    `After ${plural(k, "inner step")} at α = ${format(state.get("alpha"), 3)} on ` +
    `${plural(shots, "point")}${mine}: MSE over the whole curve ${each.join("; ")}. ${verdict}`
  );
}

/** The longest that the read-out can become: from all starts but one the steps diverge. */
function longestWords(names) {
  const shots = Array(MAX_SHOTS).fill([0, 0]);
  const settings = { n_inner_steps: MAX_STEPS, n_shots: MAX_SHOTS, alpha: 0.1, points: shots };
  const lost = { losses: [1], diverged: MAX_STEPS };
  const kept = { losses: Array(MAX_STEPS + 1).fill(0.0123), diverged: Infinity };
  const state = { get: (trait) => settings[trait] };
  return names.map((_, best) => describe(state, names.map((_, n) => (n === best ? kept : lost)), names));
}

function legend(parent) {
  const list = element(parent, "ul", { class: "mf-legend" });
  for (const [name, text] of [
    ["truth", "true curve"],
    ["before", "model before"],
    ["after", "model after"],
    ["gap", "error left"],
    ["point", "points to learn from"],
  ]) {
    const item = element(list, "li");
    const swatch = svgElement(item, "svg", { width: 26, height: 12, "aria-hidden": "true" });
    if (name === "point") svgElement(swatch, "circle", { class: "mf-swatch-point", cx: 13, cy: 6, r: 5 });
    else if (name === "gap") svgElement(swatch, "path", { class: "mf-gap", d: "M0 0H26V12H0Z" });
    else svgElement(swatch, "path", { class: `mf-${name}`, d: "M0 6H26" });
    element(item, "span", { text });
  }
}

/** A place for a new point: the middle of the widest gap in x, on the curve. */
export function widestGap(shots) {
  const xs = [-5, ...shots.map(([x]) => x).sort((p, q) => p - q), 5];
  const widths = xs.slice(1).map((x, k) => x - xs[k]);
  const at = widths.indexOf(Math.max(...widths));
  return Math.round((xs[at] + xs[at + 1]) * 50) / 100;
}

/** What the reader can do to the points; every change goes through the traits. */
function pointActions(state, redraw) {
  let selected = null;
  const put = (entries) => state.set({ points: entries, n_shots: entries.length });
  const actions = {
    move(k, [x, y]) {
      const round = (value) => Math.round(value * 100) / 100;
      put(asEntries(state).map((entry, n) => (n === k ? [round(x), round(y)] : entry)));
    },
    add([x, y]) {
      if (state.get("n_shots") < MAX_SHOTS) put([...asEntries(state), [x, y]]);
    },
    remove(k) {
      if (state.get("n_shots") > 1) put(asEntries(state).filter((_, n) => n !== k));
    },
    select(k) {
      selected = k;
      redraw();
    },
    selected: () => selected,
    addInGap: () => actions.add([widestGap(currentPoints(state)), null]),
    removeSelected: () => actions.remove(Math.min(selected ?? Infinity, state.get("n_shots") - 1)),
  };
  return actions;
}

/** Steps forward a few times a second, from 0 to 10. */
function player(state, node) {
  let timer = 0;
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    node.textContent = "▶ Play steps";
  };
  const tick = () => {
    const k = state.get("n_inner_steps");
    if (k >= 10) stop();
    else state.set({ n_inner_steps: k + 1 });
  };
  node.addEventListener("click", () => {
    if (timer) return stop();
    if (state.get("n_inner_steps") >= 10) state.set({ n_inner_steps: 0 });
    node.textContent = "❚❚ Pause";
    timer = setInterval(tick, 450);
  });
  stop();
  return stop;
}

function lead(parent, state, shown, reset) {
  const row = element(parent, "div", { class: "mf-lead" });
  const stepping = shown.includes("n_inner_steps");
  if (stepping) slider(row, state, STEPS);
  const buttons = element(row, "div", { class: "mf-buttons" });
  const play = stepping && button(buttons, "", () => {}, { class: "mf-primary" });
  const stop = stepping ? player(state, play) : () => {};
  button(buttons, "Reset", () => {
    stop();
    reset();
  });
  return stop;
}

function controls(parent, state, shown, points) {
  const box = element(parent, "div", { class: "mf-controls" });
  for (const range of RANGES) if (shown.includes(range.trait)) slider(box, state, range);
  const row = element(parent, "div", { class: "mf-buttons" });
  if (shown.includes("region")) {
    const options = Object.keys(REGIONS).map((name) => [name, name]);
    choice(row, state, { trait: "region", label: "points lie", options });
  }
  if (shown.includes("seed")) {
    button(row, "New points", () => state.set({ points: [], seed: state.get("seed") + 1 }));
  }
  if (shown.includes("points")) {
    button(row, "Add point", points.addInGap);
    button(row, "Remove point", points.removeSelected);
  }
}

/** A panel for each start, and one for the errors of all. */
function makePanels(root, { starts }, state, actions) {
  const box = element(root, "div", { class: "mf-grid" });
  const tabbable = (k) => k === starts.length - 1; // one tab stop per point is enough
  const panels = starts.map((start, k) => new StartPanel(box, start, k, { ...actions, tabbable }));
  const chooseStep = (k) => state.set({ n_inner_steps: k });
  return { panels, errors: new ErrorPanel(box, starts, { redraw: actions.redraw, chooseStep }) };
}

function build({ root, state, redraw, reset, status }) {
  const [source, shown] = [readStarts(state), state.get("controls")];
  const points = pointActions(state, redraw);
  const stopPlaying = lead(root, state, shown, reset);
  legend(root);
  const actions = { ...points, redraw, editable: shown.includes("points") };
  const { panels, errors } = makePanels(root, source, state, actions);
  const say = status().room(longestWords(state.get("names")));
  controls(root, state, shown, points);
  state.on(["seed", "region"], () => state.set({ points: [] }));
  const [runsFor, later] = [runsOn(source, state), errorsLater(errors, state)];
  const draw = () => {
    const [k, shots] = [state.get("n_inner_steps"), currentPoints(state)];
    const runs = runsFor(shots);
    const complete = runs.every(({ path }) => path.length > MAX_STEPS);
    runs.forEach((run) => walk(run, k));
    const view = { net: source.net, curve: wave(state), shots, selected: points.selected(), k };
    panels.forEach((panel, n) => panel.draw({ ...view, run: runs[n] }));
    say(describe(state, runs, state.get("names")));
    later.show(runs, complete);
  };
  const stop = () => {
    stopPlaying();
    later.cancel();
  };
  return { draw, panels: [...panels, errors], stop };
}

export default figure({ name: "playground", label: LABEL, traits: TRAITS, build });
