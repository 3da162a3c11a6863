/**
 * Meta-landscape: three tasks over one number theta, and F, the mean of their losses after
 * adapting. The mathematics is in bowls.js.
 */
import { boxAround, boxAt, frameOf, lettered, settle, spotsAround } from "../shared/labels.js";
import { figure } from "../shared/lifecycle.js";
import { REACH, arrival, bend, centralDifference, collapsed, fomaml, innerPath } from "./bowls.js";
import { inWords, metaGradient, metaObjective, minimum, reptile } from "./bowls.js";
import { loss as lossOf, walkBack } from "./bowls.js";
import { button, choice, dragPoint, element, folded, format, formatLoss } from "../shared/ui.js";
import { panel, slider, svgElement } from "../shared/ui.js";

const TOP = 2.4; // of the picture, in units of the loss
const RADII = { prime: 6.5, centre: 8.5, dot: 5 }; // pixels
const LANES = [-0.36, -0.65, -0.94];
const NAMES = ["A", "B", "C"];
const POWERS = { bowl: 2, quartic: 4 };
const FAR_OFF = 1e6; // stands for everything beyond the picture; SVG takes no infinity
const LABEL = "Meta-landscape: the meta-objective of three tasks over theta";
const SETTINGS = ["alpha", "n_inner_steps", "curvature_a", "curvature_b", "curvature_c"];
const TRAITS = [...SETTINGS, "centres", "theta", "shape"];
const STAR = "M0 -9L2.6 -3L9 -2.6L4 1.6L5.6 8L0 4.4L-5.6 8L-4 1.6L-9 -2.6L-2.6 -3Z";
const CROSS = "M-7 -2.2H-2.2V-7H2.2V-2.2H7V2.2H2.2V7H-2.2V2.2H-7Z";

export const drawable = (value) =>
  Number.isFinite(value) ? Math.max(-FAR_OFF, Math.min(FAR_OFF, value)) : FAR_OFF;
/**
 * @param {(x: number) => number} f
 * @param {number[]} ends
 */
const sampled = (f, [low, high], n) =>
  Array.from({ length: n + 1 }, (_, k) => low + ((high - low) * k) / n).map((x) => [x, drawable(f(x))]);

/** Five figures and a real minus sign: 0.43828, −12.5, 3.1e+9, infinite. */
export function figures(value) {
  if (!Number.isFinite(value)) return "infinite";
  const size = Math.abs(value);
  const plain = size < 1e-12 ? "0" : size >= 1e4 || size < 1e-3 ? value.toExponential(3) : value.toPrecision(5);
  return plain.replace("e+", "e").replaceAll("-", "\u2212");
}

/** |value - reference| relative to the larger of the two. */
export function relativeGap(value, reference) {
  const size = Math.max(Math.abs(value), Math.abs(reference));
  return size < 1e-12 ? 0 : Math.abs(value - reference) / size;
}

export const gapText = (gap) => (gap === 0 ? "0" : gap.toExponential(0).replace("e-", "e\u2212"));

export function ratioText(value, exact) {
  const ratio = value / exact;
  if (!Number.isFinite(ratio) || Math.abs(exact) < 1e-12) return "\u2013";
  const size = Math.abs(ratio);
  const usual = size === 0 || (size >= 0.01 && size < 1000);
  const text = usual ? format(ratio) : ratio.toExponential(0).replace("e+", "e").replaceAll("-", "\u2212");
  return ratio < 0 ? `${text}, uphill` : text;
}

/** Everything the picture shows, computed afresh from the traits. */
export function compute(state) {
  const power = POWERS[state.get("shape")];
  const curvatures = SETTINGS.slice(2).map((trait) => state.get(trait));
  const tasks = state.get("centres").map((centre, k) => ({ curvature: curvatures[k], centre, power }));
  const inner = { alpha: state.get("alpha"), nInnerSteps: state.get("n_inner_steps") };
  const theta = state.get("theta");
  const exact = metaGradient(tasks, theta, inner);
  const numeric = centralDifference(tasks, theta, inner);
  const bends = tasks.map((task) => bend(task, theta));
  return {
    ...{ power, tasks, inner, theta, exact, numeric, bends },
    products: bends.map((bend) => inner.alpha * bend),
    value: metaObjective(tasks, theta, inner),
    gap: relativeGap(numeric, exact),
    paths: tasks.map((task) => innerPath(task, theta, inner)),
    arrivals: tasks.map((task) => arrival(task, theta, inner)),
    parts: tasks.map((task) => walkBack(task, theta, inner) / tasks.length),
    best: minimum(tasks, inner),
    joint: minimum(tasks, { ...inner, nInnerSteps: 0 }),
  };
}

