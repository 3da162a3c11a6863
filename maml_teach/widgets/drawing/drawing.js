/**
 * Draw it: five characters, one drawing each, and a sixth drawing to be recognised. The trained
 * network adapts to the five in the page. Constants and settings come from `__init__.py`.
 */
import { convNet, gradient, scores, softmax } from "../shared/conv.js";
import { figure } from "../shared/lifecycle.js";
import { plus } from "../shared/maths.js";
import { afterRepaint } from "../shared/slices.js";
import { atTheirEnds, beyondTraining, button, element, floats, format, harmed, slider } from "../shared/ui.js";
import { svgElement, uniqueId, withTraining } from "../shared/ui.js";

const SIDE = 28; // pixels
const AREA = SIDE ** 2;
const MARGIN = 3;
const WAYS = 5;
const PEN = 1.3; // radius in pixels
const RANGES = [
  { trait: "n_inner_steps", label: "inner steps", min: 0, max: 20, step: 1, digits: 0 },
  { trait: "alpha", label: "inner rate α", min: 0.02, max: 0.5, step: 0.01, log: true, digits: 2 },
];
const LABEL = "Draw it: five characters, and a sixth drawing to recognise";
const TRAITS = ["n_inner_steps", "alpha", "seed", "drawings"];
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const HELP =
  "Draw with mouse, finger or pen; the first stroke takes an example away. By keyboard: arrow keys " +
  "move the pen (Shift: four pixels), Space puts it down or lifts it, Delete clears the field.";

/** Ink of a round pen at (x, y), where it is darker than what is there; 0 to 255. */
export function stamp(ink, x, y) {
  for (let row = 0; row < SIDE; row++)
    for (let column = 0; column < SIDE; column++) {
      const inside = PEN + 0.5 - Math.hypot(column + 0.5 - x, row + 0.5 - y);
      const wet = Math.round(255 * Math.max(0, Math.min(1, inside)));
      if (wet > ink[row * SIDE + column]) ink[row * SIDE + column] = wet;
    }
}

/**
 * The pen drawn along a straight line, both ends included.
 * @param {number[]} from
 * @param {number[]} to
 */
export function stroke(ink, from, to) {
  const [[x0, y0], [x1, y1]] = [from, to];
  const n = Math.max(1, Math.ceil(2 * Math.hypot(x1 - x0, y1 - y0)));
  for (let k = 0; k <= n; k++) stamp(ink, x0 + ((x1 - x0) * k) / n, y0 + ((y1 - y0) * k) / n);
}

/** First and last row and column with ink, or null if there is none. */
export function bounds(ink) {
  const [columns, rows] = [[], []];
  ink.forEach((wet, k) => {
    if (wet > 25) {
      columns.push(k % SIDE);
      rows.push(Math.floor(k / SIDE));
    }
  });
  if (!rows.length) return null;
  const least = [Math.min(...columns), Math.min(...rows)];
  return { least, most: [Math.max(...columns) + 1, Math.max(...rows) + 1] };
}

/** Ink between pixels, bilinearly; 0 outside. */
export function inkAt(ink, x, y) {
  const [left, top] = [Math.floor(x - 0.5), Math.floor(y - 0.5)];
  const [u, v] = [x - 0.5 - left, y - 0.5 - top];
  const at = (column, row) =>
    column < 0 || row < 0 || column >= SIDE || row >= SIDE ? 0 : ink[row * SIDE + column];
  const above = (1 - u) * at(left, top) + u * at(left + 1, top);
  return (1 - v) * above + v * ((1 - u) * at(left, top + 1) + u * at(left + 1, top + 1));
}

/** A drawing as large as the network's pictures are and in the middle, 0 to 1; null if empty. */
export function framed(ink) {
  const box = bounds(ink);
  if (!box) return null;
  const { least, most } = box;
  const scale = Math.max(most[0] - least[0], most[1] - least[1]) / (SIDE - 2 * MARGIN);
  const centre = [0, 1].map((k) => (least[k] + most[k]) / 2);
  return Float64Array.from({ length: AREA }, (_, k) => {
    const x = centre[0] + ((k % SIDE) + 0.5 - SIDE / 2) * scale;
    const y = centre[1] + (Math.floor(k / SIDE) + 0.5 - SIDE / 2) * scale;
    return inkAt(ink, x, y) / 255;
  });
}

const joined = (pictures) => Float64Array.from(pictures.flatMap((picture) => [...picture]));

/** Chances of the five characters for one drawing, seen together with the five. */
export function chances(net, theta, five, drawing) {
  return softmax(scores(net, theta, joined([...five, drawing])), WAYS).slice(-WAYS);
}

