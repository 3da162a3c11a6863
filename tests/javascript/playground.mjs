import * as playground from "../../maml_teach/widgets/playground/playground.js";
import { answer, plain, state } from "./harness.mjs";

/** Runs from all starts on the given points, walked until step k. */
function walked(traits, shots, k) {
  const runs = playground.newRuns(playground.readStarts(traits), traits, shots);
  runs.forEach((run) => playground.walk(run, k));
  return runs.map(({ path, losses, diverged }) => ({ theta: Array.from(path.at(-1)), losses, diverged }));
}

answer({
  pointsOnSine: (settings) => playground.supportPoints(settings, Math.sin),
  walked: [walked, state, plain, plain],
  // JSON has no infinity: null stands for a run that never diverges.
  widestGap: playground.widestGap,
});
