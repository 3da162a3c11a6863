/**
 * Family map: which pairs of inner and outer rate learn, stall or diverge, for each algorithm.
 * All numbers come from `__init__.py`, as one grid of float32; here they are only sorted.
 *
 * @typedef {"learns" | "stalls" | "diverges"} Verdict
 * @typedef {{curve: number[], last: number, verdict: Verdict}} Run one training
 * @typedef {{i: number, j: number, last: number} | null} Best index of alpha, of beta, and its MSE
 */
import { figure } from "../shared/lifecycle.js";
import { button, choice, element, floats, formatLoss, nearest, panel } from "../shared/ui.js";
import { role, slider, spread, svgElement, uniqueId } from "../shared/ui.js";

const LEARNS = 1 / 2; // of the reference, at most
const DIVERGES = 10; // times the reference, at least
const N_SHADES = 5; // each stands for half the MSE of the one before
const LABEL = "Family map: where each algorithm learns, over its two rates";
const TRAITS = ["algorithm", "alpha", "beta"];

/** The MSEs of one training; the grid is (algorithm, alpha, beta, stage) in C order. */
export function curveOf(numbers, shape, [a, i, j]) {
  const row = (a * shape[1] + i) * shape[2] + j;
  return Array.from(numbers.subarray(row * shape[3], (row + 1) * shape[3]));
}

/** @returns {Verdict} */
export function classify(last, reference) {
  if (!Number.isFinite(last) || last > DIVERGES * reference) return "diverges";
  return last <= LEARNS * reference ? "learns" : "stalls";
}

/** All trainings of one algorithm, by index of alpha and of beta. */
export function runsOf(numbers, shape, reference, a) {
  return Array.from({ length: shape[1] }, (_, i) =>
    Array.from({ length: shape[2] }, (_, j) => {
      const curve = curveOf(numbers, shape, [a, i, j]);
      return { curve, last: curve.at(-1), verdict: classify(curve.at(-1), reference) };
    }),
  );
}

/** @returns {Best} the training with the lowest last MSE, null if none is finite */
export function bestOf(runs) {
  const all = runs.flatMap((column, i) => column.map(({ last }, j) => ({ i, j, last })));
  const finite = all.filter(({ last }) => Number.isFinite(last));
  return finite.length ? finite.reduce((best, one) => (one.last < best.last ? one : best)) : null;
}

/** How many trainings learn, stall and diverge. */
export function count(runs) {
  const all = runs.flat();
  const number = (verdict) => all.filter((run) => run.verdict === verdict).length;
  return { learns: number("learns"), stalls: number("stalls"), diverges: number("diverges") };
}

/** Which shade, from 0 for half of the reference to N_SHADES - 1 for the lowest MSEs. */
export function shadeOf(last, reference) {
  const halvings = Math.floor(Math.log2((LEARNS * reference) / last));
  return Math.max(0, Math.min(N_SHADES - 1, halvings));
}

/**
 * A curve on a plot that ends at `top`: its finite stretches and, if it does not end in a finite
 * value, the point where it was lost, held inside the plot.
 * @returns {{pieces: number[][][], lost: number[] | null}} points are stage and MSE
 */
export function trace(curve, top) {
  const pieces = [[]];
  curve.forEach((mse, stage) => {
    if (Number.isFinite(mse)) pieces.at(-1).push([stage, mse]);
    else if (pieces.at(-1).length) pieces.push([]);
  });
  const shown = pieces.filter((piece) => piece.length);
  if (Number.isFinite(curve.at(-1))) return { pieces: shown, lost: null };
  const [stage, mse] = shown.at(-1)?.at(-1) ?? [0, top];
  return { pieces: shown, lost: [stage, Math.min(mse, top)] };
}

/** An MSE short enough for a cell: 3.6, 0.55, 0.055, 44. */
export function inCell(value) {
  return value >= 10 ? value.toFixed(0) : value.toPrecision(2);
}

/** .055 for 0.055: there is room for seven of them on a phone. */
const short = (text) => text.replace(/^0\./, ".");

