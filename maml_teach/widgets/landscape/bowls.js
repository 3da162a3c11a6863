/**
 * Tasks over one number theta: each loss is curvature * |theta - centre|^power / power. Inner loop,
 * meta-objective and meta-gradients for scalars; tests/test_landscape.py compares them with
 * `maml_teach.maml`.
 *
 * @typedef {{curvature: number, centre: number, power: number}} Power one loss
 * @typedef {Power | {support: Power, query: Power}} ScalarTask a lone loss serves as both
 * @typedef {{alpha: number, nInnerSteps: number}} Inner
 */

export const REACH = 3; // theta is looked at from -REACH to REACH

/** Whole powers by products: many times as fast as **, and F is drawn from 10^5 of them. */
function raised(base, power) {
  let product = 1;
  for (let n = 0; n < power; n++) product *= base;
  return product;
}

export function loss({ curvature, centre, power }, theta) {
  return (curvature * raised(Math.abs(theta - centre), power)) / power;
}

/** First derivative of the loss. */
export function slope({ curvature, centre, power }, theta) {
  return curvature * Math.sign(theta - centre) * raised(Math.abs(theta - centre), power - 1);
}

/** Second derivative of the loss: the Hessian, in one dimension. */
export function bend({ curvature, centre, power }, theta) {
  return curvature * (power - 1) * raised(Math.abs(theta - centre), power - 2);
}

const supportOf = (task) => task.support ?? task;
const queryOf = (task) => task.query ?? task;
const meanOf = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** One inner step; what has once left the numbers stays infinite. */
function innerStep(task, theta, alpha) {
  const next = theta - alpha * slope(supportOf(task), theta);
  return Number.isFinite(next) ? next : Infinity;
}

/** theta_0, ..., theta_K. */
export function innerPath(task, theta, { alpha, nInnerSteps }) {
  const path = [theta];
  for (let k = 0; k < nInnerSteps; k++) path.push(innerStep(task, path[k], alpha));
  return path;
}

/** theta_prime of one task: the end of the path, without keeping it. */
function adapted(task, theta, { alpha, nInnerSteps }) {
  let at = theta;
  for (let k = 0; k < nInnerSteps; k++) at = innerStep(task, at, alpha);
  return at;
}

/** F(theta): the mean query loss at theta_prime. */
export function metaObjective(tasks, theta, inner) {
  let sum = 0; // a plain loop: a picture asks for thousands of values
  for (const task of tasks) sum += loss(queryOf(task), adapted(task, theta, inner));
  return sum / tasks.length;
}

/** Part of one task in the exact gradient: v <- v - alpha H_k v, back along the inner path. */
export function walkBack(task, theta, inner) {
  const path = innerPath(task, theta, inner);
  let v = slope(queryOf(task), path.at(-1));
  for (let k = inner.nInnerSteps - 1; k >= 0; k--) {
    v -= inner.alpha * bend(supportOf(task), path[k]) * v;
  }
  return v;
}

export function metaGradient(tasks, theta, inner) {
  return meanOf(tasks.map((task) => walkBack(task, theta, inner)));
}

/** The query slope at theta_prime, taken as it is. */
export function fomaml(tasks, theta, inner) {
  return meanOf(tasks.map((task) => slope(queryOf(task), adapted(task, theta, inner))));
}

/** The easy mistake: the first factor 1 - alpha H_0 used for all K steps. */
export function collapsed(tasks, theta, inner) {
  const factor = (task) => 1 - inner.alpha * bend(supportOf(task), theta);
  const last = (task) => slope(queryOf(task), adapted(task, theta, inner));
  return meanOf(tasks.map((task) => factor(task) ** inner.nInnerSteps * last(task)));
}

/** The way from theta_prime back to theta, divided by alpha. */
export function reptile(tasks, theta, inner) {
  return meanOf(tasks.map((task) => (theta - adapted(task, theta, inner)) / inner.alpha));
}

/** Slope of F from two of its values; knows nothing of chain rules. */
export function centralDifference(tasks, theta, inner, step = 1e-5) {
  const value = (at) => metaObjective(tasks, at, inner);
  return (value(theta + step) - value(theta - step)) / (2 * step);
}

/** d theta_prime / d theta: the product of the factors 1 - alpha H_k. */
export function arrival(task, theta, inner) {
  const path = innerPath(task, theta, inner).slice(0, -1);
  return path.reduce((share, at) => share * (1 - inner.alpha * bend(supportOf(task), at)), 1);
}

/**
 * Lowest point of F between two ends: the best of a grid, then bisection of the exact gradient
 * between its neighbours. `flat` says that F is the same everywhere, so that no point is best.
 * @returns {{theta: number, value: number, flat: boolean}}
 */
export function minimum(tasks, inner, [low, high] = [-REACH, REACH], n = 1200) {
  const at = (k) => low + ((high - low) * k) / n;
  const values = Array.from({ length: n + 1 }, (_, k) => metaObjective(tasks, at(k), inner));
  const lowest = Math.min(...values.filter(Number.isFinite));
  const best = Math.max(0, values.indexOf(lowest));
  const flat = !(Math.max(...values) - lowest > 1e-12);
  const refined = valley(tasks, inner, at(Math.max(0, best - 1)), at(Math.min(n, best + 1)));
  const value = metaObjective(tasks, refined, inner);
  return value < lowest ? { theta: refined, value, flat } : { theta: at(best), value: lowest, flat };
}

/** Where the exact gradient changes its sign between two points that enclose a valley. */
function valley(tasks, inner, left, right) {
  for (let n = 0; n < 60; n++) {
    const middle = (left + right) / 2;
    if (metaGradient(tasks, middle, inner) > 0) right = middle;
    else left = middle;
  }
  return (left + right) / 2;
}

/** @type {[string, (share: number) => boolean][]} */
const ZONES = [
  ["closer", (share) => share < 1],
  ["solved", (share) => share === 1],
  ["overshoots", (share) => share < 2],
  ["swaps", (share) => share === 2],
  ["diverges", () => true],
];

/**
 * What alpha * curvature means for the inner loop. A step covers the share
 * alpha * curvature / (power - 1) of the way to the centre, so a quartic is solved at 3, not at 1.
 */
export function zoneOf(product, power) {
  const share = Number((product / (power - 1)).toPrecision(12)); // 1/6 * 6 counts as 1
  return share === 0 ? "there" : ZONES.find(([, holds]) => holds(share))[0];
}

const WORDS = {
  there: () => "0: already at the centre",
  closer: (one) => `below ${one}: comes closer smoothly`,
  solved: (one) => `exactly ${one}: solved in one step`,
  overshoots: (one) => `between ${one} and ${2 * one}: overshoots the centre`,
  swaps: (one) => `exactly ${2 * one}: only swaps sides`,
  diverges: (one) => `above ${2 * one}: every step lands farther off, it diverges`,
};

export const inWords = (product, power) => WORDS[zoneOf(product, power)](power - 1);
