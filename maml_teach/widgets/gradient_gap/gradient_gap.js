/**
 * Gradient gap: the directions of FOMAML and Reptile beside the exact meta-gradient, over the
 * inner rate and the number of inner steps. All numbers come from `__init__.py`, as one grid
 * of float32; nothing is computed here but means and ranges over batches.
 *
 * @typedef {{mean: number, low: number, high: number, all: number[]}} Spread over batches
 * @typedef {{angle: Spread, length: Spread}} Gap of one algorithm, lengths of the exact gradient
 * @typedef {{FOMAML: Gap, Reptile: Gap, loss: number, nBatches: number, nDiverged: number}} Cell
 */
import { figure } from "../shared/lifecycle.js";
import { button, choice, element, floats, formatLoss, nearest, panel } from "../shared/ui.js";
import { shortPower, slider, spread, svgElement } from "../shared/ui.js";

const ALGORITHMS = [
  { name: "FOMAML", scaled: "FOMAML", className: "mf-role-fomaml", side: 1 },
  { name: "Reptile", scaled: "Reptile ÷ K", className: "mf-role-reptile", side: -1 },
];
const LIMIT = 2; // arrows end at the rim of the dial, this many exact gradients from its centre
const REACH = { x: 2.42, y: 2.5 }; // what the dial shows around the rim
const RIGHT_ANGLE = 90;
const LABEL = "Gradient gap: FOMAML and Reptile beside the exact meta-gradient";
const TRAITS = ["start", "alpha", "n_inner_steps"];

/**
 * One batch of one cell of the grid, (start, alpha, K - 1, batch, quantity) in C order.
 * @param {number[]} shape @param {number[]} index start, alpha, K - 1, batch
 */
export function entry(numbers, shape, index) {
  const row = index.reduce((sum, n, axis) => sum * shape[axis] + n, 0);
  const [fomamlAngle, fomamlLength, reptileAngle, reptileLength, loss] = numbers.subarray(
    row * shape[4],
    (row + 1) * shape[4],
  );
  return { fomamlAngle, fomamlLength, reptileAngle, reptileLength, loss };
}

/** Mean and range of numbers; NaN throughout if one of them is NaN. */
export function spreadOf(all) {
  const mean = all.reduce((sum, value) => sum + value, 0) / all.length;
  return { mean, low: Math.min(...all), high: Math.max(...all), all };
}

/** A cell over all batches. Reptile sums K gradients, so its length is divided by K here. */
export function cell(numbers, shape, [start, alpha, k]) {
  const entries = Array.from({ length: shape[3] }, (_, batch) => entry(numbers, shape, [start, alpha, k, batch]));
  const over = (read) => spreadOf(entries.map(read));
  const loss = over((e) => e.loss);
  return {
    FOMAML: { angle: over((e) => e.fomamlAngle), length: over((e) => e.fomamlLength) },
    Reptile: { angle: over((e) => e.reptileAngle), length: over((e) => e.reptileLength / (k + 1)) },
    loss: loss.mean,
    nBatches: entries.length,
    nDiverged: loss.all.filter(Number.isNaN).length,
  };
}

/** Everything the picture shows: the chosen cell, and all cells of the same start and K. */
export function compute(state, source) {
  const { numbers, shape, alphas } = source;
  const k = state.get("n_inner_steps") - 1;
  const start = state.get("names").indexOf(state.get("start"));
  const cells = alphas.map((_, n) => cell(numbers, shape, [start, n, k]));
  const chosen = nearest(alphas, state.get("alpha"));
  const before = state.get("losses_before")[start];
  // Not "loss > before": a loss that is NaN does harm as well.
  const harmful = cells.map(({ loss }) => !(loss <= before));
  return { name: state.get("start"), k: k + 1, alphas, cells, chosen, now: cells[chosen], before, harmful };
}

/** A ratio in two figures: 1.2, 0.073, 14. */
export function times(value) {
  if (value < 0.001) return "under 0.001";
  return value >= 10 ? value.toFixed(0) : value.toPrecision(2);
}

