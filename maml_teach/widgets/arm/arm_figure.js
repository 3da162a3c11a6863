/**
 * Lift it: a two-link arm that follows a motion with a load in its hand, by the torques of a
 * network that has seen a second of it. Constants and settings come from `__init__.py`.
 */
import { circumstances, COMMAND, constants, elbowAndHand, expectedTorques, follow } from "./arm.js";
import { measuredAlong, motionAt, newFollower, RATE, torques, trackingError } from "./arm.js";
import { film, layers, trail } from "../shared/film.js";
import { figure } from "../shared/lifecycle.js";
import { gradient, network, plus } from "../shared/maths.js";
import { inSlices } from "../shared/slices.js";
import { atTheirEnds, beyondTraining, button, choice, element, floats, format } from "../shared/ui.js";
import { harmed, lineNames, panel, slider, svgElement, withTraining } from "../shared/ui.js";

const N_COMMANDS = 300; // three seconds
const MAX_DATA = 40; // two seconds
const CHUNK = 30; // commands between two looks at the clock
const FRAME = 3; // commands per picture of the film
const RANGES = [
  { trait: "payload", label: "payload, kg", min: 0, max: 4, step: 0.1, digits: 1 },
  { trait: "friction", label: "friction", min: 0, max: 1, step: 0.05, digits: 2 },
  { trait: "seconds", label: "data, seconds", min: 0.25, max: 2, step: 0.05, digits: 2 },
  { trait: "n_inner_steps", label: "inner steps", min: 0, max: 20, step: 1, digits: 0 },
];
const LABEL = "Lift it: an arm that follows a motion by the torques of a network";
const TRAITS = ["payload", "friction", "seconds", "n_inner_steps", "start", "seed"];
const MOVERS = [
  { key: "frozen", look: "mf-role-before", text: "network as it was trained" },
  { key: "adapted", look: "mf-role-adapted", text: "network adapted to the data" },
  { key: "truth", look: "mf-role-oracle", text: "torques of the true arm" },
];

/** The arm of the sliders; all that has no slider is in the middle of its range. */
export const armOf = (state) => ({
  ...{ upper: 0.55, lower: 0.45, upper_mass: 2, lower_mass: 1.25, payload: state.get("payload") },
  ...{ viscous: 1.5 * state.get("friction"), dry: state.get("friction") },
});

/** Everything that follows from the settings before anything moves. */
export function prepare(state) {
  const arm = armOf(state);
  const nData = Math.round(state.get("seconds") * RATE);
  const { test, wanted, noise } = circumstances(state.get("seed"), MAX_DATA);
  const numbers = constants(arm);
  const times = Array.from({ length: nData }, (_, k) => k / RATE);
  const moments = Array.from({ length: N_COMMANDS }, (_, k) => motionAt(wanted, COMMAND * k));
  const followers = MOVERS.map(() => newFollower(numbers, moments[0]));
  return { arm, numbers, moments, followers, finite: true, data: measuredAlong(numbers, test, times, noise) };
}

/** Adapts, then moves the three arms; yields often, so that the page can repaint in between. */
export function* perform(view, net, { theta, alpha }, nInnerSteps) {
  let thetaPrime = theta;
  for (let k = 0; k < nInnerSteps; k++) {
    thetaPrime = plus(thetaPrime, -alpha, gradient(net, thetaPrime, view.data.x, view.data.y));
    yield;
  }
  view.finite = thetaPrime.every(Number.isFinite);
  const known = ({ q, speed, acceleration }) => torques(view.numbers, q, speed, acceleration);
  for (let k = 0; k < N_COMMANDS; k += CHUNK) {
    const part = view.moments.slice(k, k + CHUNK);
    const feeds = [expectedTorques(net, theta, part)];
    yield;
    feeds.push(view.finite ? expectedTorques(net, thetaPrime, part) : []);
    yield;
    feeds.push(part.map(known));
    view.followers.forEach((follower, n) => feeds[n].forEach((torque, j) => follow(follower, part[j], torque)));
    yield;
  }
}

const armOptions = () => ({
  label: "The arm from the side with the paths of its hand",
  margin: [8, 8, 34, 44],
  height: (width) => Math.min(width, 430) - 10,
  x: { min: -1.2, max: 1.2, ticks: [-1, -0.5, 0, 0.5, 1], label: "metres" },
  y: { min: -1.2, max: 1.2, ticks: [-1, -0.5, 0, 0.5, 1] },
});

