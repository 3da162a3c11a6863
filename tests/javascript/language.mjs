import * as ngrams from "../../maml_teach/widgets/language/ngrams.js";
import { answer, floats, network, plain } from "./harness.mjs";

const bytes = (numbers) => Uint8Array.from(numbers);

answer({
  fnv1a: ngrams.fnv1a,
  readWords: ngrams.readWords,
  features: ngrams.features,
  softmax: [ngrams.softmax, floats, plain],
  crossEntropyGradient: [ngrams.crossEntropyGradient, network, floats, floats, floats],
  innerStep: [ngrams.innerStep, network, floats, floats, floats, plain],
  nearestCentroid: [ngrams.nearestCentroid, floats, floats, floats],
  halves: [ngrams.halves, bytes],
});