/** Everything the picture shows. `maps` are the runs of all algorithms. */
export function compute(state, { maps, names, alphas, betas, reference, nMetaSteps }) {
  const a = names.indexOf(state.get("algorithm"));
  const [i, j] = [nearest(alphas, state.get("alpha")), nearest(betas, state.get("beta"))];
  const runs = maps[a];
  const here = maps.map((map) => map[i][j]);
  const rates = { alphas, betas, alpha: alphas[i], beta: betas[j] };
  return { a, i, j, runs, here, run: runs[i][j], best: bestOf(runs), names, reference, nMetaSteps, ...rates };
}

/** The map of one algorithm: a cell for each pair of rates. */
class MapPanel {
  constructor(parent, source, onChoose, redraw) {
    const { alphas, betas, nMetaSteps } = source;
    const note = `after ${nMetaSteps.toLocaleString("en")} outer steps`;
    const parts = panel(parent, { title: "MSE", note, className: "mf-map" }, mapOptions(alphas, betas), redraw);
    this.plot = parts.plot;
    this.title = parts.box.querySelector("b");
    const hatch = makeHatch(this.plot.svg);
    this.cells = alphas.map((alpha, i) =>
      betas.map((beta, j) => this.makeCell(hatch, () => onChoose({ alpha: alphas[i], beta: betas[j] }))),
    );
    this.best = svgElement(this.plot.over, "path", { class: "mf-best" });
    this.frames = ["mf-frame-under", "mf-frame"].map((name) =>
      svgElement(this.plot.over, "rect", { class: name, rx: 3 }),
    );
  }

  makeCell(hatch, onClick) {
    const group = svgElement(this.plot.over, "g", { class: "mf-cell" });
    const box = svgElement(group, "rect", { class: "mf-fill", rx: 3 });
    const lines = svgElement(group, "rect", { class: "mf-hatch", rx: 3, fill: `url(#${hatch})` });
    const cross = svgElement(group, "path", { class: "mf-cross" });
    const text = svgElement(group, "text", { "text-anchor": "middle" });
    const title = svgElement(group, "title");
    group.addEventListener("click", onClick);
    return { group, box, lines, cross, text, title };
  }

  draw(view) {
    const { names, a, runs, best, i, j } = view;
    this.title.textContent = `${names[a]}: MSE after adapting`;
    const [w, h] = this.cellSize();
    runs.forEach((column, i) => column.forEach((run, j) => this.drawCell(i, j, run, view, [w, h])));
    const [x, y] = [this.plot.px(i) - w / 2, this.plot.py(j) - h / 2];
    for (const frame of this.frames) placeRect(frame, x, y, w, h);
    const corner = best && [this.plot.px(best.i) + w / 2 - 5.5, this.plot.py(best.j) - h / 2 + 5.5];
    this.best.setAttribute("d", best ? star(corner, 4.4) : "");
    this.best.setAttribute("class", `mf-best ${best ? this.shade(runs[best.i][best.j], view) : ""}`);
  }

  cellSize() {
    const { plot } = this;
    return [plot.px(1) - plot.px(0), plot.py(0) - plot.py(1)];
  }

  shade({ verdict, last }, { reference }) {
    return verdict === "learns" ? `mf-shade-${shadeOf(last, reference)}` : `mf-${verdict}`;
  }

  drawCell(i, j, run, view, [w, h]) {
    const { group, box, lines, cross, text, title } = this.cells[i][j];
    const [x, y] = [this.plot.px(i), this.plot.py(j)];
    group.setAttribute("class", `mf-cell ${this.shade(run, view)}`);
    for (const node of [box, lines]) placeRect(node, x - w / 2 + 1, y - h / 2 + 1, w - 2, h - 2);
    const diverges = run.verdict === "diverges";
    cross.setAttribute("d", diverges ? crossAt([x, y], 5) : "");
    text.textContent = diverges ? "" : short(inCell(run.last));
    text.setAttribute("x", x);
    text.setAttribute("y", y + 4);
    const rates = `α = ${view.alphas[i]}, β = ${view.betas[j]}`;
    title.textContent = `${rates}: ${diverges ? "" : `MSE ${formatLoss(run.last)}, `}${run.verdict}`;
  }
}

function placeRect(node, x, y, width, height) {
  for (const [name, value] of Object.entries({ x, y, width, height })) node.setAttribute(name, value.toFixed(1));
}

/** @param {number[]} centre */
const crossAt = ([x, y], r) => `M${x - r} ${y - r}l${2 * r} ${2 * r}m0 ${-2 * r}l${-2 * r} ${2 * r}`;

