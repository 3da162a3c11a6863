/**
 * Drive it: a car on a winding road, steered by a network that has seen a second or two of its
 * motion. Constants and settings come from `__init__.py`.
 */
import { advance, circumstances, DT, lateralError, learned, newDrive } from "./car.js";
import { transitions, trueCar, WARM_UP } from "./car.js";
import { film, layers, trail } from "../shared/film.js";
import { figure } from "../shared/lifecycle.js";
import { adapt, network } from "../shared/maths.js";
import { inSlices } from "../shared/slices.js";
import { atTheirEnds, beyondTraining, button, choice, element, floats, format, harmed, panel } from "../shared/ui.js";
import { slider, svgElement, withTraining } from "../shared/ui.js";

const ROAD_STEPS = 200; // ten seconds
const MAX_DATA = 40; // two seconds
const SHARPEST = 0.0056; // 1/m: at 17 m/s these bends take 55% of a grip of 0.3
const RANGES = [
  { trait: "grip", label: "grip", min: 0.2, max: 1, step: 0.05, digits: 2 },
  { trait: "wind", label: "crosswind, N", min: -1200, max: 1200, step: 100, digits: 0 },
  { trait: "pull", label: "pull, degrees", min: -1.7, max: 1.7, step: 0.1, digits: 1 },
  { trait: "seconds", label: "data, seconds", min: 0.25, max: 2, step: 0.05, digits: 2 },
  { trait: "n_inner_steps", label: "inner steps", min: 0, max: 20, step: 1, digits: 0 },
];
const LABEL = "Drive it: a car on a winding road, steered by a network";
const TRAITS = ["grip", "wind", "pull", "seconds", "n_inner_steps", "start", "seed"];
const DRIVERS = [
  { key: "frozen", look: "mf-role-before", text: "network as it was trained" },
  { key: "adapted", look: "mf-role-adapted", text: "network adapted to the data" },
  { key: "truth", look: "mf-role-oracle", text: "controller that knows the car" },
];

/** The car of the sliders; all that has no slider is in the middle of its range. */
export const carOf = (state) => ({
  ...{ mass: 1700, inertia: 1.5, front: 85e3, rear: 95e3, gain: 1, speed: 17 },
  ...{ grip: state.get("grip"), wind: state.get("wind"), bias: (state.get("pull") * Math.PI) / 180 },
});

/** Everything that follows from the settings before a wheel turns: the three drives to be made. */
export function prepare(state, net, starts) {
  const [car, nData] = [carOf(state), Math.round(state.get("seconds") / DT)];
  const sizes = [WARM_UP + MAX_DATA, ROAD_STEPS, SHARPEST];
  const { steering, noise, curvature } = circumstances(state.get("seed"), ...sizes);
  const measured = transitions(car, steering, noise);
  const { theta, alpha } = starts[state.get("start")];
  const from = WARM_UP;
  const task = {
    xSupport: measured.x.slice(4 * from, 4 * (from + nData)),
    ySupport: measured.y.slice(2 * from, 2 * (from + nData)),
  };
  const thetaPrime = adapt(net, theta, task, { alpha, nInnerSteps: state.get("n_inner_steps") });
  const finite = thetaPrime.every(Number.isFinite);
  const plans = [learned(net, theta, car.speed), learned(net, thetaPrime, car.speed), trueCar(car)];
  const drives = plans.map(newDrive);
  if (!finite) drives[1].offsets.push(...Array(ROAD_STEPS).fill(NaN)); // it drives nowhere
  return { car, curvature, finite, drives };
}

/** Where the middle of the road and a car beside it are, seen from above. */
export function seenFromAbove(curvature, speed, n) {
  const points = [];
  let [x, y, heading] = [0, 0, 0];
  for (let k = 0; k < n; k++) {
    heading += DT * curvature[k] * speed;
    [x, y] = [x + DT * speed * Math.cos(heading), y + DT * speed * Math.sin(heading)];
    points.push({ x, y, heading });
  }
  return points;
}

export const beside = ({ x, y, heading }, metres) => [x - metres * Math.sin(heading), y + metres * Math.cos(heading)];

/** A car, its nose to the right, so long and wide in pixels: a body, and windows that show its heading. */
function outline(length, width) {
  const [l, w] = [length / 2, width / 2];
  return `M${-l} ${-w}H${0.4 * l}Q${l} ${-w} ${l} 0Q${l} ${w} ${0.4 * l} ${w}H${-l}Z`;
}

function windows(length, width) {
  const [l, w] = [length / 2, width / 2];
  const front = `M${0.1 * l} ${-0.75 * w}L${0.5 * l} ${-0.5 * w}V${0.5 * w}L${0.1 * l} ${0.75 * w}Z`;
  return `${front}M${-0.75 * l} ${-0.6 * w}H${-0.55 * l}V${0.6 * w}H${-0.75 * l}Z`;
}

