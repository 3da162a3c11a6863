/**
 * The convolutional network of `maml_teach.applications.images_torch.conv_net`: four times
 * convolution with stride 2, BatchNorm with the statistics of the batch, ReLU; then a linear layer.
 * Its gradient is derived by hand; tests/test_images.py compares both with PyTorch.
 *
 * Pictures and activations are flat, pixel by pixel with channels innermost; `theta` is laid out as
 * PyTorch does it, convolution weights as (out, in, row, column).
 *
 * What only concerns convolutions is shared with the detector in finder.js.
 *
 * @typedef {{nIn: number, nOut: number, size: number, side: number, stride: number, w: number}} Conv
 *   `size`: pixels along one side of what comes in; `side` of the kernel; offset of the weights
 * @typedef {Conv & {scale: number, shift: number}} NormedConv offsets of BatchNorm's parameters
 * @typedef {{convs: NormedConv[], channels: number, nWays: number, w: number, b: number, nParams: number}} ConvNet
 */
import { addProduct, matrix, transposed } from "./maths.js";

const EPSILON = 1e-5; // under BatchNorm's root, as in PyTorch
const PIXELS = 28;

/** @returns {ConvNet} */
export function convNet(nWays, channels = 32) {
  const convs = [];
  let [offset, size] = [0, PIXELS];
  for (const nIn of [1, channels, channels, channels]) {
    const scale = offset + channels * nIn * 9;
    convs.push({ nIn, nOut: channels, size, side: 3, stride: 2, w: offset, scale, shift: scale + channels });
    offset = scale + 2 * channels;
    size = Math.ceil(size / 2);
  }
  const nFeatures = channels * size * size;
  const b = offset + nWays * nFeatures;
  return { convs, channels, nWays, w: offset, b, nParams: b + nWays };
}

/** Pixels along one side of what comes out; zeros around the picture keep the size for stride 1. */
const sideOut = ({ size, stride }) => Math.ceil(size / stride);
const patchWidth = ({ nIn, side }) => side * side * nIn;

/** Calls `visit(row of the patch matrix, its first entry, pixel it is taken from)` for each tap. */
function eachTap(conv, n, visit) {
  const { nIn, size, side, stride } = conv;
  const [out, taps, edge] = [sideOut(conv), side * side, side >> 1];
  for (let image = 0, row = 0; image < n; image++)
    for (let y = 0; y < out; y++)
      for (let x = 0; x < out; x++, row++)
        for (let tap = 0; tap < taps; tap++) {
          const [from, along] = [stride * y - edge + Math.floor(tap / side), stride * x - edge + (tap % side)];
          if (from < 0 || along < 0 || from >= size || along >= size) continue;
          visit((row * taps + tap) * nIn, ((image * size + from) * size + along) * nIn);
        }
}

/** All patches that the kernel sees, one per row. */
function patches(conv, images, n) {
  const rows = new Float64Array(n * sideOut(conv) ** 2 * patchWidth(conv));
  eachTap(conv, n, (to, from) => {
    for (let c = 0; c < conv.nIn; c++) rows[to + c] = images[from + c];
  });
  return rows;
}

/** The transpose of `patches`: every pixel collects what its patches received. */
function gathered(conv, rows, n) {
  const images = new Float64Array(n * conv.size * conv.size * conv.nIn);
  eachTap(conv, n, (from, to) => {
    for (let c = 0; c < conv.nIn; c++) images[to + c] += rows[from + c];
  });
  return images;
}

/** Calls `visit(entry of theta, row, column)` for each weight as (tap, in) x out. */
function eachWeight({ nIn, nOut, side, w }, visit) {
  const taps = side * side;
  for (let j = 0; j < nOut; j++)
    for (let c = 0; c < nIn; c++)
      for (let tap = 0; tap < taps; tap++) visit(w + (j * nIn + c) * taps + tap, tap * nIn + c, j);
}

/**
 * A convolution of n pictures, without bias, and what its way back needs.
 * @param {Conv} conv
 */
export function convolved(conv, theta, images, n) {
  const [width, rows] = [patchWidth(conv), patches(conv, images, n)];
  const weights = new Float64Array(width * conv.nOut);
  eachWeight(conv, (at, row, column) => (weights[row * conv.nOut + column] = theta[at]));
  const count = rows.length / width;
  const z = addProduct(new Float64Array(count * conv.nOut), 0, matrix(rows, width), weights, 0, count, width, conv.nOut);
  return { conv, weights, rows, z };
}

/** Back through a convolution: fills `grad`, returns what comes out below. */
export function convolvedBack({ conv, weights, rows }, received, n, grad) {
  const { nIn, nOut } = conv;
  const [width, count] = [patchWidth(conv), received.length / nOut];
  const outer = addProduct(new Float64Array(width * nOut), 0, transposed(matrix(rows, width)), received, 0, width, count, nOut);
  eachWeight(conv, (at, row, column) => (grad[at] += outer[row * nOut + column]));
  if (nIn === 1) return received; // the pictures themselves need no gradient
  const across = new Float64Array(width * nOut);
  for (let i = 0; i < width; i++) for (let j = 0; j < nOut; j++) across[j * width + i] = weights[i * nOut + j];
  const back = addProduct(new Float64Array(count * width), 0, matrix(received, nOut), across, 0, count, nOut, width);
  return gathered(conv, back, n);
}

