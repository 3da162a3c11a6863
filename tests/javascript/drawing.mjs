import * as drawing from "../../maml_teach/widgets/drawing/drawing.js";
import { convNet } from "../../maml_teach/widgets/shared/conv.js";
import { answer, floats, plain, rows, state } from "./harness.mjs";

function adaptedChances(net, theta, five, asked, alpha, nSteps) {
  for (let k = 0; k < nSteps; k++) theta = drawing.innerStep(net, theta, five, alpha);
  return drawing.chances(net, theta, five, asked);
}

function strokeOnEmpty(from, to) {
  const ink = new Uint8Array(28 * 28);
  drawing.stroke(ink, from, to);
  return ink;
}

/** What is on a sheet after strokes from place to place. */
function strokes(ways) {
  const ink = new Uint8Array(28 * 28);
  for (const [from, to] of ways) drawing.stroke(ink, from, to);
  return ink;
}

function stamped(places) {
  const ink = new Uint8Array(28 * 28);
  for (const [x, y] of places) drawing.stamp(ink, x, y);
  return ink;
}

const inkAtAll = (ink, places) => places.map(([x, y]) => drawing.inkAt(ink, x, y));
const whichAreExamples = (traits) => [0, 1, 2, 3, 4, 5].map((k) => drawing.sameAsExample(traits, k));

answer({
  strokes,
  stamped,
  bounds: [drawing.bounds, floats],
  inkAtAll,
  nearestByPixels: drawing.nearestByPixels,
  pixelUnder: drawing.pixelUnder,
  moved: drawing.moved,
  asText: drawing.asText,
  inksOf: [drawing.inksOf, state],
  whichAreExamples: [whichAreExamples, state],
  truthOf: [drawing.truthOf, state],
  missingIn: drawing.missingIn,
  describe: [drawing.describe, state, plain],
  framed: [drawing.framed, floats],
  strokeOnEmpty,
  adaptedChances: [adaptedChances, convNet, floats, rows, floats, plain, plain],
});
