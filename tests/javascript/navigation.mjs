import * as walker from "../../maml_teach/widgets/navigation/walker.js";
import * as figure from "../../maml_teach/widgets/navigation/navigation.js";
import { answer, finished, floats, network, plain, rows, state } from "./harness.mjs";

function walked(net, theta, noise, goal) {
  const walks = walker.newWalks();
  for (const row of noise) walker.stepWalks(walks, net, theta, row, goal);
  return walks;
}

function walksOf(...given) {
  const { states, actions, rewards } = walked(...given);
  return [...states, ...actions, ...rewards].flatMap((row) => [...row]);
}

const advantagesOf = (...given) => walker.advantages(walked(...given));
const returnOf = (...given) => walker.meanReturn(walked(...given));

const afterUpdate = (net, theta, noise, goal, alpha) =>
  finished(walker.updated(net, theta, walked(net, theta, noise, goal), alpha));

/** Walks before and after each update of a figure's settings. */
function learned(traits, net, theta) {
  const rounds = [];
  finished(figure.learn(rounds, net, theta, figure.allNoise(traits.get("seed")), figure.settingsOf(traits)));
  const middles = rounds.map(figure.middleOf);
  return rounds.map((walks, k) => ({ ...walks, middle: middles[k], path: figure.pathOf(walks, 1) }));
}

answer({
  allNoise: figure.allNoise,
  learned: [learned, state, network, floats],
  returnAxis: figure.returnAxis,
  describe: figure.describe,
  walksOf: [walksOf, network, floats, rows, floats],
  advantagesOf: [advantagesOf, network, floats, rows, floats],
  returnOf: [returnOf, network, floats, rows, floats],
  policyGradient: [walker.policyGradient, network, floats, floats, floats, floats],
  afterUpdate: [afterUpdate, network, floats, rows, floats, plain],
  straightReturn: [walker.straightReturn, floats],
});
