import * as map from "../../maml_teach/widgets/family_map/family_map.js";
import { answer, plain, sent, state } from "./harness.mjs";

/** What the page makes of a grid. Curves are text, for JSON has neither infinity nor NaN. */
function reading(numbers, shape, reference, indices) {
  const maps = Array.from({ length: shape[0] }, (_, a) => map.runsOf(numbers, shape, reference, a));
  return {
    curves: indices.map((index) => map.curveOf(numbers, shape, index).map(String)),
    verdicts: maps.map((runs) => runs.map((column) => column.map(({ verdict }) => verdict))),
    bests: maps.map(map.bestOf),
    counts: maps.map(map.count),
  };
}

const numbersOf = (texts) => texts.map(Number);

answer({
  reading: [reading, sent, plain, plain, plain],
  readSource: [map.readSource, state],
  shadeOf: map.shadeOf,
  trace: [map.trace, numbersOf, plain],
  story: [map.story, numbersOf, plain, plain],
  inCell: map.inCell,
  logTicks: map.logTicks,
});
