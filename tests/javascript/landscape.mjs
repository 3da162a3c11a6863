import * as bowls from "../../maml_teach/widgets/landscape/bowls.js";
import * as landscape from "../../maml_teach/widgets/landscape/landscape.js";
import { answer, state } from "./harness.mjs";

const { compute, drawable, figures, gapText, hops, innerLoopInWords, ratioText, relativeGap } = landscape;
const { brief, describe, whereAt, withinPicture } = landscape;

answer({
  ...bowls, // scalars throughout, so nothing has to be read
  ...{ brief, drawable, figures, gapText, hops, innerLoopInWords, ratioText, relativeGap },
  ...{ whereAt, withinPicture },
  compute: [compute, state],
  sentence: [(traits) => describe(compute(traits)), state],
  // JSON writes infinity and NaN alike: infinity comes in and goes out as text.
  figuresOf: (text) => figures(Number(text)),
  briefOf: (text) => brief(Number(text)),
  drawableOf: (text) => drawable(Number(text)),
  thetaPrimeAsText: (task, theta, inner) => String(bowls.innerPath(task, theta, inner).at(-1)),
  metaObjectiveAsText: (tasks, theta, inner) => String(bowls.metaObjective(tasks, theta, inner)),
});
