/**
 * How good must features be: six methods on new intents, from a bag of words to the whole encoder.
 * All numbers come from `__init__.py`; here they are looked up and drawn.
 *
 * @typedef {{name: string, look: string, shares: number[]}} Row a method, and its accuracy by kind
 */
import { figure } from "../shared/lifecycle.js";
import { button, choice, element, floats, lineNames, panel, slider, svgElement } from "../shared/ui.js";

const LABEL = "How good must features be: accuracy on new intents, from poor features to good";
const TRAITS = ["kind", "n_shots"];
const SHOTS = ["1", "5"];
const LEVEL = 0.005; // closer than this counts as level

const percent = (share) => `${(100 * share).toFixed(1)}%`;

/** The rows of one setting; the grid is (setting, method, kind) in C order. */
export function rowsOf(numbers, methods, nKinds, setting) {
  return methods.map(([name, look], m) => {
    const first = (setting * methods.length + m) * nKinds;
    return { name, look, shares: Array.from(numbers.subarray(first, first + nKinds)) };
  });
}

/** The methods at one kind, the best first. */
export const ranked = (rows, kind) => [...rows].sort((one, other) => other.shares[kind] - one.shares[kind]);

/** What the read-out says. */
export function describe(rows, kinds, kind, shots) {
  const order = ranked(rows, kind);
  const best = order[0].shares[kind];
  const near = order.filter(({ shares }) => best - shares[kind] < LEVEL).map(({ name }) => name);
  const values = order.map(({ name, shares }) => `${name} ${percent(shares[kind])}`).join(", ");
  return `Features: ${kinds[kind]}; ${shots} example${shots === "1" ? "" : "s"} of each intent. At the top: ${near.join(", ")}. All: ${values}.`;
}

const curveOptions = (nKinds, chance) => ({
  label: "Accuracy of each method over the kinds of features, from poor to good",
  margin: [8, 12, 34, 40],
  height: (width) => Math.max(220, Math.min(300, Math.round(width * 0.6))),
  x: { min: 0, max: nKinds - 1, ticks: [0, nKinds - 1], format: (k) => String(k + 1), label: "features, from poor to good" },
  y: { min: Math.max(0, chance - 0.05), max: 1, ticks: [0.2, 0.4, 0.6, 0.8, 1], format: (share) => `${Math.round(100 * share)}%` },
});

/** The curves of all methods, and where the slider stands. */
class Curves {
  constructor(parent, { kinds, methods, chance }, redraw) {
    const heading = { title: "Accuracy on new intents", note: "thin line: chance" };
    this.plot = panel(parent, heading, curveOptions(kinds.length, chance), redraw).plot;
    const { area } = this.plot;
    this.level = svgElement(area, "path", { class: "mf-level" });
    this.now = svgElement(area, "path", { class: "mf-now" });
    const groups = methods.map(([, look]) => svgElement(area, "g", { class: `mf-role-${look}` }));
    this.lines = groups.map((group) => svgElement(group, "path", { class: "mf-curve" }));
    this.dots = groups.map((group) => svgElement(group, "circle", { class: "mf-dot", r: 4.5 }));
  }

  draw({ rows, kind, chance }) {
    const { plot } = this;
    const { min, max } = plot.y;
    this.level.setAttribute("d", plot.line([[0, chance], [plot.x.max, chance]]));
    this.now.setAttribute("d", plot.line([[kind, min], [kind, max]]));
    rows.forEach(({ shares }, m) => {
      this.lines[m].setAttribute("d", plot.line(shares.map((share, k) => [k, share])));
      this.dots[m].setAttribute("cx", plot.px(kind));
      this.dots[m].setAttribute("cy", plot.py(shares[kind]));
    });
  }
}

const barOptions = (nMethods) => ({
  label: "Accuracy of each method on the chosen features",
  margin: [8, 60, 34, 10],
  height: (width) => Math.max(220, Math.min(300, Math.round(width * 0.6))),
  x: { min: 0, max: 1, ticks: [0, 0.5, 1], format: (share) => `${Math.round(100 * share)}%`, label: "accuracy" },
  y: { min: -0.3, max: nMethods, ticks: [] },
});

/** One bar for each method, with its name above and its value at the end. */
class Bars {
  constructor(parent, { methods }, redraw) {
    const heading = { title: "On these features", note: "" };
    const parts = panel(parent, heading, barOptions(methods.length), redraw);
    this.plot = parts.plot;
    this.bars = methods.map(([name, look]) => {
      const group = svgElement(this.plot.over, "g", { class: `mf-role-${look}` });
      const bar = svgElement(group, "path", { class: "mf-bar" });
      const text = { name: svgElement(group, "text", { class: "mf-label mf-name", text: name }) };
      return { bar, ...text, value: svgElement(group, "text", { class: "mf-label mf-value" }) };
    });
  }

  draw({ rows, kind }) {
    rows.forEach(({ shares }, m) => {
      const y = rows.length - 1 - m;
      const { bar, name, value } = this.bars[m];
      bar.setAttribute("d", this.plot.line([[0, y], [shares[kind], y]]));
      name.setAttribute("x", this.plot.px(0));
      name.setAttribute("y", this.plot.py(y) - 9);
      value.setAttribute("x", this.plot.px(shares[kind]) + 7);
      value.setAttribute("y", this.plot.py(y) + 4);
      value.textContent = percent(shares[kind]);
    });
  }
}

function lead(root, state, kinds, reset) {
  const top = element(root, "div", { class: "mf-lead" });
  const ends = { min: 1, max: kinds.length, step: 1, digits: 0 };
  slider(top, state, { trait: "kind", label: "features", ...ends });
  choice(top, state, { trait: "n_shots", label: "examples of each", options: SHOTS.map((n) => [n, n]) });
  button(element(top, "div", { class: "mf-buttons" }), "Reset", reset);
}

function build({ root, state, redraw, reset, status }) {
  const [kinds, methods, chance] = [state.get("kinds"), state.get("methods"), state.get("chance")];
  const numbers = floats(state.get("grid"));
  const tables = SHOTS.map((_, setting) => rowsOf(numbers, methods, kinds.length, setting));
  lead(root, state, kinds, reset);
  lineNames(root, methods.map(([text, look]) => ({ text, look: `mf-role-${look}` })));
  const grid = element(root, "div", { class: "mf-grid" });
  const panels = [new Curves(grid, { kinds, methods, chance }, redraw), new Bars(grid, { methods }, redraw)];
  const words = tables.flatMap((rows, s) => kinds.map((_, k) => describe(rows, kinds, k, SHOTS[s])));
  const say = status().room(words);
  const draw = () => {
    const [kind, shots] = [Math.min(state.get("kind"), kinds.length) - 1, state.get("n_shots")];
    const rows = tables[SHOTS.indexOf(shots)];
    for (const one of panels) one.draw({ rows, kind, chance });
    say(describe(rows, kinds, kind, shots));
  };
  return { draw, panels };
}

export default figure({ name: "features", label: LABEL, traits: TRAITS, build });
