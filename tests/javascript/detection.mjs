import { adapting } from "../../maml_teach/widgets/detection/detection.js";
import * as finder from "../../maml_teach/widgets/detection/finder.js";
import { answer, floats, plain, rows } from "./harness.mjs";

/** IoU of the query scenes before and after each inner step; the first `nShots` are the support. */
function overlapsByStep(net, theta, scenes, boxes, nShots, alpha, nSteps) {
  const all = scenes.map((values, k) => ({ values, box: boxes[k] }));
  const found = [];
  const work = adapting(net, theta, all.slice(0, nShots), all.slice(nShots), alpha, found);
  while (found.length <= nSteps) work.next(); // the figure itself goes on to its last step
  return found.map(({ overlaps }) => overlaps);
}

answer({
  mapsOf: [finder.mapsOf, finder.finder, floats, floats],
  gradient: [finder.gradient, finder.finder, floats, floats, floats],
  boxOf: [finder.boxOf, floats],
  overlapsByStep: [overlapsByStep, finder.finder, floats, rows, plain, plain, plain, plain],
});