/** An angle in degrees and a length, as a point; `side` is 1 for upwards, -1 for downwards. */
export function polar(angle, length, side) {
  const radians = (angle * Math.PI) / 180;
  return [length * Math.cos(radians), side * length * Math.sin(radians)];
}

const range = (from, to, n) => Array.from({ length: n + 1 }, (_, k) => from + ((to - from) * k) / n);
const arc = (from, to, radius, side, n = 120) => range(from, to, n).map((angle) => polar(angle, radius, side));

/** The dial: the exact gradient to the right, the others at their angle from it. */
class Dial {
  constructor(parent, redraw) {
    const heading = { title: "Directions", note: "shaded: beyond 90°, a step raises F" };
    this.plot = panel(parent, heading, dialOptions(), redraw).plot;
    const path = (name, group = this.plot.area) => svgElement(group, "path", { class: name });
    this.climbs = path("mf-climbs");
    this.circles = [path("mf-unit"), path("mf-rim"), path("mf-right-angle")];
    const number = (text) => svgElement(this.plot.area, "text", { class: "mf-quiet mf-small", text });
    this.numbers = [1, LIMIT].map((radius) => ({ radius, node: number(String(radius)) }));
    this.hands = ALGORITHMS.map((algorithm) => this.makeHand(algorithm));
    const exact = svgElement(this.plot.area, "g", { class: "mf-role-maml" });
    this.exact = { shaft: path("mf-curve", exact), head: path("mf-head", exact) };
    this.exactLabel = svgElement(exact, "text", { class: "mf-label mf-halo", text: "exact ∇F" });
    this.note = svgElement(this.plot.over, "text", { class: "mf-note", "text-anchor": "middle" });
    svgElement(this.plot.over, "circle", { class: "mf-hub", r: 3.5 });
  }

  makeHand({ name, className, side }) {
    const group = svgElement(this.plot.area, "g", { class: className });
    const path = (kind) => svgElement(group, "path", { class: kind });
    const parts = { wedge: path("mf-gap"), ray: path("mf-ray"), shaft: path("mf-curve") };
    Object.assign(parts, { head: path("mf-head"), cut: path("mf-cut"), dots: svgElement(group, "g") });
    const words = svgElement(this.plot.over, "g", { class: className });
    const line = (size) => svgElement(words, "text", { class: `mf-label mf-halo ${size}` });
    return { name, side, group, words, lines: [line("mf-big"), line("mf-small")], ...parts };
  }

  draw({ now, chosen, alphas }) {
    if (this.faceWidth !== this.plot.widthOf) this.drawFace(); // it depends on nothing else
    const diverged = now.nDiverged > 0;
    for (const hand of this.hands) {
      for (const node of [hand.group, hand.words]) node.setAttribute("visibility", diverged ? "hidden" : "visible");
      if (!diverged) this.drawHand(hand, now[hand.name]);
    }
    this.exactLabel.parentNode.setAttribute("visibility", diverged ? "hidden" : "visible");
    this.note.textContent = diverged ? `the inner loop diverges at α = ${alphas[chosen]}` : "";
    this.put(this.note, [0, 0.9]);
  }

  put(node, point, [dx, dy] = [0, 0]) {
    node.setAttribute("x", this.plot.px(point[0]) + dx);
    node.setAttribute("y", this.plot.py(point[1]) + dy);
  }

  drawFace() {
    this.faceWidth = this.plot.widthOf;
    const [unit, rim, middle] = this.circles;
    const circle = (radius) => `${this.plot.line(arc(-180, 180, radius, 1))}Z`;
    unit.setAttribute("d", circle(1));
    rim.setAttribute("d", circle(LIMIT));
    middle.setAttribute("d", this.plot.line([[0, -LIMIT], [0, LIMIT]]));
    this.climbs.setAttribute("d", `${this.plot.line(arc(90, 270, LIMIT, 1))}Z`);
    for (const { radius, node } of this.numbers) this.put(node, [-radius, 0], [4, -4]);
    this.drawArrow(this.exact, [1, 0]);
    this.put(this.exactLabel, [1, 0], [7, 4]);
    const hub = this.plot.over.querySelector(".mf-hub");
    hub.setAttribute("cx", this.plot.px(0));
    hub.setAttribute("cy", this.plot.py(0));
  }

