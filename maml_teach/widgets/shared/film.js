/**
 * A film that runs when asked to, from where it stands, to its last picture.
 * @param {HTMLElement} play the button that starts and halts it; `start` is what it says meanwhile
 * @param {{start: string, first: number, last: number, stride: number, milliseconds: number}} reel
 *   the picture shown at first and the last one, and how far and how often it goes on
 * @param {() => void} redraw called for each new picture
 */
export function film(play, { start, first, last, stride, milliseconds }, redraw) {
  let [at, timer] = [first, 0];
  const halt = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = start;
  };
  const run = () => {
    if (at >= last) at = 0;
    play.textContent = "❚❚ Pause";
    timer = window.setInterval(() => {
      at = Math.min(at + stride, last);
      redraw();
      if (at === last) halt();
    }, milliseconds);
  };
  return {
    at: () => at,
    toggle: () => (timer ? halt() : run()),
    rewind() {
      halt();
      at = first;
    },
    halt,
  };
}