const angleOptions = () => ({
  label: "Angle off the wanted motion over time for three arms",
  margin: [8, 8, 34, 44],
  height: (width) => Math.min(width, 430) - 10,
  x: { min: 0, max: 3, ticks: [0, 1, 2, 3], label: "seconds" },
  y: { min: 0, max: 20, ticks: [0, 5, 10, 15, 20], label: "degrees" },
});

const everyThird = (list) => list.filter((_, k) => k % FRAME === 0);
const pictureOf = (k) => Math.floor(k / FRAME);

class SidePanel {
  constructor(parent, redraw) {
    const { plot } = panel(parent, { title: "The arm from the side" }, armOptions(), redraw);
    this.plot = plot;
    this.aim = svgElement(plot.area, "circle", { class: "mf-arm-aim", r: 6 });
    this.lines = layers(plot.area, MOVERS).map((group) => trail(group, "mf-arm-path"));
    this.wanted = svgElement(plot.area, "path", { class: "mf-truth" }); // over the truth's own path
    const [links, hands] = [layers(plot.area, MOVERS), layers(plot.area, MOVERS)];
    this.arms = links.map((group) => svgElement(group, "path", { class: "mf-arm-links" }));
    this.hands = hands.map((group) => svgElement(group, "circle", { class: "mf-dot" }));
    this.foot = svgElement(plot.area, "circle", { class: "mf-arm-foot", r: 5 });
  }

  draw({ arm, moments, followers }, k) {
    const { plot } = this;
    this.square();
    const hand = (/** @type {number[]} */ q) => elbowAndHand(arm, q)[1];
    this.wanted.setAttribute("d", plot.line(everyThird(moments).map(({ q }) => hand(q))));
    this.place(this.aim, hand(moments[k].q));
    this.place(this.foot, [0, 0]);
    followers.forEach(({ reached }, n) => {
      this.lines[n](plot, everyThird(reached).map(hand), pictureOf(k));
      const q = reached[Math.min(k, reached.length - 1)] ?? [NaN, NaN];
      const points = elbowAndHand(arm, q);
      this.arms[n].setAttribute("d", plot.line([[0, 0], ...points]));
      this.hands[n].setAttribute("r", 4 + 2.5 * Math.sqrt(arm.payload));
      this.place(this.hands[n], points[1]);
    });
  }

  /** As many metres to the side as fit, so that the arm keeps its shape. */
  square() {
    const { width, height } = this.plot.box;
    const half = (1.2 * width) / height;
    this.plot.setX({ min: -half, max: half });
  }

  /** @param {Iterable<number>} at */
  place(node, at) {
    const [x, y] = at;
    node.setAttribute("visibility", Number.isFinite(x) ? "visible" : "hidden");
    if (!Number.isFinite(x)) return;
    node.setAttribute("cx", this.plot.px(x));
    node.setAttribute("cy", this.plot.py(y));
  }
}

class AnglePanel {
  constructor(parent, redraw) {
    const heading = { title: "Off the wanted angles", note: "both joints together" };
    this.plot = panel(parent, heading, angleOptions(), redraw).plot;
    this.now = svgElement(this.plot.area, "path", { class: "mf-now" });
    this.lines = layers(this.plot.area, MOVERS).map((group) => trail(group));
  }

  draw({ moments, followers }, k) {
    const off = followers.map(({ reached }) => everyThird(reached.map((q, n) => angleOff(q, moments[n].q))));
    this.plot.setY(angleAxis(Math.max(...off.flat(), 0)));
    this.now.setAttribute("d", this.plot.line([[k * COMMAND, 0], [k * COMMAND, this.plot.y.max]]));
    off.forEach((list, n) => {
      const points = list.map((value, i) => [i * FRAME * COMMAND, value]);
      this.lines[n](this.plot, points, pictureOf(k));
    });
  }
}

export const angleOff = (q, wanted) => (180 / Math.PI) * Math.hypot(q[0] - wanted[0], q[1] - wanted[1]);

/** Round numbers in degrees that hold every angle. */
export function angleAxis(most) {
  const top = [4, 8, 20, 40, 80, 200].find((limit) => most <= limit) ?? 400;
  return { min: 0, max: top, ticks: [0, top / 4, top / 2, (3 * top) / 4, top] };
}

