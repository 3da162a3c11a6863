/**
 * Texts as the network of "Which language?" sees them, and its inner loop. Each function has the
 * name and the meaning of its counterpart in `maml_teach.applications.language`;
 * tests/test_language.py compares them.
 */
import { gradient, plus, predict } from "../shared/maths.js";

export const N_BUCKETS = 1024;
const LONGEST = 3;
const SCALE = 12;

/**
 * Lower-case words of Latin letters, or the sentence that says what is wrong with the text.
 * @returns {{words: string[], message?: string}}
 */
export function readWords(text) {
  const lower = text.normalize("NFKC").toLowerCase().replaceAll("i\u0307", "i"); // Turkish capital
  const plain = lower.replace(/[^\p{L}\p{M}'\u2019]/gu, " ");
  const words = plain.split(" ").filter((word) => /\p{L}/u.test(word));
  if (!words.length) return { words, message: "there is no word in it" };
  const foreign = words.join("").match(/(?!\p{Script=Latin})[\p{Ll}\p{Lo}\p{Lu}\p{Lt}]/u);
  if (foreign) return { words: [], message: `\u201c${foreign[0]}\u201d is not a Latin letter` };
  return { words };
}

/** The 32-bit FNV-1a hash of the text's UTF-8 bytes. */
export function fnv1a(text) {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
}

/** How many n-grams of the words fall into each bucket; letters are code points, as in Python. */
export function countsOf(words) {
  const counts = new Float64Array(N_BUCKETS);
  for (const word of words) {
    const letters = [" ", ...word, " "];
    for (let n = 1; n <= LONGEST; n++) {
      for (let at = 0; at + n <= letters.length; at++) {
        const bucket = fnv1a(letters.slice(at, at + n).join("")) % N_BUCKETS;
        counts[bucket] = Math.min(255, counts[bucket] + 1);
      }
    }
  }
  return counts;
}

/** What the network sees of a text that holds a word. */
export function features(text) {
  const roots = countsOf(readWords(text).words).map(Math.sqrt);
  const length = Math.hypot(...roots);
  return roots.map((root) => (SCALE * root) / length);
}

/** Several feature vectors one after the other, as the network wants them. */
export function stacked(vectors) {
  const all = new Float64Array(vectors.length * N_BUCKETS);
  vectors.forEach((vector, k) => all.set(vector, k * N_BUCKETS));
  return all;
}

/** Probabilities, row by row. */
export function softmax(scores, columns) {
  const chances = new Float64Array(scores.length);
  for (let from = 0; from < scores.length; from += columns) {
    const row = scores.slice(from, from + columns);
    const most = Math.max(...row);
    const weights = row.map((score) => Math.exp(score - most));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    weights.forEach((weight, k) => (chances[from + k] = weight / sum));
  }
  return chances;
}

/**
 * Gradient of the mean cross-entropy. At the outputs it is (p - one-hot) / n. The mean squared
 * error has the gradient 2 (output - y) / (n columns) there, so with y chosen to make these equal
 * its backpropagation is the one that is wanted.
 */
export function crossEntropyGradient(net, theta, x, labels) {
  const columns = net.layers.at(-1).nOut;
  const scores = predict(net, theta, x);
  const chances = softmax(scores, columns);
  const y = scores.map((score, k) => {
    const wanted = labels[Math.floor(k / columns)] === k % columns ? 1 : 0;
    return score - ((chances[k] - wanted) * columns) / 2;
  });
  return gradient(net, theta, x, y);
}

/** theta after one more step of gradient descent on the support set. */
export function innerStep(net, theta, x, labels, alpha) {
  return plus(theta, -alpha, crossEntropyGradient(net, theta, x, labels));
}

/** Which of the languages has the support samples that point most in the direction of the query. */
export function nearestCentroid(x, labels, query) {
  const nWays = Math.max(...labels) + 1;
  const cosines = Array.from({ length: nWays }, (_, way) => {
    const mean = new Float64Array(N_BUCKETS);
    labels.forEach((label, k) => {
      if (label === way) for (let j = 0; j < N_BUCKETS; j++) mean[j] += x[k * N_BUCKETS + j];
    });
    const along = mean.reduce((sum, value, j) => sum + value * query[j], 0);
    return along / Math.hypot(...mean);
  });
  return cosines.indexOf(Math.max(...cosines));
}

/** Numbers of IEEE 754 half precision, two bytes each, little end first. */
export function halves(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float64Array.from({ length: bytes.byteLength / 2 }, (_, k) => {
    const bits = view.getUint16(2 * k, true);
    const [sign, power, rest] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
    return sign * (power ? 2 ** (power - 15) * (1 + rest / 1024) : (2 ** -14 * rest) / 1024);
  });
}
