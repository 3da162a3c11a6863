/**
 * Flip a mistake: a list of mistakes and one switch; the program and its difference, what comes
 * of running it, and what the check says. Everything was computed in Python and comes from
 * `__init__.py`; here it is only drawn.
 *
 * @typedef {"wrong"|"right"} Version
 * @typedef {{points: [number, number|null][], verdict: string, value: number}} Outcome
 * @typedef {[whose: Version|"both", pieces: [text: string, changed: boolean][]]} Line
 * @typedef {{number: number, title: string, diff: Line[], right: Outcome, wrong: Outcome,
 *            x_label: string, y_label: string, log_y: boolean, value_label: string,
 *            caught_by: string}} Case
 */
import { figure } from "../shared/lifecycle.js";
import { button, choice, element, format, formatLoss, JUPYTER_KEYS, lineNames, panel } from "../shared/ui.js";
import { svgElement } from "../shared/ui.js";

const LABEL = "Flip a mistake: a program, its result and its check, with and without the mistake";
const TRAITS = ["mistake", "version"];
const NAMES = { wrong: "with the mistake", right: "as it should be" };
/** @type {Version[]} */
const VERSIONS = ["wrong", "right"];
const MARKS = { wrong: "✗", right: "✓", both: " " };
const WIDE = 540; // pixels from which the list has room beside the program

/** Round numbers from min to max, about n of them. */
export function niceTicks(min, max, n = 5) {
  const raw = (max - min) / n;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((k) => k * power).find((size) => size >= raw * 0.999);
  const first = Math.ceil(min / step - 1e-9);
  const count = Math.floor(max / step + 1e-9) - first;
  return Array.from({ length: count + 1 }, (_, k) => Number(((first + k) * step).toPrecision(6)));
}

/** 1, 2, 5, 10, 20, ... from min to max; powers of ten alone where the range is wide. */
export function logTicks(min, max) {
  const digits = max / min > 300 ? [1] : [1, 2, 5];
  const ticks = [];
  for (let power = Math.floor(Math.log10(min)); power <= Math.log10(max); power++) {
    for (const digit of digits) ticks.push(Number((digit * 10 ** power).toPrecision(3)));
  }
  return ticks.filter((tick) => tick >= min * 0.999 && tick <= max * 1.001);
}

/** Axes that hold both versions, so that the switch moves nothing but the emphasis. */
export function axesOf({ right, wrong, log_y: log, x_label: xLabel, y_label: yLabel }) {
  const points = [...right.points, ...wrong.points];
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y).filter((y) => y !== null);
  const [left, end] = [Math.min(...xs), Math.max(...xs)];
  const x = { min: left, max: end, ticks: niceTicks(left, end, 5), log: false, label: xLabel };
  const [low, high] = [Math.min(...ys), Math.max(...ys)];
  if (log) {
    const [min, max] = [low / 1.25, high * 1.25];
    return { x, y: { min, max, ticks: logTicks(min, max), log, label: yLabel } };
  }
  const room = 0.08 * (high - low || 1);
  const [min, max] = [low - room, high + room];
  return { x, y: { min, max, ticks: niceTicks(min, max, 5), log: false, label: yLabel } };
}

/** A measured number; what is zero but for rounding is written as such. */
export const tidy = (value) => (Math.abs(value) < 1e-9 ? "0" : formatLoss(value));

/** Where a curve ends: "0.894", or that it diverged. */
const endOf = ({ points }) => {
  const [, y] = points[points.length - 1];
  return y === null ? "diverged" : tidy(y);
};

/** What the figure shows, in two sentences: the check, and the result. */
export function sentence(shown, version) {
  const { verdict, value } = shown[version];
  const [end] = shown.right.points[shown.right.points.length - 1];
  return (
    `Mistake ${shown.number}, ${shown.title}, ${NAMES[version]}. ` +
    `${shown.caught_by}: ${verdict}; ${shown.value_label}: ${tidy(value)}. ` +
    `At ${format(end, Number.isInteger(end) ? 0 : 1)} ${shown.x_label}: ${shown.y_label} ` +
    `${endOf(shown.wrong)} with the mistake, ${endOf(shown.right)} as it should be.`
  );
}

/** One list, a column where there is room and one line where there is not. */
class List {
  constructor(parent, state, cases) {
    const box = element(parent, "label", { class: "mf-list" });
    element(box, "span", { text: "Mistake" });
    this.select = element(box, "select", JUPYTER_KEYS);
    this.length = cases.length;
    for (const { number, title } of cases) {
      element(this.select, "option", { value: number, text: `${number}. ${title}` });
    }
    this.select.addEventListener("change", () => state.set({ mistake: Number(this.select.value) }));
  }