/** z -> (z - mean) / deviation per channel, over all rows; returns 1 / deviation. */
function standardise(z, channels) {
  const [rows, inverse] = [z.length / channels, new Float64Array(channels)];
  for (let c = 0; c < channels; c++) {
    let [mean, square] = [0, 0];
    for (let k = c; k < z.length; k += channels) mean += z[k] / rows;
    for (let k = c; k < z.length; k += channels) square += (z[k] - mean) ** 2 / rows;
    inverse[c] = 1 / Math.sqrt(square + EPSILON);
    for (let k = c; k < z.length; k += channels) z[k] = (z[k] - mean) * inverse[c];
  }
  return inverse;
}

/** Everything that the way back needs, layer by layer, and the features. */
function forward(net, theta, images) {
  const n = images.length / PIXELS ** 2;
  const layers = [];
  let x = images;
  for (const conv of net.convs) {
    const layer = convolved(conv, theta, x, n);
    const z = layer.z;
    const inverse = standardise(z, conv.nOut);
    x = z.map((value, k) => {
      const c = k % conv.nOut;
      return Math.max(0, theta[conv.scale + c] * value + theta[conv.shift + c]);
    });
    layers.push({ ...layer, inverse, x });
  }
  return { layers, features: x, n };
}

/** Feature f of PyTorch's flattened (channel, row, column) is this entry of ours. */
const placeOf = ({ channels }, f) => (f % 4) * channels + Math.floor(f / 4);

/** Scores of each picture for each way, `n` rows of `nWays`. */
function linear(net, theta, { features, n }) {
  const [scores, nFeatures] = [new Float64Array(n * net.nWays), 4 * net.channels];
  for (let p = 0; p < n; p++)
    for (let way = 0; way < net.nWays; way++) {
      let sum = theta[net.b + way];
      for (let f = 0; f < nFeatures; f++) {
        sum += theta[net.w + way * nFeatures + f] * features[p * nFeatures + placeOf(net, f)];
      }
      scores[p * net.nWays + way] = sum;
    }
  return scores;
}

/** Scores of pictures that go through together: BatchNorm looks at all of them. */
export const scores = (net, theta, images) => linear(net, theta, forward(net, theta, images));

/** Row by row exp(score) over its sum. */
export function softmax(scores, nWays) {
  const out = new Float64Array(scores.length);
  for (let start = 0; start < scores.length; start += nWays) {
    const row = scores.slice(start, start + nWays);
    const top = Math.max(...row);
    const parts = row.map((score) => Math.exp(score - top));
    const total = parts.reduce((sum, part) => sum + part, 0);
    parts.forEach((part, k) => (out[start + k] = part / total));
  }
  return out;
}

/** Gradient of the mean cross-entropy, `(nParams,)`. */
export function gradient(net, theta, images, labels) {
  const { layers, features, n } = forward(net, theta, images);
  const delta = softmax(linear(net, theta, { features, n }), net.nWays);
  labels.forEach((label, p) => (delta[p * net.nWays + label] -= 1));
  const grad = new Float64Array(net.nParams);
  const [back, nFeatures] = [new Float64Array(features.length), 4 * net.channels];
  for (let p = 0; p < n; p++)
    for (let way = 0; way < net.nWays; way++) {
      const d = delta[p * net.nWays + way] / n;
      grad[net.b + way] += d;
      for (let f = 0; f < nFeatures; f++) {
        const at = p * nFeatures + placeOf(net, f);
        grad[net.w + way * nFeatures + f] += d * features[at];
        back[at] += d * theta[net.w + way * nFeatures + f];
      }
    }
  layers.reduceRight((received, layer) => layerBack(layer, theta, received, n, grad), back);
  return grad;
}

/** Back through ReLU, BatchNorm and the convolution; fills `grad`, returns what comes out below. */
function layerBack(layer, theta, received, n, grad) {
  const { conv, z, inverse, x } = layer;
  const { nOut } = conv;
  const count = z.length / nOut;
  for (let k = 0; k < z.length; k++) if (x[k] === 0) received[k] = 0;
  for (let c = 0; c < nOut; c++) {
    let [sum, along] = [0, 0];
    for (let k = c; k < z.length; k += nOut) {
      sum += received[k];
      along += received[k] * z[k];
    }
    grad[conv.scale + c] += along;
    grad[conv.shift + c] += sum;
    const factor = theta[conv.scale + c] * inverse[c];
    for (let k = c; k < z.length; k += nOut) {
      received[k] = factor * (received[k] - sum / count - (z[k] * along) / count);
    }
  }
  return convolvedBack(layer, received, n, grad);
}
