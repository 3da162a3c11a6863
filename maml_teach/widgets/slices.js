/** Work for several frames, done a few milliseconds at a time so that the page never waits. */

const SLICE = 2; // milliseconds between two repaints

/**
 * Runs a generator step by step; a new one takes the place of one that is not finished.
 * @param {(done: boolean) => void} draw called after each slice
 */
export function inSlices(draw) {
  /** @type {Iterator<void>} */
  let work = [][Symbol.iterator]();
  let timer = 0;
  const go = () => {
    const end = performance.now() + SLICE;
    let done = false;
    while (!done && performance.now() < end) done = work.next().done ?? false;
    timer = done ? 0 : requestAnimationFrame(go);
    draw(done);
  };
  return {
    /** @param {Iterator<void>} next */
    start(next) {
      cancelAnimationFrame(timer);
      work = next;
      go();
    },
    stop: () => cancelAnimationFrame(timer),
  };
}
