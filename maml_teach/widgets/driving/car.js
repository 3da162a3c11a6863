/**
 * A car, what is measured of it, and the controller that steers it by a model of it: the functions
 * of `maml_teach.applications.driving`, whose names they bear; tests/test_driving.py compares them.
 *
 * @typedef {{grip: number, mass: number, inertia: number, front: number, rear: number,
 *            wind: number, bias: number, gain: number, speed: number}} Car
 * @typedef {(points: number[][]) => number[][]} Plan from [slip, yaw rate, steering] to the next
 *   [slip, yaw rate], for several points at once
 */
import { predict, uniforms } from "../shared/maths.js";

export const DT = 0.05;
const SUBSTEPS = 4;
const [FRONT, REAR, GRAVITY] = [1.2, 1.5, 9.81];
const NOISE = 0.02;
const [X_CENTRE, X_SCALE] = [[0, 0, 0, 17], [1, 0.4, 0.12, 3]];
const Y_SCALE = [0.25, 0.1];
const MAX_STEER = 0.2;
export const WARM_UP = 10;
export const HORIZON = 24;
const WEIGHTS = [1, 0.5];
const EFFORT = 40;
const MOVES = [[0.02, 0, 0], [0, 0.01, 0], [0, 0, 0.004]];

/**
 * The true car, a twentieth of a second later.
 * @param {Car} car
 * @param {number[]} state slip and yaw rate
 */
export function step(car, state, steer) {
  let [slip, yaw] = state;
  const [angle, h] = [steer * car.gain + car.bias, DT / SUBSTEPS];
  const most = [REAR, FRONT].map((arm) => (car.grip * car.mass * GRAVITY * arm) / (FRONT + REAR));
  for (let k = 0; k < SUBSTEPS; k++) {
    const front = angle - Math.atan((slip + FRONT * yaw) / car.speed);
    const rear = -Math.atan((slip - REAR * yaw) / car.speed);
    const push = most[0] * Math.tanh((car.front * front) / most[0]) * Math.cos(angle);
    const hold = most[1] * Math.tanh((car.rear * rear) / most[1]);
    slip += h * ((push + hold + car.wind) / car.mass - car.speed * yaw);
    yaw += (h * (FRONT * push - REAR * hold)) / (car.inertia * car.mass);
  }
  return [slip, yaw];
}

/** @param {number[]} point slip, yaw rate, steering */
const features = ([slip, yaw, steer], speed) =>
  [slip, yaw, steer, speed].map((value, k) => (value - X_CENTRE[k]) / X_SCALE[k]);

/** What was measured while `steering` was carried out: inputs and scaled changes, flat. */
export function transitions(car, steering, noise) {
  const [x, y, state] = [[], [], [0, 0]];
  steering.forEach((steer, k) => {
    const next = step(car, state, steer);
    x.push(...features([...state, steer], car.speed));
    next.forEach((value, i) => y.push((value - state[i]) / Y_SCALE[i] + NOISE * noise[2 * k + i]));
    [state[0], state[1]] = next;
  });
  return { x: Float64Array.from(x), y: Float64Array.from(y) };
}

/** @returns {Plan} what the network believes of a car at `speed` */
export function learned(net, theta, speed) {
  return (points) => {
    const x = Float64Array.from(points.flatMap((point) => features(point, speed)));
    const change = predict(net, theta, x);
    return points.map((point, k) => [0, 1].map((i) => point[i] + Y_SCALE[i] * change[2 * k + i]));
  };
}

/** @returns {Plan} the car as it is */
export const trueCar = (car) => (points) =>
  points.map(([slip, yaw, steer]) => step(car, [slip, yaw], steer));

/** `plan` is about `A state + b steer + c` at [slip, yaw, steer]: rows [a0, a1, b, c]. */
export function linearised(plan, at) {
  const moved = (sign) => MOVES.map((move) => at.map((value, k) => value + sign * move[k]));
  const ends = plan([...moved(1), ...moved(-1), at]);
  return [0, 1].map((i) => {
    const slopes = MOVES.map((move, k) => (ends[k][i] - ends[k + 3][i]) / (2 * move[k]));
    return [...slopes, ends[6][i] - slopes.reduce((sum, slope, k) => sum + slope * at[k], 0)];
  });
}