/** What adapting did, where that is nothing, or harm; errors in degrees. */
function verdict(nInnerSteps, [frozen, adapted]) {
  if (nInnerSteps === 0) return " At 0 inner steps nothing is adapted: both networks move the same.";
  return harmed(frozen, adapted, 1);
}

export function describe(state, { followers, moments, finite }) {
  const load = `Payload ${format(state.get("payload"), 1)} kg, friction ${format(state.get("friction"))}`;
  const steps = state.get("n_inner_steps");
  const data = `${steps} inner step${steps === 1 ? "" : "s"} on ${format(state.get("seconds"))} s of motion`;
  const beyond = beyondTraining(state, RANGES);
  if (!finite) return `${load}: the inner loop diverged within ${data}.${beyond}`;
  const errors = followers.map(({ reached }) => trackingError(reached, moments));
  const [frozen, adapted, truth] = errors.map((value) => `${format(value, 1)}°`);
  const each = `${frozen} as trained, ${adapted} after ${data}, ${truth} with the torques of the true arm`;
  return `${load}. Off the wanted angles over the whole motion but its first three tenths of a second, root mean square: ${each}.${verdict(steps, errors)}${beyond}`;
}

/** The longest that the read-out can become: of arms that turn the other way. */
function longestWords(state) {
  const moments = Array(N_COMMANDS).fill({ q: [0, 0] });
  const followers = MOVERS.map((_, n) => ({ reached: Array(N_COMMANDS).fill([2 + n / 10, 0]) }));
  return describe(atTheirEnds(state, RANGES), { followers, moments, finite: true });
}

const FILM = {
  start: "▶ Move",
  last: N_COMMANDS - 1,
  stride: FRAME,
  milliseconds: 1000 * COMMAND * FRAME,
};

function lead(root, state, redraw, reset) {
  const top = element(root, "div", { class: "mf-lead" });
  slider(top, state, withTraining(RANGES, state)[3]);
  const buttons = element(top, "div", { class: "mf-buttons" });
  const play = button(buttons, FILM.start, () => reel.toggle(), { class: "mf-primary" });
  const reel = film(play, FILM, redraw);
  button(buttons, "Reset", () => {
    reel.rewind();
    reset();
    redraw(); // the arms go back, even if no slider does
  });
  return reel;
}

function controls(root, state) {
  const box = element(root, "div", { class: "mf-controls" });
  withTraining(RANGES.slice(0, 3), state).forEach((range) => slider(box, state, range));
  const row = element(root, "div", { class: "mf-buttons" });
  const options = [["maml", "MAML"], ["joint", "all arms at once"]];
  choice(row, state, { trait: "start", label: "trained by", options });
  button(row, "Another motion and test", () => state.set({ seed: state.get("seed") + 1 }));
}

function build({ root, state, redraw, reset, status }) {
  const net = network(state.get("sizes"), "tanh");
  const start = (name) => ({ theta: Float64Array.from(floats(state.get(name))), alpha: state.get(`alpha_${name}`) });
  const starts = { maml: start("maml"), joint: start("joint") };
  const reel = lead(root, state, redraw, reset);
  lineNames(root, [...MOVERS.map(({ text, look }) => ({ text, look })), { text: "motion that is wanted", path: "mf-truth" }]);
  const grid = element(root, "div", { class: "mf-grid" });
  const panels = [new SidePanel(grid, redraw), new AnglePanel(grid, redraw)];
  const say = status().room([longestWords(state)]);
  controls(root, state);
  let view = null;
  const draw = (done = false) => {
    for (const panel of panels) panel.draw(view, reel.at());
    if (done) say(describe(state, view));
  };
  const work = inSlices(draw);
  const begin = () => {
    root.setAttribute("data-start", state.get("start"));
    root.setAttribute("data-alike", String(state.get("n_inner_steps") === 0));
    view = prepare(state);
    work.start(perform(view, net, starts[state.get("start")], state.get("n_inner_steps")));
  };
  const stop = () => {
    reel.halt();
    work.stop();
  };
  return { draw, begin, panels, stop };
}

export default figure({ name: "arm", label: LABEL, traits: TRAITS, build });
