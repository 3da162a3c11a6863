/**
 * Functions of two numbers that are quadratic: their coefficients, values, bottom and axes.
 *
 * @typedef {{a: number, b: number, c: number, d: number, e: number, f: number}} Quadratic
 *   a u^2 + b u v + c v^2 + d u + e v + f
 */
import { loss } from "./maths.js";

/**
 * The six coefficients of a function of (u, v) that is known to be quadratic, from six values.
 * @param {(point: number[]) => number} evaluate
 * @returns {Quadratic}
 */
export function quadratic(evaluate) {
  const f = evaluate([0, 0]);
  const [right, left] = [evaluate([1, 0]), evaluate([-1, 0])];
  const [up, down] = [evaluate([0, 1]), evaluate([0, -1])];
  const [a, d] = [(right + left) / 2 - f, (right - left) / 2];
  const [c, e] = [(up + down) / 2 - f, (up - down) / 2];
  return { a, b: evaluate([1, 1]) - a - c - d - e - f, c, d, e, f };
}

/**
 * @param {Quadratic} coefficients
 * @param {ArrayLike<number>} point
 */
export function quadraticValue({ a, b, c, d, e, f }, point) {
  const [u, v] = [point[0], point[1]];
  return a * u * u + b * u * v + c * v * v + d * u + e * v + f;
}

/** Where the gradient of a convex quadratic is zero, and the value there. */
export function quadraticMinimum(q) {
  const determinant = 4 * q.a * q.c - q.b * q.b;
  const point = [
    (q.b * q.e - 2 * q.c * q.d) / determinant,
    (q.b * q.d - 2 * q.a * q.e) / determinant,
  ];
  return { point, value: quadraticValue(q, point) };
}

/** Eigenvalues (largest first) of the quadratic form and the angle of the first eigenvector. */
export function quadraticAxes({ a, b, c }) {
  const [middle, half] = [(a + c) / 2, Math.hypot((a - c) / 2, b / 2)];
  return { large: middle + half, small: middle - half, angle: Math.atan2(b, a - c) / 2 };
}

/** Largest eigenvalue of the Hessian of a two-parameter task's support loss. */
export function largestCurvature(net, task) {
  return 2 * quadraticAxes(quadratic((p) => loss(net, p, task.xSupport, task.ySupport))).large;
}
