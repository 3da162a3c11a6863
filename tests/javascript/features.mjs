import * as features from "../../maml_teach/widgets/features/features.js";
import { answer, plain, sent } from "./harness.mjs";

answer({
  rowsOf: [features.rowsOf, sent, plain, plain, plain],
  describe: features.describe,
});
