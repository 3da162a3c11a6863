import * as ngrams from "../../maml_teach/widgets/language/ngrams.js";
import * as figure from "../../maml_teach/widgets/language/language.js";
import { answer, finished, floats, network, plain, state } from "./harness.mjs";

const bytes = (numbers) => Uint8Array.from(numbers);

/** What a figure says after each of some changes of its traits. */
function judged(traits, changes) {
  const now = { ...traits };
  const judge = figure.judgement(state(now));
  return changes.map((change) => {
    Object.assign(now, change);
    const { before, after, centroid } = finished(judge(figure.readAll(state(now))));
    return [...before, ...after, centroid];
  });
}

/** theta after each of some numbers of steps on each support set. */
function walked(net, theta, alpha, asked) {
  const adapted = figure.innerLoop(net, theta, alpha, figure.remembered());
  return asked.map(([support, labels, nSteps]) => finished(adapted(support, labels, nSteps)).thetaPrime);
}

/** How often each text is computed in all. */
function timesComputed(texts) {
  const vectorOf = figure.remembered();
  const vectors = texts.map(vectorOf);
  return vectors.map((vector) => vectors.indexOf(vector));
}

answer({
  exampleOf: [figure.exampleOf, state],
  sampleText: [figure.sampleText, state, plain, plain],
  readAll: [figure.readAll, state],
  judged,
  walked: [walked, network, floats, plain, plain],
  timesComputed,
  percent: figure.percent,
  complaint: figure.complaint,
  describe: [figure.describe, state, plain],
  countsOf: ngrams.countsOf,
  stacked: [ngrams.stacked, (lists) => lists.map(floats)],
  fnv1a: ngrams.fnv1a,
  readWords: ngrams.readWords,
  features: ngrams.features,
  softmax: [ngrams.softmax, floats, plain],
  crossEntropyGradient: [ngrams.crossEntropyGradient, network, floats, floats, floats],
  innerStep: [ngrams.innerStep, network, floats, floats, floats, plain],
  nearestCentroid: [ngrams.nearestCentroid, floats, floats, floats],
  halves: [ngrams.halves, bytes],
});
