/**
 * The mathematics of the figures: a multilayer perceptron on one flat `theta`, its gradient and
 * Hessian-vector product, and the four meta-gradients. Each function has the name and the meaning
 * of its NumPy counterpart in `maml_teach.mlp` or `maml_teach.maml`; tests/test_javascript.py
 * compares them all. Arrays are flat Float64Arrays in C order; `x` holds n points of `sizes[0]`.
 *
 * @typedef {{nIn: number, nOut: number, w: number, b: number}} Layer offsets of W and b in theta
 * @typedef {{layers: Layer[], activation: "relu"|"tanh", nParams: number}} Network
 * @typedef {{xSupport: Float64Array, ySupport: Float64Array,
 *            xQuery: Float64Array, yQuery: Float64Array}} Task
 * @typedef {{alpha: number, nInnerSteps: number}} Inner
 * @typedef {{metaLoss: number, gradient: Float64Array}} MetaGradient
 */

/**
 * @param {"relu"|"tanh"} activation
 * @returns {Network}
 */
export function network(sizes, activation = "relu") {
  const layers = [];
  let offset = 0;
  for (let l = 0; l + 1 < sizes.length; l++) {
    const [nIn, nOut] = [sizes[l], sizes[l + 1]];
    layers.push({ nIn, nOut, w: offset, b: offset + nIn * nOut });
    offset += (nIn + 1) * nOut;
  }
  return { layers, activation, nParams: offset };
}

/**
 * out += A @ B. A is seen through strides, so that one kernel serves x @ W and h^T @ delta; rows of
 * B lie one after the other. Two things make it several times as fast as the plain loop: half of
 * all ReLU outputs are zero, so each row of A is first packed to what is not; and four columns at
 * a time keep their sums in registers.
 *
 * @typedef {{data: Float64Array, start: number, row: number, column: number}} Strided
 */
export function addProduct(out, start, a, b, first, rows, inner, columns) {
  const [values, places] = [new Float64Array(inner), new Int32Array(inner)];
  const blocks = columns - (columns % 4);
  for (let r = 0; r < rows; r++) {
    const n = pack(a, r, inner, columns, values, places);
    const to = start + r * columns;
    for (let j = 0; j < blocks; j += 4) {
      const from = first + j;
      let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
      for (let k = 0; k < n; k++) {
        const value = values[k];
        const at = from + places[k];
        s0 += value * b[at];
        s1 += value * b[at + 1];
        s2 += value * b[at + 2];
        s3 += value * b[at + 3];
      }
      out[to + j] += s0;
      out[to + j + 1] += s1;
      out[to + j + 2] += s2;
      out[to + j + 3] += s3;
    }
    for (let j = blocks; j < columns; j++) {
      let sum = 0;
      for (let k = 0; k < n; k++) sum += values[k] * b[first + j + places[k]];
      out[to + j] += sum;
    }
  }
  return out;
}

/** Row r of A without its zeros: their number, with values and the rows of B they meet. */
function pack({ data, start, row, column }, r, inner, columns, values, places) {
  let n = 0;
  for (let k = 0; k < inner; k++) {
    const value = data[start + r * row + k * column];
    values[n] = value;
    places[n] = k * columns;
    n += value === 0 ? 0 : 1;
  }
  return n;
}

export const matrix = (data, columns) => ({ data, start: 0, row: columns, column: 1 });
export const transposed = ({ data, start, row, column }) => ({ data, start, row: column, column: row });

/** out += h @ W for n points. */
function addForward(out, h, n, { nIn, nOut, w }, theta) {
  return addProduct(out, 0, matrix(h, nIn), theta, w, n, nIn, nOut);
}

/** grad_W += h^T @ delta. */
function addOuter(grad, h, delta, n, { nIn, nOut, w }) {
  addProduct(grad, w, transposed(matrix(h, nIn)), delta, 0, nIn, n, nOut);
}

/** grad_b += sum of delta over points. */
function addBias(grad, delta, n, { nOut, b }) {
  for (let p = 0; p < n; p++) for (let j = 0; j < nOut; j++) grad[b + j] += delta[p * nOut + j];
}

/** out += delta @ W^T. */
function addBackward(out, delta, n, { nIn, nOut, w }, theta) {
  const wT = new Float64Array(nIn * nOut);
  for (let i = 0; i < nIn; i++) for (let j = 0; j < nOut; j++) wT[j * nIn + i] = theta[w + i * nOut + j];
  return addProduct(out, 0, matrix(delta, nOut), wT, 0, n, nOut, nIn);
}

function multiply(x, y) {
  for (let k = 0; k < x.length; k++) x[k] *= y[k];
  return x;
}