/** F over theta, the losses it is made of, and below it one lane per task for the inner loop. */
class Landscape {
  constructor(parent, { redraw, moveTheta, moveCentre }) {
    const heading = { title: "F over θ", note: "lanes: inner steps of A, B, C" };
    this.plot = panel(parent, heading, landscapeOptions(), redraw).plot;
    const path = (name) => svgElement(this.plot.area, "path", { class: name });
    this.ground = path("mf-ground");
    this.plumb = path("mf-plumb");
    this.tasks = NAMES.map((name, k) => this.makeTask(name, k));
    this.joint = path("mf-joint");
    this.objective = path("mf-objective");
    this.tangent = path("mf-tangent");
    this.marks = { joint: this.makeMark(CROSS, "min joint"), best: this.makeMark(STAR, "min F") };
    this.spot = svgElement(this.plot.area, "circle", { class: "mf-spot", r: 5.5 });
    this.spotLabel = svgElement(this.plot.over, "text", { class: "mf-halo mf-spot-label" });
    this.centres = NAMES.map((name, k) => this.makeCentre(name, k, moveCentre));
    this.ends = NAMES.map((name, k) => this.makeEnd(name, k));
    const onMove = ([x]) => moveTheta(x);
    this.handle = dragPoint(this.plot, { label: "theta", step: 0.05, onMove });
    svgElement(this.handle.mark, "circle", { r: 10 });
    svgElement(this.handle.mark, "text", { class: "mf-letter", y: 4.5, text: "θ" });
  }

  makeTask(name, k) {
    const group = svgElement(this.plot.area, "g", { class: `mf-task-${k}` });
    const node = (tag, attributes) => svgElement(group, tag, attributes);
    const loss = node("path", { class: "mf-own-loss" });
    const lane = node("path", { class: "mf-lane" });
    const inner = node("path", { class: "mf-inner" });
    const label = node("text", { class: "mf-halo mf-fit-label", "text-anchor": "middle", text: name });
    return { loss, lane, inner, label };
  }

  /** theta_prime, on top of the centre: where both meet, the letter is that of the ring. */
  makeEnd(name, k) {
    const over = svgElement(this.plot.over, "g", { class: `mf-task-${k} mf-fixed` });
    const mark = svgElement(over, "g", { class: "mf-prime" });
    svgElement(mark, "circle", { r: RADII.prime });
    svgElement(mark, "text", { y: 4, text: name });
    return { mark, away: svgElement(over, "text", { class: "mf-halo mf-away" }), at: [0, 0] };
  }

  makeMark(d, text) {
    const node = svgElement(this.plot.over, "g", { class: "mf-minimum mf-fixed" });
    svgElement(node, "path", { d });
    return { node, label: svgElement(node, "text", { class: "mf-halo", "text-anchor": "middle", text }) };
  }

  makeCentre(name, k, moveCentre) {
    const onMove = ([x]) => moveCentre(k, x);
    const label = `centre of task ${name}`;
    const point = dragPoint(this.plot, { label, step: 0.05, onMove, className: `mf-task-${k} mf-centre` });
    svgElement(point.mark, "circle", { r: RADII.centre });
    const letter = svgElement(point.mark, "text", { class: "mf-letter", y: 4, text: name });
    return { ...point, letter };
  }