  /** Dashed shaft, solid head: a dashed head would not be read as one. */
  drawArrow({ shaft, head }, tip) {
    const [x, y] = [this.plot.px(tip[0]), this.plot.py(tip[1])];
    const [dx, dy] = [x - this.plot.px(0), y - this.plot.py(0)];
    const length = Math.hypot(dx, dy) || 1;
    const size = Math.min(12, length);
    const [ux, uy] = [(dx / length) * size, (dy / length) * size];
    const base = [x - ux, y - uy];
    shaft.setAttribute("d", `M${this.plot.px(0)} ${this.plot.py(0)}L${base.map((p) => p.toFixed(1)).join(" ")}`);
    const wing = (s) => `${(base[0] - s * uy * 0.45).toFixed(1)} ${(base[1] + s * ux * 0.45).toFixed(1)}`;
    head.setAttribute("d", `M${x.toFixed(1)} ${y.toFixed(1)}L${wing(1)}L${wing(-1)}Z`);
  }

  drawHand(hand, { angle, length }) {
    const { side } = hand;
    const shown = Math.min(length.mean, LIMIT);
    const tip = polar(angle.mean, shown, side);
    this.drawArrow(hand, tip);
    hand.ray.setAttribute("d", this.plot.line([tip, polar(angle.mean, LIMIT, side)]));
    const wedge = this.plot.line([[0, 0], ...arc(angle.low, angle.high, LIMIT, side)]);
    hand.wedge.setAttribute("d", `${wedge}Z`);
    hand.cut.setAttribute("d", length.mean > LIMIT ? this.cutMark(angle.mean, side) : "");
    hand.dots.replaceChildren();
    angle.all.forEach((value, k) => {
      const at = polar(value, Math.min(length.all[k], LIMIT), side);
      const place = { cx: this.plot.px(at[0]), cy: this.plot.py(at[1]), r: 2.6 };
      svgElement(hand.dots, "circle", { class: "mf-batch-dot", ...place });
    });
    this.drawLabel(hand, angle.mean, length.mean);
  }

  /** Two strokes across the shaft: the arrow is longer than drawn. */
  cutMark(angle, side) {
    return [0.78, 0.83]
      .map((part) => this.plot.line([-4, 4].map((turn) => polar(angle + turn, part * LIMIT, side))))
      .join("");
  }

  /** Two lines at the rim; near the axis they keep clear of the exact arrow. */
  drawLabel({ name, side, lines }, angle, length) {
    const at = polar(Math.max(38, Math.min(142, angle)), LIMIT + 0.14, side);
    const { left, top, width, height } = this.plot.box;
    const x = this.plot.px(at[0]);
    const lean = 0.5 - 0.5 * Math.cos((angle * Math.PI) / 180); // 0 at the right, 1 at the left
    const what = name === "Reptile" ? "length ÷ K" : "length";
    const words = [`${name} ${angle.toFixed(0)}°`, `${what}: ${times(length)}`];
    lines.forEach((line, k) => (line.textContent = words[k]));
    const room = Math.max(...lines.map((line) => line.getComputedTextLength()));
    const from = Math.max(left + 2, Math.min(left + width - room, x - lean * room));
    const wanted = this.plot.py(at[1]) + (side > 0 ? -18 : 12);
    const first = Math.max(top + 12, Math.min(top + height - 18, wanted)); // both lines are in the frame
    lines.forEach((line, k) => {
      line.setAttribute("x", from);
      line.setAttribute("y", first + 14 * k);
    });
  }
}

