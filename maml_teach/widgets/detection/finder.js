/**
 * The detector of `maml_teach.applications.detection_torch.finder`: three convolutions with ReLU
 * and five maps, its loss, the gradient of it derived by hand, and the boxes that the maps say. Each
 * scene goes through by itself. tests/test_detection.py compares all of it with PyTorch.
 *
 * Maps are flat, cell by cell with the five numbers innermost: a score, then the box. Boxes are
 * centre, width and height in pixels.
 *
 * @typedef {import("../shared/conv.js").Conv & {b: number}} BiasedConv
 * @typedef {{convs: BiasedConv[], nParams: number}} Finder
 */
import { convolved, convolvedBack } from "../shared/conv.js";

export const CANVAS = 48; // pixels
const CELL = 4; // pixels
const GRID = CANVAS / CELL;
const NUMBERS = 5;
const USUAL = 16; // pixels: a box of this side has size 0 in what the network says
const SIZES = [-2, 1.1]; // log sizes are kept in this range

/** @returns {Finder} */
export function finder(channels = 32) {
  const convs = [];
  let offset = 0;
  const layers = [
    [1, channels, 7, CANVAS, CELL],
    [channels, channels, 3, GRID, 1],
    [channels, channels, 3, GRID, 1],
    [channels, NUMBERS, 1, GRID, 1],
  ];
  for (const [nIn, nOut, side, size, stride] of layers) {
    const b = offset + nOut * nIn * side * side;
    convs.push({ nIn, nOut, side, size, stride, w: offset, b });
    offset = b + nOut;
  }
  return { convs, nParams: offset };
}

/** Every layer on the way up; `x` is what comes out of it. */
function upwards(net, theta, scene) {
  const layers = [];
  let x = scene;
  net.convs.forEach((conv, k) => {
    const layer = convolved(conv, theta, x, 1);
    const last = k + 1 === net.convs.length;
    x = layer.z;
    for (let i = 0; i < x.length; i++) {
      x[i] += theta[conv.b + (i % conv.nOut)];
      if (!last && x[i] < 0) x[i] = 0;
    }
    layers.push({ ...layer, x });
  });
  return layers;
}

/** The five maps of one scene, `144 * 5` numbers. */
export const mapsOf = (net, theta, scene) => upwards(net, theta, scene).at(-1).x;

/** The cell in which the middle of a box lies. */
export function cellOf([cx, cy]) {
  const [column, row] = [cx, cy].map((v) => Math.max(0, Math.min(GRID - 1, Math.floor(v / CELL))));
  return row * GRID + column;
}

const middleOf = (cell) => [(cell % GRID) + 0.5, Math.floor(cell / GRID) + 0.5];

/** A box as the network says it at a cell. */
export function coded([cx, cy, w, h], cell) {
  const [x, y] = middleOf(cell);
  return [cx / CELL - x, cy / CELL - y, Math.log(w / USUAL), Math.log(h / USUAL)];
}

/** Chance of each cell to be the middle of the box: a softmax over the map of scores. */
export function cellChances(maps) {
  const scores = Array.from({ length: GRID * GRID }, (_, cell) => maps[NUMBERS * cell]);
  const top = Math.max(...scores);
  const parts = scores.map((score) => Math.exp(score - top));
  const total = parts.reduce((sum, part) => sum + part, 0);
  return parts.map((part) => part / total);
}

/** Gradient of the loss of one scene in theta, `(nParams,)`; the loss itself is `box_loss`. */
export function gradient(net, theta, scene, box) {
  const layers = upwards(net, theta, scene);
  const maps = layers.at(-1).x;
  const [cell, back] = [cellOf(box), new Float64Array(maps.length)];
  cellChances(maps).forEach((chance, k) => (back[NUMBERS * k] = chance - (k === cell ? 1 : 0)));
  coded(box, cell).forEach((wanted, k) => {
    const gap = maps[NUMBERS * cell + 1 + k] - wanted;
    back[NUMBERS * cell + 1 + k] = Math.max(-1, Math.min(1, gap)) / 4;
  });
  const grad = new Float64Array(net.nParams);
  layers.reduceRight((received, layer, k) => downwards(layer, k + 1 === layers.length, received, grad), back);
  return grad;
}

/** Back through ReLU, bias and convolution; fills `grad`, returns what comes out below. */
function downwards(layer, last, received, grad) {
  const { conv, x } = layer;
  for (let i = 0; i < x.length; i++) {
    if (!last && x[i] === 0) received[i] = 0;
    grad[conv.b + (i % conv.nOut)] += received[i];
  }
  return convolvedBack(layer, received, 1, grad);
}

/** The box of the cell with the highest score, in pixels. */
export function boxOf(maps) {
  let best = 0;
  for (let cell = 1; cell < GRID * GRID; cell++) if (maps[NUMBERS * cell] > maps[NUMBERS * best]) best = cell;
  const [dx, dy, w, h] = maps.slice(NUMBERS * best + 1, NUMBERS * (best + 1));
  const [x, y] = middleOf(best);
  const size = (log) => USUAL * Math.exp(Math.max(SIZES[0], Math.min(SIZES[1], log)));
  return [CELL * (x + dx), CELL * (y + dy), size(w), size(h)];
}

/** Intersection over union of two boxes: 1 if equal, 0 if apart. */
export function overlapOf(box, other) {
  const shared = [0, 1].map((k) => {
    const low = Math.max(box[k] - box[k + 2] / 2, other[k] - other[k + 2] / 2);
    const high = Math.min(box[k] + box[k + 2] / 2, other[k] + other[k + 2] / 2);
    return Math.max(0, high - low);
  });
  const both = shared[0] * shared[1];
  return both / (box[2] * box[3] + other[2] * other[3] - both);
}