  draw(view) {
    const { plot } = this;
    const [ends, still] = [[-REACH, REACH], { ...view.inner, nInnerSteps: 0 }];
    const F = (inner) => (x) => metaObjective(view.tasks, x, inner);
    this.ground.setAttribute("d", plot.line([[-REACH, 0], [REACH, 0]]));
    this.plumb.setAttribute("d", plot.line([[view.theta, LANES.at(-1)], [view.theta, drawable(view.value)]]));
    this.joint.setAttribute("d", plot.line(sampled(F(still), ends, 160)));
    this.objective.setAttribute("d", plot.line(sampled(F(view.inner), ends, 320)));
    this.tasks.forEach((task, k) => this.drawTask(task, view, k));
    this.drawWords(view.tasks);
    this.drawSpot(view);
    this.drawMark(this.marks.best, view.best);
    this.drawMark(this.marks.joint, view.joint);
    this.partLabels(view);
    this.centres.forEach((point, k) => {
      const { centre } = view.tasks[k];
      point.place([centre, LANES[k]], format(centre));
    });
    this.handle.place([view.theta, 0], `${format(view.theta)}, F ${formatLoss(view.value)}`);
  }

  drawTask({ loss, lane, inner, label }, { tasks, paths }, k) {
    const { plot } = this;
    const [task, y] = [tasks[k], LANES[k]];
    loss.setAttribute("d", plot.line(sampled((x) => lossOf(task, x), [-REACH, REACH], 160)));
    lane.setAttribute("d", plot.line([[-REACH, y], [REACH, y]]));
    const xs = withinPicture(paths[k]).map((x) => plot.px(drawable(x)));
    inner.setAttribute("d", hops(xs, plot.py(y)));
    this.drawEnd(k, paths[k].at(-1));
    this.drawLetter(label, task, (0.95 - 0.12 * k) * TOP);
  }

  /** theta_prime, or the edge and where it lies if that is beyond the picture. */
  drawEnd(k, thetaPrime) {
    const { mark, away } = this.ends[k];
    const [x] = this.plot.inside([drawable(thetaPrime), LANES[k]]);
    const text = `θ′ = ${figures(thetaPrime)}`;
    this.ends[k].at = [this.plot.px(x), this.plot.py(LANES[k])];
    put(mark, ...this.ends[k].at);
    away.textContent = x === thetaPrime ? "" : x > 0 ? `${text} ▸` : `◂ ${text}`;
  }

  /** What stands in the lanes: a letter on each disc that shows enough of itself, and far ends. */
  drawWords(tasks) {
    const { plot } = this;
    const discs = tasks.map(({ centre }, k) => ({ at: [plot.px(centre), plot.py(LANES[k])], r: RADII.centre }));
    const rings = this.ends.map(({ at }) => ({ at, r: RADII.prime }));
    const taken = [...discs, ...rings].map(({ at, r }) => boxAround(at, r));
    this.centres.forEach(({ letter }, k) => {
      const [, readable] = lettered([rings[k], discs[k]]);
      letter.setAttribute("visibility", readable ? "visible" : "hidden");
    });
    this.ends.forEach(({ at, away }) => {
      settle(away, spotsAround(at, [11, 24, 40], at[0] > plot.px(0)), taken, frameOf(plot.box));
    });
  }

  /** The letter of a task on its loss, at a height of its own, on the side with more room. */
  drawLetter(label, task, height) {
    const x = whereAt(task, height);
    label.setAttribute("visibility", x === undefined ? "hidden" : "visible");
    if (x !== undefined) put(label, this.plot.px(x), this.plot.py(height) + 4);
  }

  /** F at theta with its tangent, or at the upper edge if F is beyond the picture. */
  drawSpot({ theta, value, exact }) {
    const { plot } = this;
    const beyond = !(value <= TOP);
    const [x, y] = [plot.px(theta), plot.py(beyond ? TOP : value)];
    this.spot.setAttribute("cx", x);
    this.spot.setAttribute("cy", y);
    this.spot.classList.toggle("mf-beyond", beyond);
    const run = plot.px(1) - plot.px(0);
    const rise = drawable(exact) * (plot.py(1) - plot.py(0));
    const scale = Math.min(75, 0.2 * plot.box.width) / Math.hypot(run, rise);
    const [dx, dy] = [run * scale, rise * scale];
    this.tangent.setAttribute("d", beyond ? "" : `M${x - dx} ${y - dy}L${x + dx} ${y + dy}`);
    this.spotLabel.textContent = beyond ? `▲ F = ${formatLoss(value)}` : "";
    const left = theta > 0;
    this.spotLabel.setAttribute("text-anchor", left ? "end" : "start");
    put(this.spotLabel, x + (left ? -11 : 11), y + 13);
  }