/** The bias of a layer, once for each of n points. */
function biases(n, { nOut, b }, theta) {
  const out = new Float64Array(n * nOut);
  for (let p = 0, k = 0; p < n; p++) for (let j = 0; j < nOut; j++, k++) out[k] = theta[b + j];
  return out;
}

function activate(activation, z) {
  if (activation === "relu") for (let k = 0; k < z.length; k++) z[k] = z[k] > 0 ? z[k] : 0;
  else for (let k = 0; k < z.length; k++) z[k] = Math.tanh(z[k]);
  return z;
}

/** The outputs of every layer, the input first and the prediction last. */
function forward({ layers, activation }, theta, x) {
  const n = x.length / layers[0].nIn;
  const outputs = [x];
  layers.forEach((layer, l) => {
    const z = addForward(biases(n, layer, theta), outputs[l], n, layer, theta);
    outputs.push(l + 1 < layers.length ? activate(activation, z) : z); // (3.14)
  });
  return outputs;
}

/** Derivative of the activation, written with its output h. */
function slopes(activation, h) {
  const slope = new Float64Array(h.length);
  if (activation === "relu") for (let k = 0; k < h.length; k++) slope[k] = h[k] > 0 ? 1 : 0;
  else for (let k = 0; k < h.length; k++) slope[k] = 1 - h[k] * h[k];
  return slope;
}

export function predict(net, theta, x) {
  return forward(net, theta, x).at(-1);
}

/** Mean squared error over every entry. */
export function mse(prediction, y) {
  let sum = 0;
  for (let k = 0; k < y.length; k++) sum += (prediction[k] - y[k]) ** 2;
  return sum / y.length;
}

export function loss(net, theta, x, y) {
  return mse(predict(net, theta, x), y);
}

/** Gradient of the loss with respect to theta, by backpropagation. */
export function gradient(net, theta, x, y) {
  const n = x.length / net.layers[0].nIn;
  const outputs = forward(net, theta, x);
  const grad = new Float64Array(net.nParams);
  let delta = outputs.at(-1).map((v, k) => (2 / y.length) * (v - y[k])); // (3.15)
  for (let l = net.layers.length - 1; l >= 0; l--) {
    const layer = net.layers[l];
    addOuter(grad, outputs[l], delta, n, layer); // (3.17)
    addBias(grad, delta, n, layer);
    if (l === 0) break;
    delta = addBackward(new Float64Array(n * layer.nIn), delta, n, layer, theta);
    multiply(delta, slopes(net.activation, outputs[l])); // (3.16)
  }
  return grad;
}

/** Directional derivatives of every layer's output as theta moves along v. */
function forwardTangent({ layers, activation }, theta, v, outputs) {
  const n = outputs[0].length / layers[0].nIn;
  const tangents = [new Float64Array(outputs[0].length)];
  layers.forEach((layer, l) => {
    const z = addForward(biases(n, layer, v), outputs[l], n, layer, v);
    addForward(z, tangents[l], n, layer, theta);
    const last = l + 1 === layers.length;
    tangents.push(last ? z : multiply(z, slopes(activation, outputs[l + 1]))); // (3.18)
  });
  return tangents;
}

/** Hessian-vector product H v by the R-operator: backpropagation differentiated along v. */
export function hvp(net, theta, v, x, y) {
  const n = x.length / net.layers[0].nIn;
  const outputs = forward(net, theta, x);
  const tangents = forwardTangent(net, theta, v, outputs);
  const product = new Float64Array(net.nParams);
  let delta = outputs.at(-1).map((value, k) => (2 / y.length) * (value - y[k]));
  let deltaR = tangents.at(-1).map((value) => (2 / y.length) * value); // (3.19)
  for (let l = net.layers.length - 1; l >= 0; l--) {
    const layer = net.layers[l];
    addOuter(product, tangents[l], delta, n, layer);
    addOuter(product, outputs[l], deltaR, n, layer); // (3.21)
    addBias(product, deltaR, n, layer);
    if (l === 0) break;
    const slope = slopes(net.activation, outputs[l]);
    const back = addBackward(new Float64Array(n * layer.nIn), delta, n, layer, theta);
    const backR = addBackward(new Float64Array(n * layer.nIn), deltaR, n, layer, theta);
    addBackward(backR, delta, n, layer, v);
    multiply(backR, slope); // (3.20)
    // tanh bends: its slope 1 - h^2 changes by -2 h Rh. A ReLU is straight on either side of 0.
    if (net.activation === "tanh") {
      for (let k = 0; k < back.length; k++) backR[k] -= 2 * outputs[l][k] * tangents[l][k] * back[k];
    }
    multiply(back, slope);
    [delta, deltaR] = [back, backR];
  }
  return product;
}

