import * as arm from "../../maml_teach/widgets/arm/arm.js";
import { answer, floats, network, plain } from "./harness.mjs";

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

const errorWhenLearned = (robot, motion, n, net, theta) =>
  arm.trackingError(followedWhenLearned(robot, motion, n, net, theta), momentsOf(motion, n));

answer({
  measured,
  followedWhenKnown,
  followedWhenLearned: [followedWhenLearned, plain, plain, plain, network, floats],
  errorWhenLearned: [errorWhenLearned, plain, plain, plain, network, floats],
});
