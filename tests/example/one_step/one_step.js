/** One step on a bowl: where gradient descent lands, over the rate. The recipe's example. */
import { figure } from "../shared/lifecycle.js";
import { button, format, panel, slider, svgElement } from "../shared/ui.js";

const RANGE = { trait: "alpha", label: "rate α", min: 0, max: 1, step: 0.01, digits: 2 };
const OPTIONS = {
  label: "Loss over theta, and one step on it",
  margin: [8, 8, 24, 30],
  height: (width) => Math.round(width / 2),
  x: { min: -2, max: 2, ticks: [-2, -1, 0, 1, 2] },
  y: { min: 0, max: 8, ticks: [0, 4, 8] },
};
const height = (theta) => 2 * theta ** 2;
const stepFrom = (theta, alpha) => theta - alpha * 4 * theta;

function build({ root, state, redraw, reset, status }) {
  const bowl = panel(root, { title: "One step", className: "mf-role-maml" }, OPTIONS, redraw);
  const curve = svgElement(bowl.plot.area, "path", { class: "mf-truth" });
  const arrow = svgElement(bowl.plot.area, "path", { class: "mf-after" });
  const say = status();
  slider(root, state, RANGE);
  button(root, "Reset", reset);
  const draw = () => {
    const end = stepFrom(1.5, state.get("alpha"));
    const points = Array.from({ length: 81 }, (_, k) => [k / 20 - 2, height(k / 20 - 2)]);
    curve.setAttribute("d", bowl.plot.line(points));
    arrow.setAttribute("d", bowl.plot.arrow([1.5, height(1.5)], [end, height(end)], 10));
    say(`One step with α = ${format(state.get("alpha"))} leads from 1.50 to ${format(end)}.`);
  };
  return { draw, panels: [bowl] };
}

export default figure({ name: "one_step", label: "One step", traits: ["alpha"], build });