const dialOptions = () => ({
  label: "Dial: the exact meta-gradient to the right, FOMAML above the axis, Reptile below",
  margin: [4, 6, 4, 6],
  // Both axes have the same scale, so that angles are true.
  height: (width) => Math.round(((width - 12) * REACH.y) / REACH.x) + 8,
  x: { min: -REACH.x, max: REACH.x, ticks: [] },
  y: { min: -REACH.y, max: REACH.y, ticks: [] },
});

/** Runs of consecutive true flags, as pairs of first and last index. */
export function runs(flags) {
  const found = [];
  flags.forEach((flag, k) => {
    if (flag && flags[k - 1]) found.at(-1)[1] = k;
    else if (flag) found.push([k, k]);
  });
  return found;
}

/** One quantity against alpha: a curve and a band for each algorithm. */
class CurvePanel {
  /** @param {"angle" | "length"} quantity */
  constructor(parent, quantity, heading, options, redraw) {
    this.quantity = quantity;
    this.plot = panel(parent, heading, options, redraw).plot;
    const path = (name, group = this.plot.area) => svgElement(group, "path", { class: name });
    this.harm = path("mf-harm");
    this.level = path("mf-level");
    this.mark = path("mf-now");
    this.series = ALGORITHMS.map(({ name, scaled, className }) => {
      const label = quantity === "length" ? scaled : name;
      const group = svgElement(this.plot.area, "g", { class: className });
      const over = svgElement(this.plot.over, "g", { class: className });
      return {
        name,
        band: path("mf-gap", group),
        curve: path("mf-curve", group),
        dot: svgElement(over, "circle", { class: "mf-dot", r: 5 }),
        label: svgElement(over, "text", { class: "mf-label mf-halo", text: label }),
      };
    });
  }

  draw({ alphas, cells, chosen, harmful }) {
    const { x, y, box } = this.plot;
    const level = this.quantity === "angle" ? RIGHT_ANGLE : 1;
    this.level.setAttribute("d", this.plot.line([[x.min, level], [x.max, level]]));
    this.mark.setAttribute("d", this.plot.line([[alphas[chosen], y.min], [alphas[chosen], y.max]]));
    this.drawHarm(alphas, harmful);
    const whole = runs(cells.map(({ nDiverged }) => nDiverged === 0));
    for (const one of this.series) this.drawSeries(one, alphas, cells, chosen, whole);
    this.drawLabels(alphas, cells, whole, box);
  }

  /** Shades the rates whose inner loop leaves the query loss higher than it was. */
  drawHarm(alphas, harmful) {
    const half = Math.sqrt(alphas[1] / alphas[0]);
    const { y } = this.plot;
    const boxes = runs(harmful).map(([from, to]) => {
      const [low, high] = [alphas[from] / half, alphas[to] * half];
      return `${this.plot.line([[low, y.min], [low, y.max], [high, y.max], [high, y.min]])}Z`;
    });
    this.harm.setAttribute("d", boxes.join(""));
  }

  drawSeries({ name, band, curve, dot }, alphas, cells, chosen, whole) {
    const values = cells.map((one) => one[name][this.quantity]);
    const pieces = whole.map(([from, to]) => range(from, to, to - from));
    const line = (indices, read) => indices.map((n) => [alphas[n], read(values[n])]);
    const curves = pieces.map((piece) => this.plot.line(line(piece, (v) => v.mean)));
    const bands = pieces.map((piece) => {
      const back = line([...piece].reverse(), (v) => v.low);
      return `${this.plot.line([...line(piece, (v) => v.high), ...back])}Z`;
    });
    curve.setAttribute("d", curves.join(""));
    band.setAttribute("d", bands.join(""));
    const value = values[chosen].mean;
    const shown = Number.isFinite(value) && value >= this.plot.y.min && value <= this.plot.y.max;
    dot.setAttribute("visibility", shown ? "visible" : "hidden");
    if (!shown) return;
    dot.setAttribute("cx", this.plot.px(alphas[chosen]));
    dot.setAttribute("cy", this.plot.py(value));
  }