// One within the other, so that each is seen where all are in one place.
const SIZES = { frozen: [50, 27], adapted: [38, 18], truth: [20, 9] };

function drawCar(parent, key) {
  const car = svgElement(parent, "g", { class: `mf-car mf-car-${key}` });
  const [length, width] = SIZES[key];
  svgElement(car, "path", { class: "mf-car-body", d: outline(length, width) });
  if (key !== "frozen") svgElement(car, "path", { class: "mf-car-windows", d: windows(length, width) });
  return car;
}

const ZOOM = 20; // offsets are centimetres on a road of metres
const SHOULDER = 0.25; // metres to either side that the band shows

const roadOptions = () => ({
  label: "The road from above with the tracks of three drives",
  margin: [6, 8, 34, 12],
  height: (width) => Math.max(170, Math.min(260, Math.round(width * 0.36))),
  x: { min: -15, max: 184, ticks: [0, 40, 80, 120, 160], label: "metres" },
  y: { min: -16, max: 16, ticks: [] },
});

const offsetOptions = () => ({
  label: "Distance from the middle of the road over time for three drives",
  margin: [8, 8, 34, 54],
  height: (width) => Math.max(160, Math.min(230, Math.round(width * 0.32))),
  x: { min: 0, max: 10, ticks: [0, 2, 4, 6, 8, 10], label: "seconds" },
  y: { min: -20, max: 20, ticks: [-20, -10, 0, 10, 20], label: "cm from middle" },
});

/** Round numbers in centimetres that hold every offset. */
export function offsetAxis(drives) {
  const most = Math.max(...drives.flatMap(({ offsets }) => offsets.map((v) => Math.abs(100 * v))), 0);
  const top = [10, 20, 50, 100, 200, 500, 1000].find((limit) => most <= limit) ?? 2000;
  return { min: -top, max: top, ticks: [-top, -top / 2, 0, top / 2, top] };
}

class RoadPanel {
  constructor(parent, redraw) {
    const note = `offsets drawn ${ZOOM} times as large; the band is ± ${100 * SHOULDER} cm`;
    this.plot = panel(parent, { title: "The road from above", note }, roadOptions(), redraw).plot;
    this.band = svgElement(this.plot.area, "path", { class: "mf-road" });
    this.middle = svgElement(this.plot.area, "path", { class: "mf-truth" });
    this.lines = layers(this.plot.area, DRIVERS).map((group) => trail(group));
    this.cars = layers(this.plot.area, DRIVERS).map((group, n) => drawCar(group, DRIVERS[n].key));
  }

  draw({ car, curvature, drives }, k) {
    const road = seenFromAbove(curvature, car.speed, ROAD_STEPS);
    this.plot.setY(sideways(road));
    const edge = (metres) => road.map((point) => beside(point, metres * ZOOM));
    this.band.setAttribute("d", `${this.plot.line([...edge(SHOULDER), ...edge(-SHOULDER).reverse()])}Z`);
    this.middle.setAttribute("d", this.plot.line(edge(0)));
    drives.forEach(({ offsets }, n) => {
      const track = offsets.map((offset, i) => beside(road[i], ZOOM * offset));
      this.lines[n](this.plot, track, k);
      this.place(this.cars[n], track, Math.min(k, track.length - 1));
    });
  }

  /** A car stands on its track and points along it. */
  place(node, track, at) {
    if (track.length < 2 || !Number.isFinite(track[at][1])) return node.setAttribute("visibility", "hidden");
    const from = Math.max(at, 1) - 1; // at the start it points to where it goes first
    const places = [track[from], track[from + 1], track[at]];
    const [[x0, y0], [x1, y1], [x, y]] = places.map((one) => [this.plot.px(one[0]), this.plot.py(one[1])]);
    const turn = (Math.atan2(y1 - y0, x1 - x0) * 180) / Math.PI;
    node.setAttribute("visibility", "visible");
    node.setAttribute("transform", `translate(${x} ${y}) rotate(${turn})`);
  }
}

/** Enough of the land on both sides of the road, the same scale for every car. */
export function sideways(road) {
  const ys = road.map(({ y }) => y);
  const middle = (Math.min(...ys) + Math.max(...ys)) / 2;
  const half = (Math.max(...ys) - Math.min(...ys)) / 2 + ZOOM * SHOULDER + 3;
  return { min: middle - half, max: middle + half };
}

class OffsetPanel {
  constructor(parent, redraw) {
    const heading = { title: "Distance from the middle of the road", note: "left is positive" };
    this.plot = panel(parent, heading, offsetOptions(), redraw).plot;
    this.now = svgElement(this.plot.area, "path", { class: "mf-now" });
    this.lines = layers(this.plot.area, DRIVERS).map((group) => trail(group));
  }

