/**
 * A two-link arm, what is measured of it, and the controller that follows a motion: the functions
 * of `maml_teach.applications.arm`; tests/test_robot.py compares them.
 *
 * @typedef {{upper: number, lower: number, upper_mass: number, lower_mass: number,
 *            payload: number, viscous: number, dry: number}} Arm
 * @typedef {{size: number, pace: number, phase: number}} Wave
 * @typedef {{centre: number[], waves: Wave[][]}} Motion the waves of each joint
 * @typedef {{q: number[], speed: number[], acceleration: number[]}} Moment
 * @typedef {{numbers: number[], q: number[], speed: number[], reached: number[][]}} Follower
 */
import { predict, uniforms } from "../shared/maths.js";

const GRAVITY = 9.81;
const TORQUE_SCALE = [25, 10];
const NOISE = 0.02;
const STIFFNESS = [60, 25];
const DAMPING = [8, 3];
const MOST_TORQUE = 200;
export const RATE = 20;
export const COMMAND = 0.01; // seconds
const STEPS_BETWEEN = 4;
const SETTLED = 30;

/** The seven numbers by which the equations of motion depend on the arm. @param {Arm} arm */
export function constants(arm) {
  const carried = arm.lower_mass + arm.payload;
  const bend = (arm.lower_mass / 3 + arm.payload) * arm.lower ** 2;
  const reach = (arm.lower_mass / 2 + arm.payload) * arm.lower;
  const inertia = (arm.upper_mass * arm.upper ** 2) / 3 + carried * arm.upper ** 2;
  const weight = (arm.upper_mass / 2 + carried) * arm.upper;
  return [inertia + bend, bend, reach * arm.upper, weight, reach, arm.viscous, arm.dry];
}

/**
 * Inverse dynamics: the torques of a motion, in N m.
 * @param {number[]} numbers
 * @param {Iterable<number>} q
 * @param {Iterable<number>} speed
 * @param {Iterable<number>} acceleration
 */
export function torques(numbers, q, speed, acceleration) {
  const [[q1, q2], [v1, v2], [a1, a2]] = [q, speed, acceleration];
  const [together, bend, coupling, weight, reach, viscous, dry] = numbers;
  const [sine, cosine] = [Math.sin(q2), Math.cos(q2)];
  const hanging = GRAVITY * reach * Math.cos(q1 + q2);
  const turning = cosine * (2 * a1 + a2) - sine * (2 * v1 * v2 + v2 * v2);
  return [
    together * a1 + bend * a2 + coupling * turning + GRAVITY * weight * Math.cos(q1) +
      hanging + viscous * v1 + dry * Math.tanh(10 * v1),
    bend * (a1 + a2) + coupling * (cosine * a1 + sine * v1 * v1) + hanging + viscous * v2 +
      dry * Math.tanh(10 * v2),
  ];
}

/** Forward dynamics: the accelerations under these torques, in rad/s^2. */
export function acceleration(numbers, q, speed, torque) {
  const rest = torques(numbers, q, speed, [0, 0]);
  const [left, right] = [torque[0] - rest[0], torque[1] - rest[1]];
  const [together, bend, coupling] = numbers;
  const turned = coupling * Math.cos(q[1]);
  const [corner, side] = [together + 2 * turned, bend + turned];
  const determinant = corner * bend - side * side;
  return [(bend * left - side * right) / determinant, (corner * right - side * left) / determinant];
}

/**
 * @param {Motion} motion
 * @returns {Moment} where the motion is at a time, in s
 */
export function motionAt({ centre, waves }, time) {
  const sum = (joint, part) => waves[joint].reduce((total, wave) => total + part(wave), 0);
  const angle = ({ pace, phase }) => pace * time + phase;
  return {
    q: centre.map((middle, j) => middle + sum(j, (w) => w.size * Math.sin(angle(w)))),
    speed: centre.map((_, j) => sum(j, (w) => w.size * w.pace * Math.cos(angle(w)))),
    acceleration: centre.map((_, j) => -sum(j, (w) => w.size * w.pace ** 2 * Math.sin(angle(w)))),
  };
}