  /** Names at the last points of the curves. */
  drawLabels(alphas, cells, whole, { top, height }) {
    const last = whole.length ? whole.at(-1)[1] : 0;
    const ends = this.series.map(({ name }) => this.plot.py(cells[last][name][this.quantity].mean) + 4);
    spread(ends, 14, top + 11, top + height - 3).forEach((y, k) => {
      const { label } = this.series[k];
      label.setAttribute("visibility", whole.length ? "visible" : "hidden");
      label.setAttribute("x", this.plot.px(alphas[last]) + 7);
      label.setAttribute("y", y);
    });
  }
}

const alphaAxis = (alphas, label) => ({
  min: alphas[0],
  max: alphas.at(-1),
  log: true,
  ticks: [0.001, 0.01, 0.1],
  ...(label && { label }),
});

const angleOptions = (alphas) => ({
  label: "Angle to the exact meta-gradient against alpha",
  margin: [8, 88, 20, 38],
  height: (width) => Math.max(165, Math.min(230, Math.round(width * 0.62))),
  x: alphaAxis(alphas),
  y: { min: 0, max: 180, ticks: [0, 45, 90, 135, 180], format: (value) => `${value}°` },
});

const lengthOptions = (alphas) => ({
  label: "Length relative to the exact meta-gradient against alpha",
  margin: [8, 88, 36, 38],
  height: (width) => Math.max(165, Math.min(230, Math.round(width * 0.62))),
  x: alphaAxis(alphas, "inner rate α"),
  y: { min: 0.01, max: 10, log: true, ticks: [0.01, 0.1, 1, 10], format: shortPower },
});

/**
 * What the angles mean for an outer step, in words.
 * @param {Record<string, {mean: number, all: number[]}>} angles by algorithm, in degrees
 */
export function verdict(angles) {
  const warnings = Object.entries(angles).flatMap(([name, { mean, all }]) => {
    const over = all.filter((angle) => angle > RIGHT_ANGLE).length;
    if (mean > RIGHT_ANGLE) return [`${name} is over 90°: to first order, a step with it raises F`];
    return over ? [`${name} is over 90° in ${over} of ${all.length} batches: there a step with it raises F`] : [];
  });
  if (warnings.length) return warnings.join("; ");
  return "Both stay under 90°: to first order, a step with either lowers F";
}

export function describe({ name, k, alphas, chosen, now, before, harmful }) {
  const where = `From the ${name} start, α = ${alphas[chosen]}, K = ${k}`;
  if (now.nDiverged > 0) {
    const some = `in ${now.nDiverged} of ${now.nBatches} batches`;
    return `${where}: the inner loop diverges here, ${some}; there is no meta-gradient to compare with.`;
  }
  const losses = `the mean query loss from ${formatLoss(before)} to ${formatLoss(now.loss)}`;
  const inner = harmful[chosen] ? `Adapting does harm here: it takes ${losses}` : `Adapting takes ${losses}`;
  const [fomaml, reptile] = [now.FOMAML, now.Reptile];
  const degrees = ({ mean }) => `${mean.toFixed(0)}°`;
  const between = ({ low, high }) => `${low.toFixed(0)}–${high.toFixed(0)}°`;
  return (
    `${where}: FOMAML points ${degrees(fomaml.angle)} (${between(fomaml.angle)} over ${now.nBatches} batches) ` +
    `away from the exact meta-gradient and is ${times(fomaml.length.mean)} times as long; ` +
    `Reptile ${degrees(reptile.angle)} (${between(reptile.angle)}) and, divided by K, ` +
    `${times(reptile.length.mean)} times as long. ` +
    `${verdict({ FOMAML: fomaml.angle, Reptile: reptile.angle })}. ${inner}.`
  );
}

