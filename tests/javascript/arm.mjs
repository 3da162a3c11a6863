import * as arm from "../../maml_teach/widgets/arm/arm.js";
import * as figure from "../../maml_teach/widgets/arm/arm_figure.js";
import { answer, finished, floats, network, plain, state } from "./harness.mjs";

function measured(robot, motion, times, noise) {
  const { x, y } = arm.measuredAlong(arm.constants(robot), motion, times, noise);
  return [...x, ...y];
}

const momentsOf = (motion, n) => Array.from({ length: n }, (_, k) => arm.motionAt(motion, arm.COMMAND * k));

/** Angles of an arm that is given a feed-forward torque for each moment of a motion. */
function followed(robot, moments, feedforward) {
  const follower = arm.newFollower(arm.constants(robot), moments[0]);
  moments.forEach((moment, k) => arm.follow(follower, moment, feedforward[k]));
  return follower.reached;
}

function followedWhenKnown(robot, motion, n) {
  const [numbers, moments] = [arm.constants(robot), momentsOf(motion, n)];
  const torques = moments.map(({ q, speed, acceleration }) => arm.torques(numbers, q, speed, acceleration));
  return followed(robot, moments, torques);
}

function followedWhenLearned(robot, motion, n, net, theta) {
  const moments = momentsOf(motion, n);
  return followed(robot, moments, arm.expectedTorques(net, theta, moments));
}

const followedWhenForced = (robot, motion, torques) => followed(robot, momentsOf(motion, torques.length), torques);

const errorWhenLearned = (robot, motion, n, net, theta) =>
  arm.trackingError(followedWhenLearned(robot, motion, n, net, theta), momentsOf(motion, n));

/** What three arms do with the settings of a figure, after inner steps at a rate. */
function performed(traits, net, theta, alpha, nInnerSteps) {
  const view = figure.prepare(traits);
  finished(figure.perform(view, net, { theta, alpha }, nInnerSteps));
  return { finite: view.finite, reached: view.followers.map(({ reached }) => reached), x: view.data.x, y: view.data.y };
}

answer({
  circumstances: arm.circumstances,
  acceleration: arm.acceleration,
  elbowAndHand: arm.elbowAndHand,
  trackingError: arm.trackingError,
  armOf: [figure.armOf, state],
  performed: [performed, state, network, floats, plain, plain],
  angleOff: figure.angleOff,
  angleAxis: figure.angleAxis,
  describe: [figure.describe, state, plain],
  followedWhenForced,
  measured,
  followedWhenKnown,
  followedWhenLearned: [followedWhenLearned, plain, plain, plain, network, floats],
  errorWhenLearned: [errorWhenLearned, plain, plain, plain, network, floats],
});
