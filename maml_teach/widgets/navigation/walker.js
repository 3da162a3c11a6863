/**
 * Walks of a policy on the plane and its policy gradient: the functions of
 * `maml_teach.applications.navigation`; tests/test_robot.py compares them. States and actions of n
 * walks are flat: at step t those of all walks, one pair after the other.
 *
 * @typedef {{states: Float64Array[], actions: Float64Array[], rewards: Float64Array[]}} Walks
 *   one array per step
 */
import { gradient, plus, predict } from "../shared/maths.js";

export const HORIZON = 50;
const REACH = 0.1;
const SPREAD = 0.5;
const DISCOUNT = 0.95;
const RIDGE = 1e-5;
const N_FEATURES = 8;

/** @returns {Walks} */
export const newWalks = () => ({ states: [], actions: [], rewards: [] });

/** One more step of all walks; `noise` holds a standard normal number per entry of the actions. */
export function stepWalks(walks, net, theta, noise, goal) {
  const n = noise.length / 2;
  const before = walks.states.length ? landed(walks) : new Float64Array(2 * n);
  const actions = predict(net, theta, before);
  for (let k = 0; k < 2 * n; k++) actions[k] += SPREAD * noise[k];
  walks.states.push(before);
  walks.actions.push(actions);
  const after = landed(walks);
  const away = (w) => Math.hypot(after[2 * w] - goal[0], after[2 * w + 1] - goal[1]);
  walks.rewards.push(Float64Array.from({ length: n }, (_, w) => -away(w)));
}

/** Where the last steps ended. @param {Walks} walks */
export function landed({ states, actions }) {
  const [before, action] = [states.at(-1), actions.at(-1)];
  return before.map((value, k) => value + REACH * Math.max(-1, Math.min(1, action[k])));
}

/** Mean over walks of the sum of rewards. @param {Walks} walks */
export function meanReturn({ rewards }) {
  const sums = rewards.map((row) => row.reduce((sum, value) => sum + value, 0));
  return sums.reduce((sum, value) => sum + value, 0) / rewards[0].length;
}

/** What the baseline knows of a step: place and time. */
function known(x, y, time) {
  return [x, y, x * x, y * y, time, time ** 2, time ** 3, 1];
}

/** How much better each step did than a fitted baseline, one array per step. @param {Walks} walks */
export function advantages({ states, rewards }) {
  const [nSteps, n] = [rewards.length, rewards[0].length];
  const toGo = rewards.map((row) => row.slice());
  for (let t = nSteps - 2; t >= 0; t--) for (let w = 0; w < n; w++) toGo[t][w] += DISCOUNT * toGo[t + 1][w];
  const squares = new Float64Array(N_FEATURES ** 2);
  const sums = new Float64Array(N_FEATURES);
  const features = toGo.map((row, t) =>
    Array.from(row, (_, w) => known(states[t][2 * w], states[t][2 * w + 1], t / nSteps)));
  features.forEach((rows, t) => rows.forEach((f, w) => {
    for (let i = 0; i < N_FEATURES; i++) {
      sums[i] += f[i] * toGo[t][w];
      for (let j = 0; j < N_FEATURES; j++) squares[N_FEATURES * i + j] += f[i] * f[j];
    }
  }));
  for (let i = 0; i < N_FEATURES; i++) squares[(N_FEATURES + 1) * i] += RIDGE * n * nSteps;
  const fit = solved(squares, sums);
  const left = toGo.map((row, t) =>
    row.map((value, w) => value - features[t][w].reduce((sum, f, i) => sum + f * fit[i], 0)));
  return normalised(left);
}

/** Minus their mean, over their standard deviation. @param {Float64Array[]} rows */
function normalised(rows) {
  const count = rows.length * rows[0].length;
  const total = (part) => rows.reduce((sum, row) => sum + row.reduce((s, value) => s + part(value), 0), 0);
  const mean = total((value) => value) / count;
  const deviation = Math.sqrt(total((value) => (value - mean) ** 2) / count);
  return rows.map((row) => row.map((value) => (value - mean) / (deviation + 1e-8)));
}

/** x with A x = b for a small positive definite A, by elimination. */
function solved(a, b) {
  const n = b.length;
  for (let k = 0; k < n; k++) {
    for (let i = k + 1; i < n; i++) {
      const factor = a[n * i + k] / a[n * k + k];
      for (let j = k; j < n; j++) a[n * i + j] -= factor * a[n * k + j];
      b[i] -= factor * b[k];
    }
  }
  for (let k = n - 1; k >= 0; k--) {
    for (let j = k + 1; j < n; j++) b[k] -= a[n * k + j] * b[j];
    b[k] /= a[n * k + k];
  }
  return b;
}

/**
 * Policy gradient of some steps of all walks, as the gradient of a plain mean squared error. What
 * counts is `answer - target`, so a weight on a point is the same as a target nearer or farther.
 */
export function policyGradient(net, theta, states, actions, advantage) {
  const answer = predict(net, theta, states);
  const targets = answer.map((value, k) =>
    value + (advantage[k >> 1] / SPREAD ** 2) * (actions[k] - value));
  return gradient(net, theta, states, targets);
}

/** theta after one update on the walks; yields after each few steps of them. @param {Walks} walks */
export function* updated(net, theta, walks, alpha) {
  const { states, actions } = walks;
  const advantage = advantages(walks);
  yield;
  let total = new Float64Array(theta.length);
  for (let t = 0; t < states.length; t += 5) {
    const part = (rows) => joined(rows.slice(t, t + 5));
    const slope = policyGradient(net, theta, part(states), part(actions), part(advantage));
    total = plus(total, Math.min(5, states.length - t) / states.length, slope);
    yield;
  }
  return plus(theta, -alpha, total);
}

/** @param {Float64Array[]} rows */
function joined(rows) {
  const all = new Float64Array(rows.length * rows[0].length);
  rows.forEach((row, k) => all.set(row, k * row.length));
  return all;
}

/** Return of walking straight to the goal at full speed. */
export function straightReturn(goal) {
  let sum = 0;
  for (let t = 1; t <= HORIZON; t++) {
    const left = goal.map((value) => Math.max(Math.abs(value) - REACH * t, 0));
    sum -= Math.hypot(left[0], left[1]);
  }
  return sum;
}
