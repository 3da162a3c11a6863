import * as figure from "../../maml_teach/widgets/detection/detection.js";
import * as finder from "../../maml_teach/widgets/detection/finder.js";
import { answer, floats, plain, rows, state } from "./harness.mjs";

/** IoU of the query scenes before and after each inner step; the first `nShots` are the support. */
function overlapsByStep(net, theta, scenes, boxes, nShots, alpha, nSteps) {
  const all = scenes.map((values, k) => ({ values, box: boxes[k] }));
  const found = [];
  const work = figure.adapting(net, theta, all.slice(0, nShots), all.slice(nShots), alpha, found);
  while (found.length <= nSteps) work.next(); // the figure itself goes on to its last step
  return found.map(({ overlaps }) => overlaps);
}

/** How many tasks there are, and one scene of one of them. */
function sceneOf(traits, task, k) {
  const tasks = figure.tasksOf(traits);
  return { counts: tasks.map((scenes) => scenes.length), ...tasks[task][k] };
}

/** Which of some searches, given by task and K, is the one that was made first for these. */
function searched(traits, asked) {
  const search = figure.searches(traits, figure.tasksOf(traits));
  const made = asked.map((one) => search(...one));
  return made.map((one) => made.indexOf(one));
}

answer({
  cellOf: finder.cellOf,
  coded: finder.coded,
  cellChances: [finder.cellChances, floats],
  overlapOf: finder.overlapOf,
  rectOf: figure.rectOf,
  sceneOf: [sceneOf, state, plain, plain],
  searched: [searched, state, plain],
  describe: figure.describe,
  mapsOf: [finder.mapsOf, finder.finder, floats, floats],
  gradient: [finder.gradient, finder.finder, floats, floats, floats],
  boxOf: [finder.boxOf, floats],
  overlapsByStep: [overlapsByStep, finder.finder, floats, rows, plain, plain, plain, plain],
});