/** @param {Moment} moment */
export function features({ q, speed, acceleration }) {
  const angles = [...q.map(Math.sin), ...q.map(Math.cos), Math.cos(q[0] + q[1])];
  return [...angles, ...speed.map((v) => v / 3), ...acceleration.map((a) => a / 10)];
}

/** What was measured along a motion: inputs and noisy scaled torques, flat. */
export function measuredAlong(numbers, motion, times, noise) {
  const [x, y] = [[], []];
  times.forEach((time, k) => {
    const moment = motionAt(motion, time);
    x.push(...features(moment));
    const torque = torques(numbers, moment.q, moment.speed, moment.acceleration);
    torque.forEach((value, j) => y.push(value / TORQUE_SCALE[j] + NOISE * noise[2 * k + j]));
  });
  return { x: Float64Array.from(x), y: Float64Array.from(y) };
}

/** The torques that a network expects at some moments, one pair each. @param {Moment[]} moments */
export function expectedTorques(net, theta, moments) {
  const said = predict(net, theta, Float64Array.from(moments.flatMap(features)));
  return moments.map((_, k) => TORQUE_SCALE.map((scale, j) => scale * said[2 * k + j]));
}

/** @returns {Follower} an arm at the beginning of a motion */
export const newFollower = (numbers, { q, speed }) => ({ numbers, q: [...q], speed: [...speed], reached: [] });

/** One more command: feed-forward torque plus feedback, kept for a hundredth of a second. */
export function follow(arm, wanted, feedforward) {
  arm.reached.push([...arm.q]);
  const torque = feedforward.map((value, j) => {
    const back = STIFFNESS[j] * (wanted.q[j] - arm.q[j]) + DAMPING[j] * (wanted.speed[j] - arm.speed[j]);
    return clamped(value + back, MOST_TORQUE);
  });
  const h = COMMAND / STEPS_BETWEEN;
  for (let n = 0; n < STEPS_BETWEEN; n++) {
    const change = acceleration(arm.numbers, arm.q, arm.speed, torque);
    for (let j = 0; j < 2; j++) {
      arm.speed[j] = clamped(arm.speed[j] + h * change[j], 30);
      arm.q[j] += h * arm.speed[j];
    }
  }
}

const clamped = (value, most) => Math.max(-most, Math.min(most, value));

/** Root mean square angle between reached and wanted, in degrees, after three tenths of a second. */
export function trackingError(reached, moments) {
  const off = reached.map((q, k) => (q[0] - moments[k].q[0]) ** 2 + (q[1] - moments[k].q[1]) ** 2);
  const counted = off.slice(SETTLED);
  return (180 / Math.PI) * Math.sqrt(counted.reduce((sum, value) => sum + value, 0) / counted.length);
}

/**
 * Elbow and hand in m from the shoulder.
 * @param {Arm} arm
 * @param {Iterable<number>} q
 */
export function elbowAndHand(arm, [q1, q2]) {
  const elbow = [arm.upper * Math.cos(q1), arm.upper * Math.sin(q1)];
  return [elbow, [elbow[0] + arm.lower * Math.cos(q1 + q2), elbow[1] + arm.lower * Math.sin(q1 + q2)]];
}

/** A test motion with the noise of what is measured, and a motion to be followed. */
export function circumstances(seed, nMeasured) {
  const next = uniforms(seed);
  const between = (low, high) => low + (high - low) * next();
  const wave = () => ({ size: between(0.3, 0.8), pace: between(1, 4), phase: between(0, 2 * Math.PI) });
  const motion = () => ({
    centre: [between(-1, 1), between(-1, 1)],
    waves: [[wave(), wave()], [wave(), wave()]],
  });
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  const [test, wanted] = [motion(), motion()];
  return { test, wanted, noise: Array.from({ length: 2 * nMeasured }, normal) };
}