/** Which of the five has the least squared distance, pixel by pixel. */
export function nearestByPixels(five, drawing) {
  const gaps = five.map((picture) => picture.reduce((sum, v, k) => sum + (v - drawing[k]) ** 2, 0));
  return gaps.indexOf(Math.min(...gaps));
}

/** One inner step on the five drawings, each the only example of its character. */
export function innerStep(net, theta, five, alpha) {
  return plus(theta, -alpha, gradient(net, theta, joined(five), [0, 1, 2, 3, 4]));
}

export const bytesOf = (view) => new Uint8Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));

/** The six drawings now: the reader's, or the examples of the chosen set. */
export function inksOf(state) {
  const [text, all] = [state.get("drawings"), bytesOf(state.get("examples"))];
  const nSets = all.length / (6 * AREA);
  const own = text && Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const from = (state.get("seed") % nSets) * 6 * AREA;
  const block = own && own.length === 6 * AREA ? own : all.slice(from, from + 6 * AREA);
  return Array.from({ length: 6 }, (_, k) => block.slice(k * AREA, (k + 1) * AREA));
}

export const asText = (inks) => btoa(inks.map((ink) => String.fromCharCode(...ink)).join(""));

/** Where on the sheet, in its pixels, a pointer is, from the box that the sheet takes up on the page. */
export const pixelUnder = ({ clientX, clientY }, { left, top, width, height }) => [
  ((clientX - left) / width) * SIDE,
  ((clientY - top) / height) * SIDE,
];

/** Where the pen is after a key; it stays on the sheet. */
export function moved([x, y], [dx, dy], far) {
  const inside = (value) => Math.max(1, Math.min(SIDE - 1, value));
  return [inside(x + dx * far), inside(y + dy * far)];
}

/** A field to draw in. `onStroke(ink)` is called after each stroke, `isExample()` before the first. */
class DrawingField {
  constructor(parent, label, helpId, { onStroke, isExample }) {
    const given = { role: "application", tabindex: 0, class: "mf-sheet", "data-lm-suppress-shortcuts": "true" };
    const names = { "aria-label": label, "aria-roledescription": "drawing field", "aria-describedby": helpId };
    this.node = element(parent, "div", { ...given, ...names });
    this.canvas = element(this.node, "canvas", { width: SIDE, height: SIDE, "aria-hidden": "true" });
    this.ink = new Uint8Array(AREA);
    this.pen = { x: SIDE / 2, y: SIDE / 2, down: false };
    this.last = null;
    this.onStroke = onStroke;
    this.begin = () => isExample() && this.ink.fill(0);
    this.followPointer();
    this.node.addEventListener("keydown", (event) => this.key(event));
    for (const name of ["focus", "blur"]) {
      this.node.addEventListener(name, () => {
        this.pen.down = false;
        this.paint();
      });
    }
  }

  show(ink) {
    this.ink = ink.slice();
    this.paint();
  }

  clear() {
    this.ink.fill(0);
    this.paint();
    this.onStroke(this.ink);
  }

  at(event) {
    return pixelUnder(event, this.canvas.getBoundingClientRect());
  }

  followPointer() {
    const node = this.node;
    node.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      node.setPointerCapture(event.pointerId);
      this.begin();
      this.last = this.at(event);
      stroke(this.ink, this.last, this.last);
      this.paint();
    });
    node.addEventListener("pointermove", (event) => {
      if (!this.last) return;
      for (const one of event.getCoalescedEvents?.() ?? [event]) {
        const to = this.at(one);
        stroke(this.ink, this.last, to);
        this.last = to;
      }
      this.paint();
    });
    for (const end of ["pointerup", "pointercancel"]) {
      node.addEventListener(end, () => {
        if (this.last) this.onStroke(this.ink);
        this.last = null;
      });
    }
  }

  key(event) {
    const way = MOVES[event.key];
    if (way) this.movePen(way, event.shiftKey ? 4 : 1);
    else if (event.key === " ") this.togglePen();
    else if (event.key === "Delete" || event.key === "Backspace") this.clear();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  togglePen() {
    this.pen.down = !this.pen.down;
    if (this.pen.down) {
      this.begin();
      stamp(this.ink, this.pen.x, this.pen.y);
    }
    this.paint();
    this.onStroke(this.ink);
  }

  movePen(way, far) {
    const { x, y, down } = this.pen;
    [this.pen.x, this.pen.y] = moved([x, y], way, far);
    if (down) stroke(this.ink, [x, y], [this.pen.x, this.pen.y]);
    this.paint();
    if (down) this.onStroke(this.ink);
  }

  paint() {
    const context = this.canvas.getContext("2d");
    const image = context.createImageData(SIDE, SIDE);
    this.ink.forEach((wet, k) => (image.data[4 * k + 3] = wet));
    context.putImageData(image, 0, 0);
    if (document.activeElement !== this.node || !this.node.matches(":focus-visible")) return;
    const { x, y, down } = this.pen;
    context.fillStyle = down ? "#000" : "#888";
    for (const [w, h] of [[7, 1], [1, 7]]) context.fillRect(Math.floor(x) - (w >> 1), Math.floor(y) - (h >> 1), w, h);
  }
}