  draw({ drives }, k) {
    this.plot.setY(offsetAxis(drives));
    const { min, max } = this.plot.y;
    this.now.setAttribute("d", this.plot.line([[k * DT, min], [k * DT, max]]));
    drives.forEach(({ offsets }, n) => {
      this.lines[n](this.plot, offsets.map((v, i) => [i * DT, 100 * v]), k);
    });
  }
}

const digitsOf = (value) => (value < 9.95 ? 1 : 0);
const errorOf = ({ offsets }) => 100 * lateralError(offsets);

export const centimetres = (drive) => {
  const value = errorOf(drive);
  return `${format(value, digitsOf(value))} cm`;
};

/** What adapting did, where that is nothing, or harm. */
function verdict(nInnerSteps, [frozen, adapted]) {
  if (nInnerSteps === 0) return " At 0 inner steps nothing is adapted: both networks drive the same.";
  const shown = (value) => Number(value.toFixed(digitsOf(value)));
  return harmed(shown(errorOf(frozen)), shown(errorOf(adapted)), 1);
}

export function describe(state, { drives, finite }) {
  const car = `Grip ${format(state.get("grip"))}, crosswind ${format(state.get("wind"), 0)} N, pull ${format(state.get("pull"), 1)}°`;
  const steps = state.get("n_inner_steps");
  const data = `${steps} inner step${steps === 1 ? "" : "s"} on ${format(state.get("seconds"))} s of driving`;
  const beyond = beyondTraining(state, RANGES);
  if (!finite) return `${car}: the inner loop diverged within ${data}.${beyond}`;
  const [frozen, adapted, truth] = drives.map(centimetres);
  const errors = `${frozen} as trained, ${adapted} after ${data}, ${truth} with the true physics`;
  return `${car}. Off the middle over the whole drive but its first second, root mean square: ${errors}.${verdict(steps, drives)}${beyond}`;
}

/** The longest that the read-out can become. */
function longestWords(state) {
  const drives = DRIVERS.map((_, n) => ({ offsets: Array(ROAD_STEPS).fill(5 + n) }));
  return describe(atTheirEnds(state, RANGES), { drives, finite: true });
}

function legend(parent) {
  const list = element(parent, "ul", { class: "mf-legend" });
  DRIVERS.forEach(({ key, look, text }) => {
    const item = element(list, "li", { class: look });
    const swatch = svgElement(item, "svg", { width: 86, height: 28, "aria-hidden": "true" });
    svgElement(swatch, "path", { class: "mf-curve", d: "M0 14H30" });
    drawCar(swatch, key).setAttribute("transform", "translate(59 14)");
    element(item, "span", { text });
  });
}

/** Drives the three cars to the end of the road, step by step. */
export function* driven({ drives, car, curvature }) {
  while (drives[0].offsets.length < ROAD_STEPS) {
    for (const one of drives) if (one.offsets.length < ROAD_STEPS) advance(one, car, curvature);
    yield;
  }
}

const FILM = {
  start: "▶ Drive",
  last: ROAD_STEPS - 1,
  stride: 1,
  milliseconds: 1000 * DT,
};

function lead(root, state, redraw, reset) {
  const top = element(root, "div", { class: "mf-lead" });
  slider(top, state, withTraining(RANGES, state)[4]);
  const buttons = element(top, "div", { class: "mf-buttons" });
  const play = button(buttons, FILM.start, () => reel.toggle(), { class: "mf-primary" });
  const reel = film(play, FILM, redraw);
  button(buttons, "Reset", () => {
    reel.rewind();
    reset();
    redraw(); // the cars go back, even if no slider does
  });
  return reel;
}

function controls(root, state) {
  const box = element(root, "div", { class: "mf-controls" });
  withTraining(RANGES.slice(0, 4), state).forEach((range) => slider(box, state, range));
  const row = element(root, "div", { class: "mf-buttons" });
  const options = [["maml", "MAML"], ["joint", "all cars at once"]];
  choice(row, state, { trait: "start", label: "trained by", options });
  button(row, "Another road and test drive", () => state.set({ seed: state.get("seed") + 1 }));
}

function build({ root, state, redraw, reset, status }) {
  const net = network(state.get("sizes"), "tanh");
  const start = (name) => ({ theta: Float64Array.from(floats(state.get(name))), alpha: state.get(`alpha_${name}`) });
  const starts = { maml: start("maml"), joint: start("joint") };
  const reel = lead(root, state, redraw, reset);
  legend(root);
  const panels = [new RoadPanel(root, redraw), new OffsetPanel(root, redraw)];
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
    view = prepare(state, net, starts);
    work.start(driven(view));
  };
  const stop = () => {
    reel.halt();
    work.stop();
  };
  return { draw, begin, panels, stop };
}

export default figure({ name: "driving", label: LABEL, traits: TRAITS, build });
