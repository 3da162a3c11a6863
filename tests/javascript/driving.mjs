import * as car from "../../maml_teach/widgets/driving/car.js";
import * as figure from "../../maml_teach/widgets/driving/driving.js";
import { answer, finished, floats, network, plain, state } from "./harness.mjs";

function transitions(settings, steering, noise) {
  const { x, y } = car.transitions(settings, steering, noise);
  return [...x, ...y];
}

/** Offsets along a road, as far as the plan can look ahead on it. */
function steered(plan, settings, curvature) {
  const drive = car.newDrive(plan);
  for (let k = 0; k < curvature.length - car.HORIZON; k++) car.advance(drive, settings, curvature);
  return drive.offsets;
}

const offsetsWhenKnown = (settings, curvature) => steered(car.trueCar(settings), settings, curvature);

const offsetsWhenLearned = (settings, curvature, net, theta) =>
  steered(car.learned(net, theta, settings.speed), settings, curvature);

/** The drives of a figure's settings, with a start and a rate. */
function driven(traits, net, theta, alpha) {
  const view = figure.prepare(traits, net, { maml: { theta, alpha } });
  finished(figure.driven(view));
  return { ...view, drives: view.drives.map(({ offsets }) => offsets) };
}

const linearised = (settings, at) => car.linearised(car.trueCar(settings), at);

answer({
  circumstances: car.circumstances,
  step: car.step,
  linearised,
  bestResponse: car.bestResponse,
  carOf: [figure.carOf, state],
  driven: [driven, state, network, floats, plain],
  seenFromAbove: figure.seenFromAbove,
  beside: figure.beside,
  sideways: figure.sideways,
  offsetAxis: figure.offsetAxis,
  centimetres: figure.centimetres,
  describe: [figure.describe, state, plain],
  transitions: [transitions, plain, floats, floats],
  offsetsWhenKnown: [offsetsWhenKnown, plain, floats],
  offsetsWhenLearned: [offsetsWhenLearned, plain, floats, network, floats],
  lateralError: car.lateralError,
});
