/** Work for several frames, done a few milliseconds at a time so that the page never waits. */

const FIRST = 2; // milliseconds before the first repaint
const SLICE = 6; // after each of those that follow

/** Calls `job` when the next picture has been painted; returns what calls it off. */
export function afterRepaint(job) {
  let pause = 0;
  const frame = requestAnimationFrame(() => (pause = setTimeout(job)));
  return () => {
    cancelAnimationFrame(frame);
    clearTimeout(pause);
  };
}

/**
 * Runs a generator step by step; a new one takes the place of one that is not finished. The first
 * slice comes at once, the others each after a repaint, so that none holds up the picture.
 * @param {(done: boolean) => void} draw called after each slice
 */
export function inSlices(draw) {
  /** @type {Iterator<void>} */
  let work = [][Symbol.iterator]();
  let stop = () => {};
  const go = (milliseconds) => {
    const end = performance.now() + milliseconds;
    let done = false;
    while (!done && performance.now() < end) done = work.next().done ?? false;
    draw(done);
    if (!done) stop = afterRepaint(() => go(SLICE));
  };
  return {
    /** @param {Iterator<void>} next */
    start(next) {
      stop();
      work = next;
      go(FIRST);
    },
    stop: () => stop(),
  };
}
