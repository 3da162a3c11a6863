import * as car from "../../maml_teach/widgets/driving/car.js";
import { answer, floats, network, plain } from "./harness.mjs";

function transitions(settings, steering, noise) {
  const { x, y } = car.transitions(settings, steering, noise);
  return [...x, ...y];
}

/** Offsets along a road, as far as the plan can look ahead on it. */
function driven(plan, settings, curvature) {
  const drive = car.newDrive(plan);
  for (let k = 0; k < curvature.length - car.HORIZON; k++) car.advance(drive, settings, curvature);
  return drive.offsets;
}

const offsetsWhenKnown = (settings, curvature) => driven(car.trueCar(settings), settings, curvature);

const offsetsWhenLearned = (settings, curvature, net, theta) =>
  driven(car.learned(net, theta, settings.speed), settings, curvature);

answer({
  transitions: [transitions, plain, floats, floats],
  offsetsWhenKnown: [offsetsWhenKnown, plain, floats],
  offsetsWhenLearned: [offsetsWhenLearned, plain, floats, network, floats],
  lateralError: car.lateralError,
});
