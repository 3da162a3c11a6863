import * as gap from "../../maml_teach/widgets/gradient_gap/gradient_gap.js";
import { answer, floats, plain, sent } from "./harness.mjs";

answer({
  entry: [gap.entry, sent, plain, plain],
  cell: [gap.cell, sent, plain, plain],
  spreadOf: [gap.spreadOf, floats],
  runs: gap.runs,
  verdict: gap.verdict,
  times: gap.times,
  polar: gap.polar,
});
