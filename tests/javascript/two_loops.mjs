import * as loops from "../../maml_teach/widgets/two_loops/two_loops.js";
import { answer, plain, state } from "./harness.mjs";

const computed = (traits) => loops.compute(traits, loops.readTasks(traits));

answer({
  ellipse: loops.ellipse,
  inInnerLoop: loops.inInnerLoop,
  compute: [computed, state],
  ownOptima: [(traits) => loops.readTasks(traits).map(loops.ownOptimum), state],
  contourRises: [loops.contourRises, plain, plain],
  runAxes: loops.runAxes,
});