/** x + s y, a new vector. */
export function plus(x, s, y) {
  const sum = new Float64Array(x.length);
  for (let k = 0; k < x.length; k++) sum[k] = x[k] + s * y[k];
  return sum;
}

/** theta_0 = theta, theta_1, ..., theta_K: gradient descent on one task's support set. */
export function innerPath(net, theta, task, { alpha, nInnerSteps }) {
  const path = [Float64Array.from(theta)];
  for (let k = 0; k < nInnerSteps; k++) {
    path.push(plus(path[k], -alpha, gradient(net, path[k], task.xSupport, task.ySupport))); // (3.2)
  }
  return path;
}

/** theta_prime of one task. */
export function adapt(net, theta, task, inner) {
  return innerPath(net, theta, task, inner).at(-1);
}

/**
 * Mean over tasks of what `perTask` answers.
 * @param {(task: Task) => MetaGradient} perTask
 * @returns {MetaGradient}
 */
function meanOverTasks(net, tasks, perTask) {
  let metaLoss = 0;
  let mean = new Float64Array(net.nParams);
  for (const task of tasks) {
    const one = perTask(task);
    metaLoss += one.metaLoss / tasks.length;
    mean = plus(mean, 1 / tasks.length, one.gradient); // (3.7)
  }
  return { metaLoss, gradient: mean };
}

const queryLoss = (net, theta, task) => loss(net, theta, task.xQuery, task.yQuery);
const queryGradient = (net, theta, task) => gradient(net, theta, task.xQuery, task.yQuery);

/** Mean query loss after adaptation. */
export function metaLoss(net, theta, tasks, inner) {
  const losses = tasks.map((task) => queryLoss(net, adapt(net, theta, task, inner), task));
  return losses.reduce((sum, value) => sum + value, 0) / tasks.length; // (3.1)
}

/** Training on all tasks at once: the query gradient at theta itself, no inner loop. */
export function jointGradient(net, theta, tasks) {
  return meanOverTasks(net, tasks, (task) => ({
    metaLoss: queryLoss(net, theta, task),
    gradient: queryGradient(net, theta, task),
  }));
}

/** First-order MAML: the query gradient at theta_prime, taken as it is. */
export function fomamlGradient(net, theta, tasks, inner) {
  return meanOverTasks(net, tasks, (task) => {
    const thetaPrime = adapt(net, theta, task, inner);
    return {
      metaLoss: queryLoss(net, thetaPrime, task),
      gradient: queryGradient(net, thetaPrime, task), // (3.8)
    };
  });
}

/** Exact MAML gradient: v <- v - alpha H_k v, back along the whole inner path. */
export function mamlGradient(net, theta, tasks, inner) {
  return meanOverTasks(net, tasks, (task) => {
    const path = innerPath(net, theta, task, inner);
    let v = queryGradient(net, path.at(-1), task); // (3.5)
    for (let k = inner.nInnerSteps - 1; k >= 0; k--) {
      v = plus(v, -inner.alpha, hvp(net, path[k], v, task.xSupport, task.ySupport)); // (3.6)
    }
    return { metaLoss: queryLoss(net, path.at(-1), task), gradient: v };
  });
}

/** Reptile: the way from theta_prime back to theta, divided by alpha. */
export function reptileGradient(net, theta, tasks, inner) {
  return meanOverTasks(net, tasks, (task) => {
    const thetaPrime = adapt(net, theta, task, inner);
    return {
      metaLoss: queryLoss(net, thetaPrime, task),
      gradient: plus(theta, -1, thetaPrime).map((value) => value / inner.alpha), // (3.9)
    };
  });
}

/** Angle between two vectors in degrees; NaN where one of them is zero. */
export function angleBetween(x, y) {
  let [xy, xx, yy] = [0, 0, 0];
  for (let k = 0; k < x.length; k++) {
    xy += x[k] * y[k];
    xx += x[k] * x[k];
    yy += y[k] * y[k];
  }
  return (Math.acos(Math.max(-1, Math.min(1, xy / Math.sqrt(xx * yy)))) * 180) / Math.PI;
}

/** A seeded stream of uniform numbers in [0, 1): mulberry32. */
export function uniforms(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** `count` of the numbers 0 .. n-1, each at most once, in increasing order. */
export function sampleWithoutReplacement(seed, n, count) {
  const next = uniforms(seed);
  const numbers = Array.from({ length: n }, (_, k) => k);
  for (let k = 0; k < count; k++) {
    const other = k + Math.floor(next() * (n - k));
    [numbers[k], numbers[other]] = [numbers[other], numbers[k]];
  }
  return numbers.slice(0, count).sort((x, y) => x - y);
}
