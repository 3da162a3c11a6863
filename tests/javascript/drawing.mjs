import * as drawing from "../../maml_teach/widgets/drawing/drawing.js";
import { convNet } from "../../maml_teach/widgets/shared/conv.js";
import { answer, floats, plain, rows } from "./harness.mjs";

function adaptedChances(net, theta, five, asked, alpha, nSteps) {
  for (let k = 0; k < nSteps; k++) theta = drawing.innerStep(net, theta, five, alpha);
  return drawing.chances(net, theta, five, asked);
}

function strokeOnEmpty(from, to) {
  const ink = new Uint8Array(28 * 28);
  drawing.stroke(ink, from, to);
  return ink;
}

answer({
  framed: [drawing.framed, floats],
  strokeOnEmpty,
  adaptedChances: [adaptedChances, convNet, floats, rows, floats, plain, plain],
});