/** All that the read-out can say. */
function allWords(state, source) {
  const steps = Array.from({ length: source.shape[2] }, (_, k) => k + 1);
  return state.get("names").flatMap((start) =>
    steps.flatMap((nInnerSteps) => {
      const given = { start, n_inner_steps: nInnerSteps };
      const view = compute({ get: (trait) => given[trait] ?? state.get(trait) }, source);
      return view.cells.map((now, chosen) => describe({ ...view, now, chosen }));
    }),
  );
}

function legend(parent) {
  const list = element(parent, "ul", { class: "mf-legend" });
  const swatch = (className, text, shapes) => {
    const item = element(list, "li", { class: className });
    const svg = svgElement(item, "svg", { width: 30, height: 16, "aria-hidden": "true" });
    for (const [tag, attributes] of shapes) svgElement(svg, tag, attributes);
    element(item, "span", { text });
  };
  const line = ["path", { class: "mf-curve", d: "M0 8H30" }];
  const band = ["rect", { class: "mf-gap", y: 1, width: 30, height: 14 }];
  swatch("mf-role-maml", "exact MAML", [line]);
  swatch("mf-role-fomaml", "FOMAML, upwards", [band, line]);
  swatch("mf-role-reptile", "Reptile, downwards", [band, line]);
  swatch("", "one batch (arrow: mean)", [["circle", { class: "mf-batch-dot", cx: 15, cy: 8, r: 3.2 }]]);
  swatch("", "adapting does harm", [["rect", { class: "mf-harm", width: 30, height: 16 }]]);
}

/** The state, with rates put on the grid: what a slider or a reader asks for becomes a neighbour. */
function onGrid(state, alphas) {
  return {
    ...state,
    set({ alpha, ...others }) {
      state.set({ ...others, ...(alpha && { alpha: alphas[nearest(alphas, alpha)] }) });
    },
  };
}

function controls(parent, state, { alphas, shape }) {
  const box = element(parent, "div", { class: "mf-controls" });
  const ends = { min: alphas[0], max: alphas.at(-1), step: 0.001, log: true, digits: 4 };
  const row = slider(box, onGrid(state, alphas), { trait: "alpha", label: "inner rate α", ...ends });
  // One press of an arrow key is one value of the grid. Rounded down, or the last one is lost.
  const spacing = Math.log10(ends.max / ends.min) / (alphas.length - 1);
  row.querySelector("input[type=range]").step = Math.floor(spacing * 1e6) / 1e6;
  const steps = { min: 1, max: shape[2], step: 1, digits: 0 };
  slider(box, state, { trait: "n_inner_steps", label: "inner steps K", ...steps });
}

function lead(root, state, reset) {
  const top = element(root, "div", { class: "mf-lead" });
  const options = state.get("names").map((name) => [name, name]);
  choice(top, state, { trait: "start", label: "start θ", options });
  button(element(top, "div", { class: "mf-buttons" }), "Reset", reset);
}

/** The angle over alpha, and below it the length. */
function curvePanels(parent, alphas, redraw) {
  const side = element(parent, "div", { class: "mf-side" });
  const angle = { title: "Angle to ∇F", note: "band: range over batches" };
  const length = { title: "Length ÷ that of ∇F", note: "log scale" };
  return [
    new CurvePanel(side, "angle", angle, angleOptions(alphas), redraw),
    new CurvePanel(side, "length", length, lengthOptions(alphas), redraw),
  ];
}

function build({ root, state, redraw, reset, status }) {
  const [shape, alphas] = [state.get("shape"), state.get("alphas")];
  const source = { numbers: floats(state.get("grid")), shape, alphas };
  lead(root, state, reset);
  legend(root);
  const grid = element(root, "div", { class: "mf-grid mf-uneven" });
  const panels = [new Dial(grid, redraw), ...curvePanels(grid, alphas, redraw)];
  const say = status().room(allWords(state, source));
  controls(root, state, source);
  const draw = () => {
    const view = compute(state, source);
    for (const panel of panels) panel.draw(view);
    say(describe(view));
  };
  return { draw, panels };
}

export default figure({ name: "gradient_gap", label: LABEL, traits: TRAITS, build });