const BARS = [
  { name: "before", y: 13 },
  { name: "after", y: 33 },
];

/** Two bars under their percentages: the chance of a character before and after adapting. */
class Chances {
  constructor(parent) {
    this.svg = svgElement(parent, "svg", { width: "100%", height: 40, "aria-hidden": "true" });
    this.rows = BARS.map(({ name, y }, k) => {
      const group = svgElement(this.svg, "g", { class: `mf-role-${k === 0 ? "before" : "maml"}` });
      svgElement(group, "rect", { class: "mf-trough", x: 0, y, width: "100%", height: 6, rx: 3 });
      const bar = svgElement(group, "rect", { class: `mf-bar-${name}`, x: 0, y, height: 6, rx: 3 });
      return { bar, text: svgElement(group, "text", { x: 0, y: y - 3, class: "mf-bar-text" }) };
    });
  }

  draw(values) {
    this.rows.forEach(({ bar, text }, k) => {
      bar.setAttribute("width", `${100 * (values?.[k] ?? 0)}%`);
      text.textContent = values ? `${BARS[k].name} ${Math.round(100 * values[k])}%` : "";
    });
  }
}

const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

/** What to do about the first field that is empty. */
export function missingIn(k) {
  const missing =
    k < WAYS
      ? `Character ${k + 1} is missing: draw one in its field.`
      : "The last field is empty: draw one of the five characters again in it.";
  return `${missing} Until then the sliders change nothing.`;
}

/** What adapting did, where that is nothing, or harm to the chance of the right character. */
function verdict(nInnerSteps, { before, after, truth }) {
  if (nInnerSteps === 0) return " At 0 inner steps nothing is adapted, so that α changes nothing.";
  if (truth === null) return "";
  const [was, is] = [before, after].map((chances) => Math.round(100 * chances[truth]));
  return harmed(-was, -is, 0, `: character ${truth + 1} had ${was}% before and has ${is}% now`);
}

/** The read-out: what the network says. */
export function describe(state, { before, after, pixels, truth }) {
  const loop = `${plural(state.get("n_inner_steps"), "inner step")} at α = ${format(state.get("alpha"))}`;
  const beyond = beyondTraining(state, RANGES);
  if (!after.every(Number.isFinite)) return `The inner loop diverged within ${loop}: α is too large.${beyond}`;
  const best = after.indexOf(Math.max(...after));
  const share = (values) => `${Math.round(100 * values[best])}%`;
  const known = truth === null ? "" : ` It is character ${truth + 1}.`;
  return (
    `After ${loop} the network takes the drawing for character ${best + 1}: ${share(after)}, ` +
    `against ${share(before)} before. The nearest pixel by pixel is character ${pixels + 1}.${known}` +
    verdict(state.get("n_inner_steps"), { before, after, truth }) + beyond
  );
}

/**
 * Walks the inner loop after the repaint, one step or one judgement at a time, so that the page never
 * waits for it; `show(before, after)` is called once both are known.
 */
class Adapter {
  constructor(net, theta) {
    this.net = net;
    this.theta = theta;
    this.walked = [];
    this.loop = this.asked = "";
    this.stop = () => {};
  }

  /** Another loop starts at theta; for another drawing only the judgements are made again. */
  go(job) {
    this.stop();
    const [loop, asked] = [`${job.alpha} ${job.five.map((picture) => picture.join())}`, job.drawing.join()];
    if (loop !== this.loop) this.walked = [{ theta: this.theta }];
    else if (asked !== this.asked) this.walked = this.walked.map(({ theta }) => ({ theta }));
    [this.loop, this.asked] = [loop, asked];
    if (!this.answers(job)) this.stop = afterRepaint(() => this.work(job));
  }

  answers({ k, show }) {
    const [first, last] = [this.walked[0], this.walked[k]];
    if (!first.chances || !last?.chances) return false;
    show(first.chances, last.chances);
    return true;
  }

  work(job) {
    const { five, drawing, alpha, k } = job;
    const { net, walked } = this;
    const judged = walked[0].chances ? walked[k] : walked[0];
    if (!judged) walked.push({ theta: innerStep(net, walked.at(-1).theta, five, alpha) });
    else judged.chances = chances(net, judged.theta, five, drawing);
    if (this.answers(job)) return;
    const timer = setTimeout(() => this.work(job));
    this.stop = () => clearTimeout(timer);
  }
}

