import { supportPoints } from "../../maml_teach/widgets/playground/playground.js";
import { answer } from "./harness.mjs";

answer({
  pointsOnSine: (settings) => supportPoints(settings, Math.sin),
});
