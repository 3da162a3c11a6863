/**
 * Flip a mistake: a board of switches, one per mistake; the line of code that changes, what was
 * measured with and without it, and what the check said. Everything was computed in Python and
 * comes from `__init__.py`; here it is only drawn.
 *
 * @typedef {{points: [number, number|null][], verdict: string, value: number}} Outcome
 * @typedef {{number: number, title: string, right_code: string, wrong_code: string,
 *            right: Outcome, wrong: Outcome, plot: "slopes"|"curve", x_label: string,
 *            y_label: string, log_y: boolean, value_label: string, caught_by: string}} Case
 */
import { figure } from "../shared/lifecycle.js";
import { button, element, formatLoss, panel, svgElement, uniqueId } from "../shared/ui.js";

const VERSIONS = { true: "wrong", false: "right" }; // by whether the mistake is planted
const LABEL = "Flip a mistake: code, effect and check, with and without it";
const TRAITS = ["mistake", "planted"];

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

/** Axes that hold both versions, so that a flip moves the points and not the frame. */
export function axesOf({ right, wrong, plot, log_y: log, x_label: xLabel, y_label: yLabel }) {
  const points = [...right.points, ...wrong.points];
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y).filter((y) => y !== null);
  if (plot === "slopes") {
    const reach = 1.08 * Math.max(...xs.map(Math.abs), ...ys.map(Math.abs));
    const axis = { min: -reach, max: reach, ticks: niceTicks(-reach, reach, 4), log: false };
    return { x: { ...axis, label: xLabel }, y: { ...axis, label: yLabel } };
  }
  const [left, end] = [Math.min(...xs), Math.max(...xs)];
  const x = { min: left, max: end, ticks: niceTicks(left, end, 6), log: false, label: xLabel };
  const [low, high] = [Math.min(...ys), Math.max(...ys)];
  if (log) {
    const [min, max] = [low / 1.25, high * 1.25];
    return { x, y: { min, max, ticks: logTicks(min, max), log, label: yLabel } };
  }
  const room = 0.08 * (high - low || 1);
  const [min, max] = [low - room, high + room];
  return { x, y: { min, max, ticks: niceTicks(min, max, 5), log: false, label: yLabel } };
}

/** What the figure shows, as a sentence. */
export function sentence(shown, planted) {
  const { verdict, value } = shown[VERSIONS[planted]];
  const state = planted ? "planted" : "mended";
  return (
    `Mistake ${shown.number}, ${shown.title}: ${state}. ` +
    `${shown.value_label}: ${tidy(value)}. ${shown.caught_by}: ${verdict}.`
  );
}

/** A measured number; what is zero but for rounding is written as such. */
export const tidy = (value) => (Math.abs(value) < 1e-9 ? "0" : formatLoss(value));

/** One row per mistake: a switch, and its name, which shows it. */
class Board {
  constructor(parent, state, cases) {
    const list = element(parent, "ul", { class: "mf-board", "aria-label": "Mistakes" });
    this.rows = cases.map(({ number, title }) => this.makeRow(list, state, number, title));
  }

  makeRow(list, state, number, title) {
    const row = element(list, "li");
    const id = uniqueId("mistake");
    const name = button(row, `${number}. ${title}`, () => state.set({ mistake: number }), { id });
    const box = element(row, "input", { type: "checkbox", role: "switch", "aria-labelledby": id });
    box.addEventListener("change", () => {
      const others = state.get("planted").filter((other) => other !== number);
      state.set({ mistake: number, planted: box.checked ? [...others, number] : others });
    });
    return { number, row, name, box, word: element(row, "span", { class: "mf-word" }) };
  }

  draw(chosen, planted) {
    for (const { number, row, name, box, word } of this.rows) {
      box.checked = planted.includes(number);
      box.setAttribute("aria-checked", String(box.checked));
      word.textContent = box.checked ? "on" : "off";
      row.classList.toggle("mf-chosen", number === chosen);
      name.setAttribute("aria-pressed", String(number === chosen));
    }
  }
}

/** The right line and the wrong one; the one that runs stands out. */
class CodePanel {
  constructor(parent) {
    this.box = element(parent, "div", { class: "mf-panel mf-code" });
    this.title = element(this.box, "b");
    this.versions = ["wrong", "right"].map((version) => {
      const part = element(this.box, "div", { class: `mf-${version}` });
      const label = element(part, "span", { class: "mf-code-label" });
      return { version, part, label, code: element(element(part, "pre"), "code") };
    });
    this.verdict = element(this.box, "p", { class: "mf-verdict" });
  }