/** Whether field k still shows what the book brought along. */
export function sameAsExample(state, k) {
  const [all, from] = [bytesOf(state.get("examples")), state.get("seed")];
  const start = ((from % (all.length / (6 * AREA))) * 6 + k) * AREA;
  return inksOf(state)[k].every((wet, n) => wet === all[start + n]);
}

/** Which character the sixth drawing is, as long as all six are examples; else null. */
export function truthOf(state) {
  const truths = state.get("truths");
  return state.get("drawings") ? null : truths[state.get("seed") % truths.length];
}

/** A field with its title and, where it is one of the five, what the network says of it. */
class Place {
  constructor(parent, state, k, helpId) {
    const title = k < WAYS ? `Character ${k + 1}` : "Which one?";
    this.box = element(parent, "div", { class: k < WAYS ? "mf-field" : "mf-field mf-asked" });
    const head = element(this.box, "div", { class: "mf-caption" });
    const name = element(head, "b");
    if (k < WAYS) element(name, "span", { class: "mf-word", text: "Character " }); // left out where narrow
    name.append(k < WAYS ? `${k + 1}` : title);
    button(head, "✕", () => this.field.clear(), { "aria-label": `Clear: ${title}`, title: "Clear" });
    this.field = new DrawingField(this.box, title, helpId, {
      onStroke: (ink) => state.set({ drawings: asText(inksOf(state).map((own, n) => (n === k ? ink : own))) }),
      isExample: () => !state.get("drawings") || sameAsExample(state, k),
    });
    this.bars = k < WAYS ? new Chances(this.box) : null;
  }
}

/** The six fields, and which of the five characters the network takes the sixth drawing for. */
class Board {
  constructor(parent, state, helpId) {
    const box = element(parent, "div", { class: "mf-fields" });
    this.places = Array.from({ length: 6 }, (_, k) => new Place(box, state, k, helpId));
  }

  /** A field in which a stroke is being drawn keeps it. */
  show(inks) {
    this.places.forEach(({ field }, k) => field.last || field.show(inks[k]));
  }

  /** Chances that are not finite, and none at all, leave the bars empty. */
  judge(before = [], after = []) {
    const known = after.length > 0 && after.every(Number.isFinite);
    const best = known ? after.indexOf(Math.max(...after)) : -1;
    this.places.forEach(({ box, bars }, k) => {
      bars?.draw(known ? [before[k], after[k]] : null);
      box.classList.toggle("mf-likely", k === best);
    });
  }
}

/** The longest that the read-out can become. */
function longestWords(state) {
  const [before, after] = [0, 1].map((sure) => Float64Array.from({ length: WAYS }, (_, k) => Number(k === sure)));
  return describe(atTheirEnds(state, RANGES), { before, after, pixels: 0, truth: 0 });
}

function lead(root, state, reset) {
  const controls = element(root, "div", { class: "mf-controls" });
  withTraining(RANGES, state).forEach((range) => slider(controls, state, range));
  const buttons = element(root, "div", { class: "mf-buttons" });
  button(buttons, "Other characters", () => state.set({ drawings: "", seed: state.get("seed") + 1 }));
  button(buttons, "Clear all", () => state.set({ drawings: asText(Array(6).fill(new Uint8Array(AREA))) }));
  button(buttons, "Reset", reset);
}

function build({ root, state, reset, status }) {
  lead(root, state, reset);
  const helpId = uniqueId("help");
  element(root, "p", { class: "mf-help", id: helpId, text: HELP });
  const board = new Board(root, state, helpId);
  const say = status().room([longestWords(state), missingIn(0), missingIn(WAYS)]);
  const adapter = new Adapter(convNet(WAYS), Float64Array.from(floats(state.get("theta"))));
  const answer = (five, drawing) => (before, after) => {
    board.judge(before, after);
    const facts = { pixels: nearestByPixels(five, drawing), truth: truthOf(state) };
    say(describe(state, { before, after, ...facts }));
  };
  const draw = () => {
    const inks = inksOf(state);
    board.show(inks);
    const pictures = inks.map(framed);
    const empty = pictures.indexOf(null);
    if (empty >= 0) {
      adapter.stop();
      board.judge();
      return say(missingIn(empty));
    }
    const [five, drawing] = [pictures.slice(0, WAYS), pictures[WAYS]];
    const loop = { alpha: state.get("alpha"), k: state.get("n_inner_steps") };
    adapter.go({ five, drawing, ...loop, show: answer(five, drawing) });
  };
  return { draw, stop: () => adapter.stop() };
}

export default figure({ name: "drawing", label: LABEL, traits: TRAITS, build });
