/** What films have in common: how they run, and how a picture shows what is still to come. */
import { svgElement } from "./ui.js";

const BACK = "↺ Back to the start";

/**
 * A film that runs when asked to, from where it stands, to its last picture. Where nothing is to
 * move by itself it goes to its last picture at once, and back to the first.
 * @param {HTMLElement} play the button that starts and halts it; `start` is what it says meanwhile
 * @param {{start: string, last: number, stride: number, milliseconds: number}} reel
 *   the last picture, after the first, 0, and how far and how often the film goes on
 * @param {() => void} redraw called for each new picture
 */
export function film(play, { start, last, stride, milliseconds }, redraw) {
  let [at, timer] = [0, 0];
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
  const jump = () => {
    at = at < last ? last : 0;
    play.textContent = at === last ? BACK : start;
    redraw();
  };
  const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
  return {
    at: () => at,
    toggle: () => (timer ? halt() : still() ? jump() : run()),
    rewind() {
      halt();
      at = 0;
    },
    halt,
  };
}

/**
 * A line of a film: in full as far as the film has come, and faint from there on.
 * @param {SVGElement} parent
 * @param {string} [className] beside `mf-curve`
 * @returns {(plot: import("./ui.js").Plot, points: number[][], n: number) => void} draws points, of
 *   which the film has come to the one with this number
 */
export function trail(parent, className = "") {
  const ghost = svgElement(parent, "path", { class: "mf-to-come" });
  const line = svgElement(parent, "path", { class: `mf-curve ${className}`.trim() });
  return (plot, points, n) => {
    ghost.setAttribute("d", plot.line(points.slice(n)));
    line.setAttribute("d", plot.line(points.slice(0, n + 1)));
  };
}

/**
 * A group for each mover, in their order. The one that has adapted lies below the others, which are
 * thinner and dashed: where all are in one place, all are seen.
 * @param {SVGElement} parent
 * @param {{key: string, look: string}[]} movers
 * @returns {SVGElement[]}
 */
export function layers(parent, movers) {
  const order = [...movers].sort((p, q) => Number(q.key === "adapted") - Number(p.key === "adapted"));
  const made = new Map(order.map((mover) => [mover, svgElement(parent, "g", { class: mover.look })]));
  return movers.map((mover) => made.get(mover));
}