/** The gains on [offset, heading, slip, yaw, steer, 1] that give the best change of steering. */
export function bestResponse(rows, speed, curvature, from) {
  const [[slipRow, yawRow], f, g] = [rows, new Float64Array(36), new Float64Array(6)];
  for (let j = 0; j < 4; j++) [f[14 + j], f[20 + j]] = [slipRow[j], yawRow[j]];
  [g[2], g[3], g[4], f[28], f[35]] = [slipRow[2], yawRow[2], 1, 1, 1];
  for (let j = 2; j < 6; j++) f[6 + j] = DT * f[18 + j];
  [f[7], g[1]] = [1, DT * g[3]];
  const turn = f[11];
  let [cost, gain] = [new Float64Array(36), new Float64Array(6)];
  [cost[0], cost[7]] = WEIGHTS;
  for (let k = HORIZON - 1; k >= 0; k--) {
    f[11] = turn - DT * curvature[from + k] * speed;
    for (let j = 0; j < 6; j++) f[j] = DT * (f[12 + j] + speed * f[6 + j]) + (j === 0 ? 1 : 0);
    g[0] = DT * (g[2] + speed * g[1]);
    [cost, gain] = stepBack(cost, f, g);
  }
  return gain;
}

/** One step back in time: the cost of what remains, and the gain. */
function stepBack(cost, f, g) {
  const [ahead, gain, closed] = [new Float64Array(6), new Float64Array(6), f.slice()];
  let price = EFFORT;
  for (let i = 0; i < 6; i++) for (let j = 0; j < 6; j++) ahead[i] += cost[6 * i + j] * g[j];
  for (let i = 0; i < 6; i++) price += ahead[i] * g[i];
  for (let i = 0; i < 6; i++) for (let j = 0; j < 6; j++) gain[j] -= (ahead[i] * f[6 * i + j]) / price;
  for (let i = 0; i < 6; i++) for (let j = 0; j < 6; j++) closed[6 * i + j] += g[i] * gain[j];
  const [half, next] = [new Float64Array(36), new Float64Array(36)];
  for (let i = 0; i < 6; i++)
    for (let k = 0; k < 6; k++)
      for (let j = 0; j < 6; j++) half[6 * i + j] += cost[6 * i + k] * closed[6 * k + j];
  for (let i = 0; i < 6; i++)
    for (let k = 0; k < 6; k++)
      for (let j = 0; j < 6; j++) next[6 * i + j] += closed[6 * k + i] * half[6 * k + j];
  for (let i = 0; i < 6; i++) for (let j = 0; j < 6; j++) next[6 * i + j] += EFFORT * gain[i] * gain[j];
  [next[0], next[7]] = [next[0] + WEIGHTS[0], next[7] + WEIGHTS[1]];
  return [next, gain];
}

/** A drive that has not begun: where the car is, and where it has been. */
export const newDrive = (plan) => ({ plan, now: [0, 0, 0, 0, 0, 1], offsets: [] });

/** One more step of a drive along the road of that curvature. */
export function advance(drive, car, curvature) {
  const { plan, now, offsets } = drive;
  const rows = linearised(plan, now.slice(2, 5));
  const gain = bestResponse(rows, car.speed, curvature, offsets.length);
  const change = now.reduce((sum, value, k) => sum + gain[k] * value, 0);
  now[4] = Math.max(-MAX_STEER, Math.min(MAX_STEER, now[4] + change));
  [now[2], now[3]] = step(car, [now[2], now[3]], now[4]);
  now[1] += DT * (now[3] - curvature[offsets.length] * car.speed);
  now[0] += DT * (now[2] * Math.cos(now[1]) + car.speed * Math.sin(now[1]));
  now[0] = Math.max(-20, Math.min(20, now[0]));
  offsets.push(now[0]);
}

/** Root mean square of the offsets in m, after the first second; 5 m count as lost. */
export function lateralError(offsets) {
  const counted = offsets.slice(20).map((offset) => Math.min(Math.abs(offset), 5) ** 2);
  return Math.sqrt(counted.reduce((sum, value) => sum + value, 0) / counted.length);
}

/** Smooth steering and measurement noise of a test drive, and the curvature of a road. */
export function circumstances(seed, nSteps, nRoad, sharpest) {
  const next = uniforms(seed);
  const waves = (hertz) => hertz.map(([low, high]) => ({
    phase: 2 * Math.PI * next(),
    pace: 2 * Math.PI * DT * (low + (high - low) * next()),
    size: next(),
  }));
  const [wheel, bends] = [waves(Array(4).fill([0.15, 1.15])), waves([[0.055, 0.065], [0.1, 0.12], [0.17, 0.21]])];
  const steering = Array.from({ length: nSteps }, (_, k) => {
    const angle = wheel.reduce((sum, { phase, pace, size }) => sum + 0.06 * size * Math.sin(pace * k + phase), 0);
    return Math.max(-0.15, Math.min(0.15, angle));
  });
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  const noise = Array.from({ length: 2 * nSteps }, normal);
  const shape = Array.from({ length: nRoad + HORIZON }, (_, k) =>
    bends.reduce((sum, { phase, pace }) => sum + Math.sin(pace * k + phase), 0),
  );
  const most = Math.max(...shape.map(Math.abs));
  return { steering, noise, curvature: shape.map((bend) => (sharpest * bend) / most) };
}
