/**
 * Reach it: a policy walks towards a goal that it is not told, learns from how far it stayed away,
 * and walks again. Constants and settings come from `__init__.py`.
 */
import { boxAround, frameOf, settle, spotsAround } from "../shared/labels.js";
import { figure } from "../shared/lifecycle.js";
import { network, uniforms } from "../shared/maths.js";
import { inSlices } from "../shared/slices.js";
import { atTheirEnds, beyondTraining, button, choice, dragPoint, element, floats } from "../shared/ui.js";
import { format, harmed, lineNames, panel, slider, svgElement, withTraining } from "../shared/ui.js";
import { HORIZON, landed, meanReturn, newWalks, stepWalks, straightReturn, updated } from "./walker.js";

const MAX_UPDATES = 5;
const MAX_WALKS = 40;
const EDGE = 0.95; // half the side of the plane that is shown
const FARTHEST = 0.9; // where the goal can be dragged to, along each axis
const RANGES = [
  { trait: "n_inner_steps", label: "inner steps", min: 0, max: MAX_UPDATES, step: 1, digits: 0 },
  { trait: "alpha", label: "rate α", min: 0.01, max: 1, step: 0.01, log: true, digits: 3 },
  { trait: "n_walks", label: "walks per step", min: 1, max: MAX_WALKS, step: 1, digits: 0 },
];
const LABEL = "Reach it: walks towards a goal before and after policy gradient";
const TRAITS = ["goal", "n_inner_steps", "alpha", "n_walks", "start", "later", "seed"];
const STARTS = [["maml", "MAML"], ["joint", "all goals at once"]];
const LATER = [["same", "same rate"], ["fifth", "a fifth of it"]];

