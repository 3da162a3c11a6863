import * as bowls from "../../maml_teach/widgets/landscape/bowls.js";
import { figures, innerLoopInWords } from "../../maml_teach/widgets/landscape/landscape.js";
import { answer } from "./harness.mjs";

answer({
  ...bowls, // scalars throughout, so nothing has to be read
  figures,
  innerLoopInWords,
  // As text, for JSON writes infinity and NaN alike.
  thetaPrimeAsText: (task, theta, inner) => String(bowls.innerPath(task, theta, inner).at(-1)),
  metaObjectiveAsText: (tasks, theta, inner) => String(bowls.metaObjective(tasks, theta, inner)),
});