  draw(shown, planted) {
    this.title.textContent = `${shown.number}. ${shown.title}`;
    for (const { version, part, label, code } of this.versions) {
      const live = version === VERSIONS[planted];
      part.classList.toggle("mf-live", live);
      const name = version === "wrong" ? "the mistake" : "as it should be";
      label.textContent = `${version === "wrong" ? "✗" : "✓"} ${name}${live ? ", running" : ""}`;
      code.textContent = shown[`${version}_code`];
    }
    const { verdict, value } = shown[VERSIONS[planted]];
    this.verdict.replaceChildren();
    element(this.verdict, "strong", { text: `${planted ? "✗ Caught" : "✓ Passes"}: ` });
    element(this.verdict, "span", { text: verdict.replace(/^(passed|failed): /, "") });
    element(this.verdict, "small", { text: `${shown.value_label}: ${tidy(value)}` });
    this.box.classList.toggle("mf-planted", planted);
  }
}

/** Both outcomes in one frame: the live one filled, the other as a ghost. */
class OutcomePanel {
  constructor(parent, redraw) {
    const options = {
      label: "What was measured, with and without the mistake",
      margin: [8, 14, 38, 62],
      height: (width) => Math.max(230, Math.min(330, Math.round(0.8 * width))),
      x: { min: 0, max: 1, ticks: [] },
      y: { min: 0, max: 1, ticks: [] },
    };
    const made = panel(parent, { title: "What it does" }, options, redraw);
    this.plot = made.plot;
    this.note = made.note;
    this.truth = svgElement(this.plot.area, "path", { class: "mf-truth" });
    this.ghost = svgElement(this.plot.area, "g", { class: "mf-ghost" });
    this.live = svgElement(this.plot.area, "g");
    for (const group of [this.ghost, this.live]) svgElement(group, "path", { class: "mf-curve" });
  }

  draw(shown, planted) {
    const { plot } = this;
    const axes = axesOf(shown);
    const short = (value) => (Math.abs(value) >= 1e4 ? value.toExponential(0) : String(value));
    Object.assign(plot.x, axes.x);
    Object.assign(plot.y, axes.y, { format: short });
    plot.drawAxes();
    const slopes = shown.plot === "slopes";
    const { min, max } = plot.x;
    this.truth.setAttribute("d", slopes ? plot.line([[min, min], [max, max]]) : "");
    this.note.textContent = slopes ? "dashed: gradient and objective agree" : "faint: the other version";
    this.drawOutcome(this.live, shown, VERSIONS[planted]);
    this.drawOutcome(this.ghost, shown, VERSIONS[!planted]);
  }

  drawOutcome(group, shown, version) {
    const { plot } = this;
    const { points } = shown[version];
    group.setAttribute("class", `${group === this.ghost ? "mf-ghost" : ""} mf-${version}`.trim());
    const end = points.findIndex(([, y]) => y === null);
    const finite = end < 0 ? points : points.slice(0, end);
    const [line] = group.children;
    line.setAttribute("d", shown.plot === "curve" ? plot.line(finite) : "");
    while (group.children.length > 1 + finite.length) group.lastChild.remove();
    while (group.children.length < 1 + finite.length) svgElement(group, "circle", { r: 4.2 });
    finite.forEach(([x, y], k) => {
      group.children[k + 1].setAttribute("cx", plot.px(x).toFixed(1));
      group.children[k + 1].setAttribute("cy", plot.py(y).toFixed(1));
    });
  }
}

/** Buttons for all switches at once. */
function together(root, state, cases, reset) {
  const buttons = element(root, "div", { class: "mf-buttons" });
  const all = cases.map(({ number }) => number);
  button(buttons, "All on", () => state.set({ planted: all }));
  button(buttons, "All off", () => state.set({ planted: [] }));
  button(buttons, "Reset", reset);
}

function build({ root, state, redraw, reset, status }) {
  const cases = state.get("cases");
  const board = new Board(root, state, cases);
  together(root, state, cases, reset);
  const grid = element(root, "div", { class: "mf-grid" });
  const code = new CodePanel(grid);
  const outcome = new OutcomePanel(grid, redraw);
  const say = status();
  const draw = () => {
    const chosen = state.get("mistake");
    const shown = cases.find(({ number }) => number === chosen);
    const planted = state.get("planted").includes(chosen);
    board.draw(chosen, state.get("planted"));
    for (const panel of [code, outcome]) panel.draw(shown, planted);
    say(sentence(shown, planted));
  };
  return { draw, panels: [outcome] };
}

export default figure({ name: "flip", label: LABEL, traits: TRAITS, build });