  drawMark({ node, label }, { theta, value, flat }) {
    const shown = !flat && value <= TOP;
    node.setAttribute("visibility", shown ? "visible" : "hidden");
    if (!shown) return;
    const [x, y] = [this.plot.px(theta), this.plot.py(value)];
    put(node, x, y);
    label.setAttribute("y", y > this.plot.py(0) - 40 ? -13 : 21); // clear of the handle of theta
    const edge = Math.abs(theta) > 0.9 * REACH;
    label.setAttribute("text-anchor", edge ? (theta > 0 ? "end" : "start") : "middle");
  }

  /** Where both minima meet, the name of one moves away. */
  partLabels({ best, joint }) {
    const { plot, marks } = this;
    const apart = Math.abs(plot.px(best.theta) - plot.px(joint.theta));
    if (apart > 62 || Math.abs(plot.py(best.value) - plot.py(joint.value)) > 24) return;
    marks.joint.label.setAttribute("y", marks.best.label.getAttribute("y") === "21" ? -13 : -28);
  }
}

/** Where a loss has a height: on the side with more room, if it does so within the picture. */
export function whereAt({ curvature, centre, power }, height) {
  const reach = ((power * height) / curvature) ** (1 / power);
  const sides = centre < 0 ? [centre - reach, centre + reach] : [centre + reach, centre - reach];
  return sides.find((side) => Math.abs(side) < REACH - 0.1);
}

const put = (node, x, y) => node.setAttribute("transform", `translate(${x} ${y})`);

/** A path that ends beyond the picture, up to its first point out there. */
export function withinPicture(path) {
  const beyond = (x) => !(Math.abs(x) <= REACH);
  return beyond(path.at(-1)) ? path.slice(0, path.findIndex(beyond) + 1) : path;
}

/** One arc per inner step along a lane, so that going to and fro stays visible. */
export function hops(xs, y) {
  const arc = (x, k) => {
    const height = Math.min(16, Math.abs(x - xs[k]) * 0.4);
    return `Q${(x + xs[k]) / 2} ${y - height} ${x} ${y}`;
  };
  return `M${xs[0]} ${y}${xs.slice(1).map(arc).join("")}`;
}

const landscapeOptions = () => ({
  label: "Losses and meta-objective over theta",
  margin: [6, 10, 36, 28],
  height: (width) => Math.round(Math.max(370, Math.min(500, 0.95 * width))),
  x: { min: -REACH, max: REACH, ticks: [-3, -2, -1, 0, 1, 2, 3], label: "θ" },
  y: { min: -1.14, max: TOP, ticks: [0, 0.5, 1, 1.5, 2], format: (v) => String(v) },
});

/** d theta_prime / d theta against alpha * curvature: one curve per K, one dot per task. */
class Arrivals {
  constructor(parent, redraw) {
    const heading = { title: "How much of a move of θ arrives at θ′", className: "mf-arrivals" };
    const made = panel(parent, heading, arrivalOptions(), redraw);
    this.box = made.box;
    this.plot = made.plot;
    this.zone = svgElement(this.plot.area, "rect", { class: "mf-danger" });
    this.lines = svgElement(this.plot.area, "path", { class: "mf-limit" });
    this.ground = svgElement(this.plot.area, "path", { class: "mf-ground" });
    this.curve = svgElement(this.plot.area, "path", { class: "mf-objective" });
    this.zones = ["comes closer", "overshoots", "diverges"].map((text) =>
      svgElement(this.plot.over, "text", { class: "mf-halo mf-zone", "text-anchor": "middle", text }),
    );
    this.dots = NAMES.map((name, k) => this.makeDot(name, k));
  }

  makeDot(name, k) {
    const group = svgElement(this.plot.over, "g", { class: `mf-task-${k} mf-fixed` });
    const dot = svgElement(group, "circle", { class: "mf-optimum", r: 5 });
    const label = svgElement(group, "text", { class: "mf-halo mf-fit-label" });
    return { name, dot, label };
  }

