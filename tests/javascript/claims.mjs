import * as claims from "../../maml_teach/widgets/claims/claims.js";
import { answer, floats, network, plain } from "./harness.mjs";

answer({
  newWave: claims.newWave,
  descent: [claims.descent, network, floats, plain, plain, plain],
  between: [claims.between, floats, floats, plain],
  shareAbove: claims.shareAbove,
  stretch: claims.stretch,
});
