import * as gap from "../../maml_teach/widgets/gradient_gap/gradient_gap.js";
import { answer, plain, sent } from "./harness.mjs";

answer({
  entry: [gap.entry, sent, plain, plain],
  cell: [gap.cell, sent, plain, plain],
  runs: gap.runs,
  verdict: gap.verdict,
});