  draw(view) {
    this.fit(view.power);
    const { plot } = this;
    const one = view.power - 1;
    // A task of curvature 1 at distance 1: its alpha alone runs through all values on the axis.
    const probe = { curvature: 1, centre: 0, power: view.power };
    const K = view.inner.nInnerSteps;
    const slope = (x) => arrival(probe, 1, { alpha: x / one, nInnerSteps: K });
    this.curve.setAttribute("d", plot.line(sampled(slope, [0, plot.x.max], 200)));
    const upright = (x) => `M${plot.px(x)} ${plot.box.top}v${plot.box.height}`;
    this.lines.setAttribute("d", upright(one) + upright(2 * one));
    this.ground.setAttribute("d", plot.line([[0, 0], [plot.x.max, 0]]));
    const left = plot.px(2 * one);
    const { top, height, width } = plot.box;
    const rect = { x: left, y: top, width: plot.box.left + width - left, height };
    for (const [name, value] of Object.entries(rect)) this.zone.setAttribute(name, value);
    this.zones.forEach((node, k) => {
      node.setAttribute("x", plot.px([0.5, 1.5, 2.25][k] * one));
      node.setAttribute("y", top + height - 6);
    });
    this.drawDots(view);
  }

  /** Dots beyond the axes stay at the edge, with an arrow. */
  drawDots({ products, arrivals }) {
    const { plot } = this;
    const points = this.dots.map((_, k) => [drawable(products[k]), drawable(arrivals[k])]);
    const inside = points.map((point) => plot.inside(point));
    const places = inside.map(([x, y]) => [plot.px(x), plot.py(y)]);
    const taken = places.map((at) => boxAround(at, RADII.dot));
    this.zones.forEach((node) => taken.push(boxOf(node)));
    this.dots.forEach(({ name, dot, label }, k) => {
      const [[x, y], [u, v]] = [points[k], inside[k]];
      label.textContent = name + [x > u && "▸", y > v && "▴", y < v && "▾"].filter(Boolean).join("");
      put(dot, ...places[k]);
      const [across, down] = places[k];
      /** @type {import("../shared/labels.js").Spot[]} */
      const above = [[across, down - 10, "middle"], [across, down + 18, "middle"]];
      settle(label, [...above, ...spotsAround(places[k], [9, 18, 28])], taken, frameOf(plot.box));
    });
  }

  fit(power) {
    const axes = { 2: BOWL_AXES, 4: QUARTIC_AXES }[power];
    this.plot.setX(axes.x);
    this.plot.setY(axes.y);
  }
}

/** The box of a text that stands in the middle of its place. */
const boxOf = (node) =>
  boxAt([Number(node.getAttribute("x")), Number(node.getAttribute("y")), "middle"], node.getComputedTextLength());

const BOWL_AXES = {
  x: { min: 0, max: 2.5, ticks: [0, 0.5, 1, 1.5, 2, 2.5], label: "α · curvature" },
  y: { min: -1.5, max: 1.5, ticks: [-1, 0, 1] },
};
const QUARTIC_AXES = {
  x: { min: 0, max: 7.5, ticks: [0, 1, 2, 3, 4, 5, 6, 7], label: "α · curvature at θ" },
  y: { min: -3, max: 3, ticks: [-2, -1, 0, 1, 2] },
};
const arrivalOptions = () => ({
  label: "Derivative of theta prime in theta against alpha times curvature",
  margin: [8, 10, 36, 34],
  height: (width) => Math.round(Math.max(190, Math.min(230, 0.6 * width))),
  x: { ...BOWL_AXES.x },
  y: { ...BOWL_AXES.y, label: "dθ′/dθ" },
});

/** A small table with a column per task; answers the function that fills it. */
function taskTable(parent) {
  const table = element(parent, "table", { class: "mf-numbers mf-task-numbers" });
  const head = element(table, "tr");
  element(head, "th", { scope: "col", text: "task" });
  NAMES.forEach((name, k) => element(head, "th", { scope: "col", class: `mf-task-${k}`, text: name }));
  const fill = ["dθ′/dθ = ∏(1 − αH)", "part in ∇F"].map((text) => {
    const row = element(table, "tr");
    element(row, "th", { scope: "row", text });
    return NAMES.map(() => element(row, "td"));
  });
  return ({ arrivals, parts }) => {
    [arrivals, parts].forEach((values, r) => {
      values.forEach((value, k) => (fill[r][k].textContent = brief(value)));
    });
  };
}

