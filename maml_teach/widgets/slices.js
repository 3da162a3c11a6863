/** Work for several frames, done a few milliseconds at a time so that the page never waits. */

const FIRST = 2; // milliseconds before the first repaint
const SLICE = 6; // after each of those that follow

/**
 * Runs a generator step by step; a new one takes the place of one that is not finished. The first
 * slice comes at once, the others each after a repaint, so that none holds up the picture.
 * @param {(done: boolean) => void} draw called after each slice
 */
export function inSlices(draw) {
  /** @type {Iterator<void>} */
  let work = [][Symbol.iterator]();
  let [frame, pause] = [0, 0];
  const stop = () => {
    cancelAnimationFrame(frame);
    clearTimeout(pause);
  };
  const go = (milliseconds) => {
    const end = performance.now() + milliseconds;
    let done = false;
    while (!done && performance.now() < end) done = work.next().done ?? false;
    draw(done);
    if (!done) frame = requestAnimationFrame(() => (pause = setTimeout(go, 0, SLICE)));
  };
  return {
    /** @param {Iterator<void>} next */
    start(next) {
      stop();
      work = next;
      go(FIRST);
    },
    stop,
  };
}