/** Standard normal numbers for every action of every walk, by update, step and walk. */
export function allNoise(seed) {
  const next = uniforms(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  const row = () => Float64Array.from({ length: 2 * MAX_WALKS }, normal);
  const rows = (n, make) => Array.from({ length: n }, make);
  return rows(MAX_UPDATES + 1, () => rows(HORIZON, row));
}

/** Walks and learns in turn, into `rounds`; yields often, so that the page can repaint. */
export function* learn(rounds, net, theta, noise, { goal, alpha, later, nWalks, nUpdates }) {
  for (let k = 0; k <= nUpdates; k++) {
    const walks = newWalks();
    rounds.push(walks);
    for (const row of noise[k]) {
      stepWalks(walks, net, theta, row.subarray(0, 2 * nWalks), goal);
      yield;
    }
    if (k === nUpdates) return;
    theta = yield* updated(net, theta, walks, k ? alpha * later : alpha);
  }
}

const planeOptions = () => ({
  label: "The plane with the walks and the goal",
  margin: [8, 8, 24, 38],
  height: (width) => Math.min(width, 460) - 14,
  x: { min: -EDGE, max: EDGE, ticks: [-0.5, 0, 0.5] },
  y: { min: -EDGE, max: EDGE, ticks: [-0.5, 0, 0.5] },
});

const returnOptions = () => ({
  label: "Return of the walks before and after each update",
  margin: [8, 12, 34, 50],
  height: (width) => Math.min(width, 460) - 14,
  x: { min: -0.3, max: MAX_UPDATES + 0.3, ticks: [0, 1, 2, 3, 4, 5], label: "updates" },
  y: { min: -30, max: 0, ticks: [-30, -20, -10, 0], label: "return" },
});

/** The places that walk `w` went through. */
export function pathOf(walks, w) {
  const places = walks.states.map((row) => [row[2 * w], row[2 * w + 1]]);
  if (walks.states.length) places.push([landed(walks)[2 * w], landed(walks)[2 * w + 1]]);
  return places;
}

/** The middle of all walks, step by step. */
export function middleOf(walks) {
  const n = (walks.states[0]?.length ?? 0) / 2;
  const mean = (row, part) => row.reduce((sum, value, k) => sum + (k % 2 === part ? value : 0), 0) / n;
  return walks.states.map((row) => [mean(row, 0), mean(row, 1)]);
}

class PlanePanel {
  /** @param {number[]} [ends] of the square that training drew goals from, along each axis */
  constructor(parent, redraw, onMove, ends) {
    const heading = { title: "Walks on the plane", note: "drag the goal" };
    this.ends = ends;
    this.plot = panel(parent, heading, planeOptions(), redraw).plot;
    this.square = svgElement(this.plot.area, "path", { class: "mf-limit" });
    const group = (name) => svgElement(this.plot.area, "g", { class: name });
    this.first = svgElement(group("mf-role-before"), "path", { class: "mf-walks" });
    this.last = svgElement(group("mf-role-adapted"), "path", { class: "mf-walks" });
    this.middles = group("mf-middles");
    this.goal = dragPoint(this.plot, { label: "goal", step: 0.02, onMove });
    svgElement(this.goal.mark, "path", { class: "mf-goal", d: "M-7 -7L7 7M-7 7L7 -7" });
  }

  draw(rounds, goal) {
    const { plot } = this;
    this.keepShape();
    if (this.ends) {
      const [low, high] = this.ends;
      const corners = [[low, low], [high, low], [high, high], [low, high]];
      this.square.setAttribute("d", `${plot.line(corners)}Z`);
    }
    const lines = (walks) => {
      const n = (walks?.states[0]?.length ?? 0) / 2;
      return Array.from({ length: n }, (_, w) => plot.line(pathOf(walks, w))).join("");
    };
    this.first.setAttribute("d", lines(rounds[0]));
    this.last.setAttribute("d", lines(rounds.length > 1 ? rounds.at(-1) : undefined));
    this.middles.replaceChildren();
    const taken = [boxAround([plot.px(goal[0]), plot.py(goal[1])], 8)];
    const middles = rounds.map(middleOf);
    const names = middles.map((middle, k) => this.drawMiddle(middle, k, rounds.length));
    // The last one has the first choice of a place.
    names.reverse().forEach((node, k) => node && this.drawNumber(node, middles.at(-1 - k).at(-1), taken));
    this.goal.place(goal, `at ${format(goal[0])}, ${format(goal[1])}`);
  }

  /** A number beside the end of its walk, where there is room for it. */
  drawNumber(node, [x, y], taken) {
    const at = [this.plot.px(x), this.plot.py(y)];
    settle(node, spotsAround(at, [5, 12, 20, 30]), taken, frameOf(this.plot.box));
  }

  /** The mean walk before or after an update; answers its number. */
  drawMiddle(middle, k, n) {
    if (!middle.length || !middle.at(-1).every(Number.isFinite)) return null;
    const look = k === 0 ? "mf-role-before" : k === n - 1 ? "mf-role-adapted" : "mf-role-adapted mf-between";
    const group = svgElement(this.middles, "g", { class: look });
    svgElement(group, "path", { class: "mf-curve", d: this.plot.line(middle) });
    return svgElement(group, "text", { class: "mf-label mf-halo", text: String(k) });
  }

  keepShape() {
    const { width, height } = this.plot.box;
    this.plot.setX({ min: (-EDGE * width) / height, max: (EDGE * width) / height });
  }
}

class ReturnPanel {
  constructor(parent, redraw) {
    const { plot, note } = panel(parent, { title: "Return" }, returnOptions(), redraw);
    this.plot = plot;
    this.note = note;
    this.best = svgElement(plot.area, "path", { class: "mf-truth" });
    const group = svgElement(plot.area, "g", { class: "mf-role-adapted" });
    this.line = svgElement(group, "path", { class: "mf-curve" });
    this.dots = svgElement(group, "g");
  }

  draw(returns, best) {
    const { plot } = this;
    this.plot.setY(returnAxis(Math.min(...returns, best)));
    this.best.setAttribute("d", plot.line([[plot.x.min, best], [plot.x.max, best]]));
    const points = returns.map((value, k) => [k, value]);
    this.line.setAttribute("d", plot.line(points));
    this.dots.replaceChildren();
    for (const [k, value] of points) {
      svgElement(this.dots, "circle", { class: "mf-dot", r: 5, cx: plot.px(k), cy: plot.py(value) });
    }
    this.note.textContent = `dashed: straight to the goal, ${format(best, 1)}`;
  }
}

/** Round numbers below zero that hold every return. */
export function returnAxis(least) {
  const low = [20, 30, 40, 60, 100, 200].find((limit) => -least <= limit) ?? 400;
  return { min: -low, max: 0, ticks: [-low, -low / 2, 0] };
}

/** Rounds in which every step was walked. */
const whole = (rounds) => rounds.filter(({ states }) => states.length === HORIZON);

export function describe({ goal, alpha, later, nWalks, nUpdates, ends, beyond }, rounds) {
  const away = ends && goal.some((value) => value < ends[0] || value > ends[1]);
  const outside = away ? ", outside the square of the training" : "";
  const place = `Goal at ${format(goal[0])}, ${format(goal[1])}${outside}`;
  const returns = rounds.map(meanReturn);
  if (!returns.every(Number.isFinite)) return `${place}: the policy is no longer finite, α = ${format(alpha, 3)} is too large.${beyond}`;
  const walks = `mean return of ${nWalks} walk${nWalks === 1 ? "" : "s"}`;
  const first = `${place}: ${walks} ${format(returns[0], 1)} before adapting`;
  const rates = `α = ${format(alpha, 3)}${later < 1 && nUpdates > 1 ? ", then a fifth of it" : ""}`;
  const rest = returns.slice(1).map((value) => format(value, 1)).join(", ");
  const after = nUpdates ? `, ${rest} after ${nUpdates === 1 ? "1 update" : `updates 1 ${nUpdates === 2 ? "and" : "to"} ${nUpdates}`} (${rates})` : "";
  const harm = harmed(-returns[0], -returns.at(-1), 1);
  return `${first}${after}; straight to the goal ${format(straightReturn(goal), 1)}.${harm}${beyond}`;
}

/** The longest that the read-out can become. */
function longestWords(state) {
  const rounds = Array.from({ length: MAX_UPDATES + 1 }, (_, k) => ({ rewards: [[-123.4 - k]] }));
  const settings = settingsOf(atTheirEnds(state, RANGES));
  return describe({ ...settings, goal: [-FARTHEST, -FARTHEST], later: 0.2 }, rounds);
}

const NAMES = [
  { text: "before adapting: walks and their mean", look: "mf-role-before" },
  { text: "means in between", look: "mf-role-adapted mf-between" },
  { text: "after the last update", look: "mf-role-adapted" },
];
const LIMIT = { text: "square of the training goals", path: "mf-limit" };

export const settingsOf = (state) => ({
  goal: state.get("goal"),
  alpha: state.get("alpha"),
  later: state.get("later") === "fifth" ? 0.2 : 1,
  nWalks: state.get("n_walks"),
  nUpdates: state.get("n_inner_steps"),
  ends: state.get("trained").goal,
  beyond: beyondTraining(state, RANGES),
});

function lead(root, state, reset) {
  const top = element(root, "div", { class: "mf-lead" });
  slider(top, state, withTraining(RANGES, state)[0]);
  const buttons = element(top, "div", { class: "mf-buttons" });
  button(buttons, "Walk again", () => state.set({ seed: state.get("seed") + 1 }), { class: "mf-primary" });
  button(buttons, "Reset", reset);
}

function controls(root, state) {
  const box = element(root, "div", { class: "mf-controls" });
  withTraining(RANGES.slice(1), state).forEach((range) => slider(box, state, range));
  const row = element(root, "div", { class: "mf-buttons" });
  choice(row, state, { trait: "start", label: "trained by", options: STARTS });
  choice(row, state, { trait: "later", label: "updates after the first", options: LATER });
}

/** Learns from the traits as they are, into `rounds`; the noise of a seed is drawn once. */
function learner(state) {
  const net = network(state.get("sizes"), "tanh");
  const thetaOf = (name) => Float64Array.from(floats(state.get(name)));
  const starts = { maml: thetaOf("maml"), joint: thetaOf("joint") };
  let noise = { seed: NaN, rows: [] };
  return (rounds, settings) => {
    const seed = state.get("seed");
    if (seed !== noise.seed) noise = { seed, rows: allNoise(seed) };
    return learn(rounds, net, starts[state.get("start")], noise.rows, settings);
  };
}

function build({ root, state, redraw, reset, status }) {
  lead(root, state, reset);
  const { goal: ends } = state.get("trained");
  lineNames(root, ends ? [...NAMES, LIMIT] : NAMES);
  const grid = element(root, "div", { class: "mf-grid" });
  const within = (value) => Math.max(-FARTHEST, Math.min(FARTHEST, value));
  const plane = new PlanePanel(grid, redraw, (at) => state.set({ goal: at.map(within) }), ends);
  const returns = new ReturnPanel(grid, redraw);
  const say = status().room([longestWords(state)]);
  controls(root, state);
  const learning = learner(state);
  let [rounds, now] = [[], settingsOf(state)];
  const draw = (done = false) => {
    plane.draw(rounds, state.get("goal"));
    returns.draw(whole(rounds).map(meanReturn), straightReturn(now.goal));
    if (done) say(describe(now, rounds));
  };
  const work = inSlices(draw);
  const begin = () => {
    root.setAttribute("data-start", state.get("start"));
    [rounds, now] = [[], settingsOf(state)];
    work.start(learning(rounds, now));
  };
  return { draw, begin, panels: [plane, returns], stop: work.stop };
}

export default figure({ name: "navigation", label: LABEL, traits: TRAITS, build });