/** Three decimals where they fit. */
export const brief = (value) =>
  Math.abs(value) < 1000 ? format(value, 3) : Number.isFinite(value) ? short(value) : "infinite";
const short = (value) => value.toExponential(1).replace("e+", "e").replace("-", "\u2212");

/** @type {[string, (tasks: any, theta: number, inner: any) => number][]} */
const METHODS = [
  ["FOMAML", fomaml],
  ["collapsed (1 − αH₀)ᴷ", collapsed],
  ["Reptile", reptile],
];

/** Gradient of F at theta: exact, checked, and what others make of it. */
function gradientTable(parent) {
  const box = element(parent, "div", { class: "mf-panel" });
  const table = element(box, "table", { class: "mf-numbers" });
  const head = element(table, "tr");
  const title = element(head, "th", { scope: "col" });
  for (const text of ["value", "÷ exact"]) element(head, "th", { scope: "col", text });
  /** @returns {(value: string, note: string) => void} */
  const line = (text) => {
    const row = element(table, "tr");
    element(row, "th", { scope: "row", text });
    const cells = [element(row, "td"), element(row, "td")];
    return (value, note) => [value, note].forEach((entry, k) => (cells[k].textContent = entry));
  };
  const [F, exact, numeric] = ["F", "exact gradient", "central difference"].map(line);
  const others = METHODS.map(([name]) => line(name));
  return (view) => {
    title.textContent = `at θ = ${format(view.theta)}`;
    F(figures(view.value), "");
    exact(figures(view.exact), ratioText(view.exact, view.exact));
    numeric(figures(view.numeric), Number.isFinite(view.gap) ? `rel. error ${gapText(view.gap)}` : "\u2013");
    METHODS.forEach(([, of], k) => {
      const value = of(view.tasks, view.theta, view.inner);
      others[k](figures(value), ratioText(value, view.exact));
    });
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
  const line = (text, name) => svgElement(swatch(text, 28), "path", { class: name, d: "M0 10H28" });
  line("F: mean loss after adapting", "mf-objective");
  line("tangent: exact gradient", "mf-tangent");
  line("joint loss: no adapting", "mf-joint");
  line("loss of task A", "mf-own-loss");
  const centre = svgElement(swatch("its centre (drag)", 20), "g", { transform: "translate(10 10)" });
  svgElement(centre, "circle", { class: "mf-optimum", r: 8.5 });
  svgElement(centre, "text", { class: "mf-letter", y: 4, text: "A" });
  const inner = swatch("inner steps to θ′", 44);
  svgElement(inner, "path", { class: "mf-inner", d: "M0 14Q14 2 28 14" });
  const prime = svgElement(inner, "g", { class: "mf-prime", transform: "translate(35 11)" });
  svgElement(prime, "circle", { r: 7.5 });
  svgElement(prime, "text", { y: 3.5, text: "A" });
}

/** "A 0.16, B 0.50 (below 1: comes closer smoothly); C 1.20 (...)": tasks in like case together. */
export function innerLoopInWords(products, power) {
  const groups = new Map();
  products.forEach((product, k) => {
    const words = inWords(product, power);
    groups.set(words, [...(groups.get(words) ?? []), `${NAMES[k]} ${format(product)}`]);
  });
  return [...groups].map(([words, names]) => `${names.join(", ")} (${words})`).join("; ");
}

function gradientInWords({ value, exact, numeric, gap, paths }) {
  const gone = NAMES.filter((_, k) => !Number.isFinite(paths[k].at(-1)));
  if (gone.length) return `The inner loop of ${gone.join(" and ")} ran off to infinity, and F with it.`;
  if (![value, exact, numeric].every(Number.isFinite)) return "F or its gradient is too large for a number.";
  return (
    `Exact gradient ${figures(exact)}, central difference ${figures(numeric)}: ` +
    `relative error ${gapText(gap)}.`
  );
}

function lowestInWords({ theta, value, flat }) {
  if (value === Infinity) return "F is infinite wherever it was tried";
  if (flat) return "F is the same everywhere";
  return `F is lowest at ${format(theta)}${Math.abs(theta) === REACH ? ", an edge of the picture" : ""}`;
}

export function describe(view) {
  const { theta, value, power, best, joint } = view;
  const where = power === 2 ? "" : " at θ";
  return (
    `F(θ) = ${Number.isFinite(value) ? figures(value) : "infinite"} at θ = ${format(theta)}. ` +
    `${gradientInWords(view)} α·curvature${where}: ${innerLoopInWords(view.products, power)}. ` +
    `${lowestInWords(best)}; the joint loss is lowest at ${format(joint.theta)}.`
  );
}

/** The longest that the read-out can become: each task fares in another way. */
function longestWords() {
  const small = -0.0012345;
  const values = { value: -small, exact: small, numeric: small, gap: 1e-10, paths: NAMES.map(() => [0]) };
  const lowest = { best: { theta: -REACH, value: 1, flat: false }, joint: { theta: -1 } };
  return describe({ theta: -1, power: 4, products: [0.5, 4.5, 123.45], ...values, ...lowest });
}

/** Buttons that set alpha to 1 or 2 over the curvature of the task that bends most at theta. */
function presets(parent, state) {
  const make = (factor) => {
    const title = "The task whose loss bends most at θ";
    const node = button(parent, "", () => state.set({ alpha: wanted }), { class: "mf-preset", title });
    let wanted = 0;
    return ({ bends, power }) => {
      const steepest = Math.max(...bends);
      wanted = factor / steepest;
      const where = power === 2 ? "" : " at θ"; // a bowl bends everywhere as much
      node.textContent = `α = ${factor} / curvature of ${NAMES[bends.indexOf(steepest)]}${where}`;
      node.disabled = !(wanted >= 0.01 && wanted <= 1);
    };
  };
  const both = [make(1), make(2)];
  return (view) => both.forEach((update) => update(view));
}

const curvatureRange = (name) => ({
  trait: `curvature_${name.toLowerCase()}`,
  label: `curvature ${name}`,
  ...{ min: 0.2, max: 6, step: 0.1, digits: 1 },
});
const RANGES = [
  { trait: "alpha", label: "inner rate α", min: 0.01, max: 1, step: 0.01, digits: 2 },
  { trait: "n_inner_steps", label: "inner steps K", min: 0, max: 10, step: 1, digits: 0 },
  ...NAMES.map(curvatureRange),
];

/** What the reader may do to theta and the centres; three decimals are plenty. */
function moves(state) {
  const rounded = (x) => Number(x.toFixed(3));
  return {
    moveTheta: (x) => state.set({ theta: rounded(x) }),
    moveCentre(k, x) {
      state.set({ centres: state.get("centres").map((old, j) => (j === k ? rounded(x) : old)) });
    },
  };
}

/** The kind of losses, the rates on offer and Reset; returns what renews the offer. */
function lead(root, state, reset) {
  const top = element(root, "div", { class: "mf-lead" });
  const options = [["bowl", "bowls, p = 2"], ["quartic", "quartics, p = 4"]];
  choice(top, state, { trait: "shape", label: "losses", options });
  const buttons = element(top, "div", { class: "mf-buttons" });
  const offer = presets(buttons, state);
  button(buttons, "Reset", reset);
  return offer;
}

function build({ root, state, redraw, reset, status }) {
  const offer = lead(root, state, reset);
  legend(root);
  const [first, ...others] = RANGES;
  slider(element(root, "div", { class: "mf-controls" }), state, first);
  const grid = element(root, "div", { class: "mf-grid mf-uneven" });
  const landscape = new Landscape(grid, { redraw, ...moves(state) });
  const side = element(grid, "div", { class: "mf-side" });
  const panels = [landscape, new Arrivals(side, redraw)];
  const numbers = folded(side, "The numbers at θ, and what others answer");
  const tables = [taskTable(numbers), gradientTable(numbers)];
  const say = status().room([longestWords()]);
  const more = element(folded(root, "More settings: inner steps, curvatures"), "div", { class: "mf-controls" });
  for (const range of others) slider(more, state, range);
  const draw = () => {
    const view = compute(state);
    for (const panel of panels) panel.draw(view);
    for (const fill of [...tables, offer]) fill(view);
    say(describe(view));
  };
  return { draw, panels };
}

export default figure({ name: "landscape", label: LABEL, traits: TRAITS, build });
