/**
 * Find it: one to five scenes with a box around the same glyph, and a further scene in which the
 * network has to find it. It adapts in the page. Constants and settings come from `__init__.py`.
 *
 * @typedef {{ink: Uint8Array, values: Float64Array, box: number[]}} Scene
 * @typedef {{boxes: number[][], overlaps: number[]}} Found what the network says of each scene
 */
import { boxOf, CANVAS, finder, gradient, mapsOf, overlapOf } from "./finder.js";
import { figure } from "../shared/lifecycle.js";
import { plus } from "../shared/maths.js";
import { inSlices } from "../shared/slices.js";
import { atTheirEnds, beyondTraining, button, element, floats, format, harmed } from "../shared/ui.js";
import { lineNames, panel, slider, svgElement, withTraining } from "../shared/ui.js";

const AREA = CANVAS ** 2;
const [MOST_SHOTS, QUERIES, MOST_STEPS] = [5, 4, 20];
const LEVELS = 63; // steps of ink from -0.5 to 1.5 in the bytes that Python sends
const FOUND = 0.5; // overlap from which on a glyph counts as found
const RANGES = [
  { trait: "n_inner_steps", label: "inner steps", min: 0, max: MOST_STEPS, step: 1, digits: 0 },
  { trait: "n_shots", label: "examples", min: 1, max: MOST_SHOTS, step: 1, digits: 0 },
];
const SEARCHING = "The network is adapting and searching.";
const LABEL = "Find it: a glyph shown a few times, to be found in a new scene";
const TRAITS = ["n_inner_steps", "n_shots", "task", "scene"];
const LOOKS = [
  { name: "true", text: "true box" },
  { name: "first", text: "before adapting" },
  { name: "adapted", text: "after the inner steps" },
];

/**
 * All scenes of all tasks, from the bytes and numbers that Python sent.
 * @returns {Scene[][]}
 */
export function tasksOf(state) {
  const sent = state.get("scenes");
  const bytes = new Uint8Array(sent.buffer, sent.byteOffset, sent.byteLength);
  const [boxes, each] = [state.get("boxes"), MOST_SHOTS + QUERIES];
  const sceneOf = (k) => {
    const values = Float64Array.from(bytes.subarray(k * AREA, (k + 1) * AREA), (byte) => (2 * byte) / LEVELS - 0.5);
    const ink = Uint8Array.from(values, (value) => 255 * Math.max(0, Math.min(1, value)));
    return { ink, values, box: boxes.slice(4 * k, 4 * k + 4) };
  };
  return Array.from({ length: bytes.length / AREA / each }, (_, t) =>
    Array.from({ length: each }, (_, k) => sceneOf(t * each + k)),
  );
}

/** @returns {Found} */
function emptyFound() {
  return { boxes: [], overlaps: [] };
}

/**
 * The inner loop in small pieces of work, a scene at a time; `found[k]` is whole once the loop
 * has gone past it.
 * @param {Scene[]} examples
 * @param {Scene[]} queries
 * @param {Found[]} found
 */