/** A five-pointed star. */
/** @param {number[]} centre */
function star([x, y], r) {
  const corners = Array.from({ length: 10 }, (_, k) => {
    const [size, turn] = [k % 2 ? 0.42 * r : r, (k * Math.PI) / 5];
    return `${(x + size * Math.sin(turn)).toFixed(1)} ${(y - size * Math.cos(turn)).toFixed(1)}`;
  });
  return `M${corners.join("L")}Z`;
}

/** Slanting lines to fill with; returns their id. */
function makeHatch(svg) {
  const id = uniqueId("hatch");
  const size = { width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" };
  const pattern = svgElement(svgElement(svg, "defs"), "pattern", { id, ...size });
  svgElement(pattern, "path", { class: "mf-hatch-line", d: "M0 0V6" });
  return id;
}

const indexAxis = (values, label) => ({
  min: -0.5,
  max: values.length - 0.5,
  ticks: values.map((_, k) => k),
  format: (k) => short(String(values[k])),
  label,
});

const mapOptions = (alphas, betas) => ({
  label: "Map of the trainings: the inner rate to the right, the outer rate upwards",
  margin: [6, 8, 38, 60],
  height: (width) => Math.round(Math.min(width - 68, 330) * 0.86) + 44,
  x: indexAxis(alphas, "inner rate α"),
  y: indexAxis(betas, "outer rate β"),
});

/** The trainings of all algorithms at the chosen rates. */
class CurvesPanel {
  constructor(parent, source, onChoose, redraw) {
    const heading = { title: "Training", note: `dashed: ${formatLoss(LEARNS * source.reference)}` };
    const parts = panel(parent, heading, curveOptions(source), redraw);
    this.plot = parts.plot;
    this.title = parts.box.querySelector("b");
    this.level = svgElement(this.plot.area, "path", { class: "mf-level" });
    this.series = source.names.map((name) => this.makeSeries(name, () => onChoose({ algorithm: name })));
  }

  makeSeries(name, onClick) {
    const className = role(name);
    const group = svgElement(this.plot.area, "g", { class: className });
    const over = svgElement(this.plot.over, "g", { class: className });
    const path = (kind, parent) => svgElement(parent, "path", { class: kind });
    const parts = { curve: path("mf-run", group), leader: path("mf-leader", over), lost: path("mf-lost", over) };
    const label = svgElement(over, "text", { class: "mf-label mf-member" });
    label.addEventListener("click", onClick);
    return { name, className, group, over, label, ...parts };
  }

  draw({ here, a, alpha, beta, reference, nMetaSteps }) {
    const { plot } = this;
    this.title.textContent = `All at α = ${alpha}, β = ${beta}`;
    const level = LEARNS * reference;
    this.level.setAttribute("d", plot.line([[plot.x.min, level], [plot.x.max, level]]));
    const perStage = nMetaSteps / (here[0].curve.length - 1);
    const ends = this.series.map((one, k) => this.drawSeries(one, here[k].curve, k === a, perStage));
    this.drawLabels(ends, here);
    this.stack(this.series[a]);
  }

  /** The chosen one is drawn over the others. */
  stack(chosen) {
    for (const one of [...this.series.filter((one) => one !== chosen), chosen]) {
      this.plot.area.append(one.group);
      this.plot.over.append(one.over);
    }
  }

  /** Returns the pixel where the curve ends. */
  drawSeries({ className, group, over, curve, lost }, values, chosen, perStage) {
    const { plot } = this;
    const { pieces, lost: where } = trace(values, plot.y.max);
    const steps = (points) => points.map(([stage, mse]) => [stage * perStage, mse]);
    curve.setAttribute("d", pieces.map((piece) => plot.line(steps(piece))).join(""));
    for (const node of [group, over]) node.setAttribute("class", `${className} ${chosen ? "mf-chosen" : ""}`);
    const [stage, mse] = where ?? [values.length - 1, values.at(-1)];
    const at = [plot.px(stage * perStage), Math.max(plot.box.top, plot.py(mse))];
    lost.setAttribute("d", where ? crossAt(at, 4) : "");
    return at;
  }

  /** Names at the right, apart from each other, each led to from the end of its curve. */
  drawLabels(ends, here) {
    const { left, top, width, height } = this.plot.box;
    const edge = left + width;
    const places = spread(ends.map(([, y]) => y), 14, top + 6, top + height - 4);
    this.series.forEach(({ name, label, leader }, k) => {
      const lost = !Number.isFinite(here[k].last);
      label.textContent = lost ? `× ${name}` : name;
      label.setAttribute("x", edge + 16);
      label.setAttribute("y", places[k] + 4);
      leader.setAttribute("d", lost ? "" : `M${edge + 1} ${ends[k][1]}L${edge + 13} ${places[k]}`);
    });
  }
}

const curveOptions = ({ nMetaSteps, low, high }) => ({
  label: "Training curves of all algorithms at the chosen rates",
  margin: [8, 98, 38, 42],
  height: (width) => Math.round(Math.min(Math.max(width - 68, 240), 330) * 0.86) + 44,
  x: { min: 0, max: nMetaSteps, ticks: [0, nMetaSteps / 2, nMetaSteps], label: "outer steps" },
  y: { min: low, max: high, log: true, ticks: logTicks(low, high), format: String },
});

/** 0.1, 0.3, 1, 3, ... between two ends. */
export function logTicks(low, high) {
  const all = Array.from({ length: 24 }, (_, k) => Number(`${k % 2 ? 3 : 1}e${Math.floor(k / 2) - 6}`));
  return all.filter((value) => value >= low && value <= high);
}

/** What the status line says. */
export function describe({ names, a, i, j, runs, run, best, alpha, beta, alphas, betas, nMetaSteps }) {
  const { learns, stalls, diverges } = count(runs);
  const total = runs.flat().length;
  const top = best && `${formatLoss(best.last)} at α = ${alphas[best.i]}, β = ${betas[best.j]}`;
  const bestText = best && best.i === i && best.j === j ? "This is the best of the map" : `Best of the map: ${top}`;
  return (
    `${names[a]}, α = ${alpha}, β = ${beta}: ${story(run.curve, run.verdict, nMetaSteps)}. ` +
    `${best ? bestText : "No cell of the map ends finite"}; ` +
    `${learns} cells of ${total} learn, ${stalls} stall, ${diverges} diverge.`
  );
}

/** All that the read-out can say. */
function allWords(source) {
  const { names, alphas, betas } = source;
  return names.flatMap((algorithm) =>
    alphas.flatMap((alpha) =>
      betas.map((beta) => {
        const given = { algorithm, alpha, beta };
        return describe(compute({ get: (trait) => given[trait] }, source));
      }),
    ),
  );
}

/** One training in words. */
export function story(curve, verdict, nMetaSteps) {
  const [start, steps] = [formatLoss(curve[0]), nMetaSteps.toLocaleString("en")];
  const stopped = curve.findIndex(Number.isNaN);
  if (stopped < 0) return `MSE ${start} → ${formatLoss(curve.at(-1))} in ${steps} outer steps: it ${verdict}`;
  const per = nMetaSteps / (curve.length - 1);
  return `MSE ${start} → not finite within ${(stopped * per).toLocaleString("en")} outer steps: it diverges`;
}

function legend(parent, reference) {
  const list = element(parent, "ul", { class: "mf-legend" });
  const swatch = (classNames, text, draw) => {
    const item = element(list, "li");
    const svg = svgElement(item, "svg", { width: 20 * classNames.length, height: 16, "aria-hidden": "true" });
    classNames.forEach((name, k) => draw(svgElement(svg, "g", { class: `mf-cell ${name}` }), 20 * k, svg));
    element(item, "span", { text });
  };
  const box = (group, x) => svgElement(group, "rect", { class: "mf-fill", x: x + 0.5, width: 19, height: 16, rx: 2 });
  const [half, wild] = [LEARNS * reference, DIVERGES * reference].map(formatLoss);
  const shades = Array.from({ length: N_SHADES }, (_, k) => `mf-shade-${k}`);
  swatch(shades, `learns: at most ${half}, half per shade`, box);
  swatch(["mf-stalls"], `stalls: above ${half}`, (group, x, svg) => {
    box(group, x);
    svgElement(group, "rect", { class: "mf-hatch", x: x + 0.5, width: 19, height: 16, fill: `url(#${makeHatch(svg)})` });
  });
  swatch(["mf-diverges"], `diverges: not finite, or above ${wild}`, (group, x) => {
    box(group, x);
    svgElement(group, "path", { class: "mf-cross", d: crossAt([x + 10, 8], 4.5) });
  });
  swatch([""], "best cell", (group) => svgElement(group, "path", { class: "mf-best", d: star([10, 8], 6.5) }));
}

/** Where the line between learning and stalling comes from. */
function criterion(parent, reference) {
  const [half, whole] = [LEARNS * reference, reference].map(formatLoss);
  const text = `${half} is half of ${whole}, the median of the MSEs before training that are finite.`;
  element(parent, "p", { class: "mf-criterion", text });
}

/** The best cell of each algorithm, as a row of buttons that go there. */
function bests(parent, state, { maps, names, alphas, betas }) {
  const row = element(parent, "div", { class: "mf-bests", role: "group", "aria-label": "Best cell of each algorithm" });
  element(row, "span", { text: "Best of each:" });
  maps.map(bestOf).forEach((best, k) => {
    if (!best) return;
    const rates = { alpha: alphas[best.i], beta: betas[best.j] };
    const node = button(row, names[k], () => state.set({ algorithm: names[k], ...rates }));
    node.title = `α = ${rates.alpha}, β = ${rates.beta}`;
    element(node, "b", { text: ` ${inCell(best.last)}` });
  });
}

/** A slider on whose axis only the values of a grid can be reached. */
function gridSlider(parent, state, { trait, label, values }) {
  const ends = { min: values[0], max: values.at(-1), step: 0.0001, log: true, digits: 4 };
  const snapping = {
    ...state,
    set: (change) => state.set({ [trait]: values[nearest(values, change[trait])] }),
  };
  const row = slider(parent, snapping, { trait, label, ...ends });
  // One press of an arrow key is one value of the grid. A little less, or the last one is lost.
  const spacing = Math.log10(ends.max / ends.min) / (values.length - 1);
  const bar = row.querySelector("input[type=range]");
  bar.step = Math.floor(spacing * 1e6 - 1) / 1e6;
  bar.value = Math.log10(state.get(trait)); // rounded to the old step until now
}

/** The model's constants, decoded once. */
export function readSource(state) {
  const [numbers, shape] = [floats(state.get("grid")), state.get("shape")];
  const reference = state.get("reference");
  const maps = Array.from({ length: shape[0] }, (_, a) => runsOf(numbers, shape, reference, a));
  const lowest = Math.min(LEARNS * reference, ...maps.map((map) => bestOf(map)?.last ?? Infinity).filter((x) => x > 0));
  const constants = { names: state.get("names"), alphas: state.get("alphas"), betas: state.get("betas") };
  const axis = { low: lowest * 0.8, high: reference * 3 };
  return { ...constants, maps, reference, nMetaSteps: state.get("n_meta_steps"), ...axis };
}

function lead(root, state, { names }, reset) {
  const top = element(root, "div", { class: "mf-lead" });
  const options = names.map((name) => [name, name]);
  choice(top, state, { trait: "algorithm", label: "algorithm", options });
  button(element(top, "div", { class: "mf-buttons" }), "Reset", reset);
}

function controls(root, state, { alphas, betas }) {
  const box = element(root, "div", { class: "mf-controls" });
  gridSlider(box, state, { trait: "alpha", label: "inner rate α", values: alphas });
  gridSlider(box, state, { trait: "beta", label: "outer rate β", values: betas });
}

function build({ root, state, redraw, reset, status }) {
  const source = readSource(state);
  lead(root, state, source, reset);
  legend(root, source.reference);
  const grid = element(root, "div", { class: "mf-grid" });
  const choose = (chosen) => state.set(chosen);
  const map = new MapPanel(grid, source, choose, redraw);
  const panels = [map, new CurvesPanel(grid, source, choose, redraw)];
  criterion(root, source.reference);
  const say = status().room(allWords(source));
  controls(root, state, source);
  bests(root, state, source);
  const draw = () => {
    const view = compute(state, source);
    for (const panel of panels) panel.draw(view);
    say(describe(view));
  };
  return { draw, panels };
}

export default figure({ name: "family_map", label: LABEL, traits: TRAITS, build });