  draw({ number }, wide) {
    this.select.size = wide ? this.length : 1;
    this.select.value = String(number);
  }
}

/** The programs of all cases lie on each other, so that the tallest decides the height. */
class Programs {
  constructor(parent, cases) {
    this.box = element(parent, "div", { class: "mf-programs" });
    this.all = cases.map((shown) => {
      const part = element(this.box, "div", { class: "mf-program" });
      element(part, "b", { text: `${shown.number}. ${shown.title}` });
      const code = element(part, "pre");
      for (const line of shown.diff) programLine(code, line);
      return { number: shown.number, part };
    });
  }

  draw({ number }, version) {
    this.box.setAttribute("data-version", version);
    for (const { number: own, part } of this.all) part.classList.toggle("mf-shown", own === number);
  }
}

/** A line of a diff: whose it is, then its pieces, the changed ones marked. */
function programLine(code, [whose, pieces]) {
  const line = element(code, "span", { class: `mf-line mf-${whose}` });
  const named = { both: {}, wrong: { title: NAMES.wrong }, right: { title: NAMES.right } }[whose];
  element(line, "span", { class: "mf-sign", text: MARKS[whose], ...named });
  const indent = pieces.length ? pieces[0][0].search(/\S|$/) : 0;
  const text = element(line, "code", { style: `--mf-indent: ${indent + 2}ch` }); // of what wraps
  for (const [piece, changed] of pieces) {
    if (changed) element(text, "mark", { text: piece });
    else text.append(piece);
  }
}

/** Both results in one frame: that of the program that runs is strong, the other one thin. */
class ResultPanel {
  constructor(parent, redraw) {
    const options = {
      label: "What comes of it, with and without the mistake",
      margin: [8, 16, 38, 62],
      height: (width) => Math.max(210, Math.min(260, Math.round(0.6 * width))),
      x: { min: 0, max: 1, ticks: [] },
      y: { min: 0, max: 1, ticks: [] },
    };
    this.plot = panel(parent, { title: "What comes of it" }, options, redraw).plot;
    this.curves = ["right", "wrong"].map((version) => {
      const group = svgElement(this.plot.over, "g");
      svgElement(group, "path", { class: "mf-curve" });
      return { version, group };
    });
  }

  draw(shown, version) {
    const { plot } = this;
    const axes = axesOf(shown);
    const short = (value) => (Math.abs(value) >= 1e4 ? value.toExponential(0) : String(value));
    Object.assign(plot.x, axes.x);
    Object.assign(plot.y, axes.y, { format: short });
    plot.drawAxes();
    for (const curve of this.curves) this.drawCurve(curve, shown, version);
  }

  drawCurve({ version, group }, shown, running) {
    const { plot } = this;
    const { points } = shown[version];
    group.setAttribute("class", `mf-${version}${version === running ? " mf-runs" : ""}`);
    const end = points.findIndex(([, y]) => y === null);
    const finite = end < 0 ? points : points.slice(0, end);
    const [line] = group.children;
    line.setAttribute("d", plot.line(finite));
    while (group.children.length > 1 + finite.length) group.lastChild.remove();
    while (group.children.length < 1 + finite.length) svgElement(group, "circle", { r: 4.2 });
    finite.forEach(([x, y], k) => {
      group.children[k + 1].setAttribute("cx", plot.px(x).toFixed(1));
      group.children[k + 1].setAttribute("cy", plot.py(y).toFixed(1));
    });
  }
}

/** Which curve is which; the signs are those of the program's lines. */
function build({ root, state, redraw, reset, status }) {
  const cases = state.get("cases");
  const desk = element(root, "div", { class: "mf-desk" });
  const list = new List(desk, state, cases);
  const bench = element(desk, "div", { class: "mf-bench" });
  const options = [["wrong", "✗ wrong"], ["right", "✓ right"]];
  const row = element(bench, "div", { class: "mf-buttons" });
  choice(row, state, { trait: "version", label: "program", options });
  button(row, "Reset", reset);
  const result = new ResultPanel(bench, redraw);
  lineNames(bench, VERSIONS.map((version) => ({ text: `${MARKS[version]} ${NAMES[version]}`, look: `mf-${version}` })));
  const programs = new Programs(root, cases);
  const words = cases.flatMap((each) => VERSIONS.map((version) => sentence(each, version)));
  const say = status().room(words);
  const draw = () => {
    const shown = cases.find(({ number }) => number === state.get("mistake"));
    const version = state.get("version");
    list.draw(shown, root.clientWidth > WIDE);
    programs.draw(shown, version);
    result.draw(shown, version);
    say(sentence(shown, version));
  };
  return { draw, panels: [result] };
}

export default figure({ name: "flip", label: LABEL, traits: TRAITS, build });