export function* adapting(net, theta, examples, queries, alpha, found) {
  for (let k = 0; k <= MOST_STEPS; k++) {
    const now = emptyFound();
    for (const { values, box } of queries) {
      now.boxes.push(boxOf(mapsOf(net, theta, values)));
      now.overlaps.push(overlapOf(now.boxes.at(-1), box));
      yield;
    }
    found.push(now);
    let moved = theta;
    for (const { values, box } of k < MOST_STEPS ? examples : []) {
      moved = plus(moved, -alpha / examples.length, gradient(net, theta, values, box));
      yield;
    }
    theta = moved;
  }
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** A box, centre, width and height, as SVG has it. @param {number[]} box */
export const rectOf = ([cx, cy, w, h]) => ({ x: cx - w / 2, y: cy - h / 2, width: w, height: h });

/** A scene with boxes on it: pixels in a canvas, boxes in an SVG of the same size. */
class SceneView {
  constructor(parent, looks, label) {
    const frame = element(parent, "div", { class: "mf-scene" });
    this.canvas = element(frame, "canvas", { width: CANVAS, height: CANVAS, "aria-hidden": "true" });
    const options = { viewBox: `0 0 ${CANVAS} ${CANVAS}`, role: "img", "aria-label": label };
    const svg = svgElement(frame, "svg", options);
    this.frames = looks.map((name) => {
      const group = svgElement(svg, "g", { class: `mf-look-${name}` });
      return ["mf-halo", "mf-curve"].map((kind) => svgElement(group, "rect", { class: kind }));
    });
  }

  paint(ink) {
    const context = this.canvas.getContext("2d");
    const image = context.createImageData(CANVAS, CANVAS);
    ink.forEach((wet, k) => (image.data[4 * k + 3] = wet));
    context.putImageData(image, 0, 0);
  }

  /** @param {(number[] | null)[]} boxes one for each look; null hides it */
  place(boxes) {
    this.frames.forEach((rects, k) => {
      for (const rect of rects) {
        rect.setAttribute("visibility", boxes[k] ? "visible" : "hidden");
        if (!boxes[k]) continue;
        for (const [name, value] of Object.entries(rectOf(boxes[k]))) rect.setAttribute(name, String(value));
      }
    });
  }
}

/** The five examples; those that the network is not given are pale. */
class ExampleRow {
  constructor(parent) {
    const box = element(parent, "div", { class: "mf-panel mf-examples" });
    const caption = element(box, "div", { class: "mf-caption" });
    element(caption, "b", { text: "Examples" });
    this.note = element(caption, "span", { class: "mf-mse" });
    const row = element(box, "div", { class: "mf-example-row" });
    this.views = Array.from({ length: MOST_SHOTS }, (_, k) => {
      const cell = element(row, "div");
      return { cell, view: new SceneView(cell, ["true"], `Example ${k + 1} with its box`) };
    });
  }

  draw(task, nShots) {
    this.note.textContent = `the network is given ${nShots} of ${MOST_SHOTS}`;
    this.views.forEach(({ cell, view }, k) => {
      view.paint(task[k].ink);
      view.place([task[k].box]);
      cell.classList.toggle("mf-unused", k >= nShots);
    });
  }
}

class QueryPanel {
  constructor(parent) {
    const box = element(parent, "div", { class: "mf-panel" });
    const caption = element(box, "div", { class: "mf-caption" });
    this.title = element(caption, "b");
    this.note = element(caption, "span", { class: "mf-mse" });
    const names = LOOKS.map(({ name }) => name);
    this.view = new SceneView(box, names, "A scene with the true box, the box before adapting and the box after");
  }

  draw(scene, number, first, now) {
    this.title.textContent = `New scene ${number + 1} of ${QUERIES}`;
    this.note.textContent = now ? `IoU ${format(now.overlaps[number])}` : "";
    this.view.paint(scene.ink);
    this.view.place([scene.box, first?.boxes[number] ?? null, now?.boxes[number] ?? null]);
  }
}

/** The steps of training have a tick of their own. */
const ticksWith = (steps) => [...new Set([0, 5, 10, 15, MOST_STEPS, ...steps])].sort((p, q) => p - q);

const curveOptions = (steps) => ({
  label: "Mean overlap over the four new scenes against inner steps",
  margin: [10, 14, 38, 44],
  height: (width) => Math.max(190, Math.min(340, Math.round(width * 0.95))),
  x: { min: 0, max: MOST_STEPS, ticks: ticksWith(steps), label: "inner steps" },
  y: { min: 0, max: 1, ticks: [0, 0.25, 0.5, 0.75, 1], label: "mean IoU" },
});

class CurvePanel {
  /** @param {number[]} steps how many training took: one number, or none where that is not known */
  constructor(parent, redraw, steps) {
    const note = steps.map((n) => `dashed: the ${counted(n, "step")} of training`).join("");
    this.steps = steps;
    this.plot = panel(parent, { title: "All four new scenes", note }, curveOptions(steps), redraw).plot;
    this.trained = svgElement(this.plot.area, "path", { class: "mf-truth" });
    this.now = svgElement(this.plot.area, "path", { class: "mf-now" });
    const group = svgElement(this.plot.area, "g", { class: "mf-look-adapted" });
    this.line = svgElement(group, "path", { class: "mf-curve" });
    this.dot = svgElement(group, "circle", { class: "mf-dot", r: 5.5 });
  }

  draw(found, k) {
    const upright = (x) => this.plot.line([[x, 0], [x, 1]]);
    this.trained.setAttribute("d", this.steps.map(upright).join(""));
    this.now.setAttribute("d", upright(k));
    this.line.setAttribute("d", this.plot.line(found.map(({ overlaps }, n) => [n, mean(overlaps)])));
    this.dot.setAttribute("visibility", found[k] ? "visible" : "hidden");
    if (!found[k]) return;
    this.dot.setAttribute("cx", this.plot.px(k));
    this.dot.setAttribute("cy", this.plot.py(mean(found[k].overlaps)));
  }
}

const counted = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

/** The read-out: how well the box lies, in this scene and in all four. */
export function describe(nShots, nSteps, number, first, now) {
  const [before, after] = [first.overlaps[number], now.overlaps[number]];
  const verdict = after > FOUND ? "found" : "not found";
  const [meanBefore, meanAfter] = [mean(first.overlaps), mean(now.overlaps)];
  const all = `Mean over the four new scenes: ${format(meanAfter)}, before adapting ${format(meanBefore)}.`;
  const harm = harmed(-before, -after, 2, " in this scene") + harmed(-meanBefore, -meanAfter, 2, " in the mean");
  const given = `${counted(nShots, "example")}, ${counted(nSteps, "inner step")}`;
  return `${given}. Scene ${number + 1}: the box overlaps the true one by IoU ${format(after)} (${verdict}), before adapting by ${format(before)}. ${all}${harm}`;
}

/** The longest that the read-out can become. */
function longestWords(state) {
  const [hit, missed] = [0.5, 0].map((overlap) => ({ boxes: [], overlaps: Array(QUERIES).fill(overlap) }));
  const beyond = beyondTraining(atTheirEnds(state, RANGES), RANGES);
  return describe(MOST_SHOTS, MOST_STEPS, QUERIES - 1, hit, missed) + beyond;
}

/** Makes the search for a task and K once: what has been found so far, and the work that is left. */
export function searches(state, tasks) {
  const [net, theta] = [finder(), Float64Array.from(floats(state.get("theta")))];
  /** @type {Map<string, {found: Found[], work: Generator}>} */
  const kept = new Map();
  return (number, nShots) => {
    const key = `${number} ${nShots}`;
    if (!kept.has(key)) {
      const [found, task] = [[], tasks[number]];
      const [examples, queries] = [task.slice(0, nShots), task.slice(MOST_SHOTS)];
      const work = adapting(net, theta, examples, queries, state.get("alpha"), found);
      kept.set(key, { found, work });
    }
    return kept.get(key);
  };
}

function lead(root, state, reset) {
  const top = element(root, "div", { class: "mf-lead" });
  slider(top, state, withTraining(RANGES, state)[0]);
  const buttons = element(top, "div", { class: "mf-buttons" });
  button(buttons, "Another glyph", () => state.set({ task: state.get("task") + 1 }));
  button(buttons, "Another scene", () => state.set({ scene: state.get("scene") + 1 }));
  button(buttons, "Reset", reset);
}

function build({ root, state, redraw, reset, status }) {
  const tasks = tasksOf(state);
  lead(root, state, reset);
  slider(element(root, "div", { class: "mf-controls" }), state, withTraining(RANGES, state)[1]);
  const examples = new ExampleRow(root);
  lineNames(root, LOOKS.map(({ name, text }) => ({ text, look: `mf-look-${name}` })));
  const grid = element(root, "div", { class: "mf-grid" });
  const trained = withTraining(RANGES, state)[0].trained;
  const [query, curve] = [new QueryPanel(grid), new CurvePanel(grid, redraw, trained?.slice(1) ?? [])];
  const say = status().room([longestWords(state)]);
  const search = searches(state, tasks);
  const taskNumber = () => state.get("task") % tasks.length;
  /** @type {Found[]} */
  let found = [];
  const draw = () => {
    const [nShots, k, number] = [state.get("n_shots"), state.get("n_inner_steps"), state.get("scene") % QUERIES];
    query.draw(tasks[taskNumber()][MOST_SHOTS + number], number, found[0], found[k]);
    curve.draw(found, k);
    if (found[k]) say(describe(nShots, k, number, found[0], found[k]) + beyondTraining(state, RANGES));
    else say.now(SEARCHING, false); // and not what was found in another scene
  };
  const slices = inSlices(draw);
  const begin = () => {
    const now = search(taskNumber(), state.get("n_shots"));
    found = now.found;
    examples.draw(tasks[taskNumber()], state.get("n_shots"));
    slices.start(now.work);
  };
  return { draw, begin, panels: [curve], stop: slices.stop };
}

export default figure({ name: "detection", label: LABEL, traits: TRAITS, build });
