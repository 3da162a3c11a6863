/**
 * Room for words in a drawing. Boxes are in the drawing's pixels; what is placed first is kept
 * clear of by all that follows.
 *
 * @typedef {{left: number, right: number, top: number, bottom: number}} Box
 * @typedef {{at: number[], r: number}} Disc
 * @typedef {[number, number, string]} Spot where a label's anchor is on its base line, and which
 */

const [ASCENT, DESCENT] = [11, 3]; // of a label of 12 pixels
const SPACE = 4; // pixels between two labels side by side
const LETTER = 7.5; // half the height of a letter on a disc

/** @param {number[]} centre @returns {Box} */
export const boxAround = ([x, y], r) => ({ left: x - r, right: x + r, top: y - r, bottom: y + r });

/** @param {Box} a @param {Box} b */
export const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

/**
 * The box of a label of that width at a spot.
 * @param {Spot} spot
 * @returns {Box}
 */
export function boxAt([x, y, anchor], width) {
  const left = x - { start: 0, middle: width / 2, end: width }[anchor];
  return { left, right: left + width, top: y - ASCENT, bottom: y + DESCENT };
}

/**
 * Spots around a point, the nearest first: beside it, over and under it, and at its corners.
 * @param {number[]} point
 * @param {number[]} gaps
 * @returns {Spot[]}
 */
export function spotsAround([x, y], gaps, leftwards = false) {
  const sides = leftwards ? ["end", "start"] : ["start", "end"];
  const beside = (gap, down) =>
    sides.map((side) => [x + (side === "start" ? gap : -gap), y + 4 + down, side]);
  const near = (gap) => [
    ...beside(gap, 0),
    [x, y - gap - DESCENT, "middle"],
    [x, y + gap + ASCENT, "middle"],
    ...beside(gap, -gap - 4),
    ...beside(gap, gap + 4),
  ];
  return /** @type {Spot[]} */ (gaps.flatMap(near));
}

/** @param {Box} inner @param {Box} outer */
const within = (inner, outer) =>
  inner.left >= outer.left && inner.right <= outer.right && inner.top >= outer.top && inner.bottom <= outer.bottom;

/**
 * The first spot where a label lies inside the frame and meets nothing that is taken.
 * @param {Spot[]} spots @param {Box[]} taken @param {Box} frame
 */
export const freeAmong = (spots, width, taken, frame) =>
  spots.find((spot) => {
    const box = boxAt(spot, width);
    return within(box, frame) && !taken.some((other) => meet(box, other));
  });

/** What a plot's axes enclose. @returns {Box} */
export const frameOf = ({ left, top, width, height }) => ({ left, right: left + width, top, bottom: top + height });

/**
 * Puts a label at the first free spot and takes the place; where none is free, it is not shown.
 * @param {Spot[]} spots @param {Box[]} taken @param {Box} frame
 */
export function settle(node, spots, taken, frame) {
  const width = node.getComputedTextLength();
  const spot = width > 0 ? freeAmong(spots, width, taken, frame) : undefined;
  const [x, y, anchor] = spot ?? [0, 0, "start"]; // out of sight nothing is left of where it was
  const shown = { visibility: spot ? "visible" : "hidden", x, y, "text-anchor": anchor };
  for (const [name, value] of Object.entries(shown)) node.setAttribute(name, value);
  if (!spot) return;
  const { left, right, ...rows } = boxAt(spot, width);
  taken.push({ left: left - SPACE, right: right + SPACE, ...rows });
}

/**
 * Which discs have room for their letter: those that no disc before them covers in part.
 * @param {Disc[]} discs the uppermost first
 */
export const lettered = (discs) =>
  discs.map(({ at: [x, y] }, k) =>
    discs.slice(0, k).every(({ at: [u, v], r }) => Math.hypot(x - u, y - v) >= r + LETTER),
  );
