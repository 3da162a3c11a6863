/**
 * What every figure does in the same way: it connects to its traits, keeps how they were, redraws
 * when one changes, goes back on Reset, and leaves nothing behind when it is taken away.
 *
 * @typedef {ReturnType<typeof connect>} State
 * @typedef {{root: HTMLElement, state: State, redraw: () => void, reset: () => void,
 *            status: (parent?: HTMLElement) => ReturnType<typeof statusLine>}} Kit
 * @typedef {{draw: () => void, begin?: () => void, panels?: {plot: {close: () => void}}[],
 *            stop?: () => void}} Built
 */
import { connect, element, oncePerFrame, statusLine } from "./ui.js";

/**
 * A figure's default export.
 * @param {object} settings
 * @param {string} settings.name the figure's folder; its root has the class `mf-` and this name with dashes
 * @param {string | ((state: State) => string)} settings.label what the figure is called
 * @param {string[] | ((state: State) => string[])} settings.traits those that the reader changes:
 *   a change draws the figure again, and Reset sets them back
 * @param {(kit: Kit) => Built} settings.build fills the root, with the kit's `status` for its
 *   read-out. `draw` draws what is computed; `begin`, where there is one, computes anew for changed
 *   traits and draws. `panels` have plots to close, and `stop` ends what else goes on.
 */
export function figure({ name, label, traits, build }) {
  function render({ model, el }) {
    const state = connect(model);
    const named = typeof label === "function" ? label(state) : label;
    const followed = typeof traits === "function" ? traits(state) : traits;
    const initial = Object.fromEntries(followed.map((trait) => [trait, state.get(trait)]));
    const shape = { class: `maml-figure mf-${name.replaceAll("_", "-")}`, role: "group", "aria-label": named };
    const root = element(el, "div", shape);
    const said = [];
    const status = (parent = root) => said[said.push(statusLine(parent)) - 1];
    const redraw = oncePerFrame(() => built.draw());
    const again = oncePerFrame(() => begin());
    const built = build({ root, state, redraw, reset: () => state.set(initial), status });
    const begin = built.begin ?? built.draw;
    state.on(followed, built.begin ? again : redraw);
    begin();
    return () => {
      built.stop?.();
      for (const pending of [again, redraw, ...said]) pending.cancel();
      state.close();
      for (const { plot } of built.panels ?? []) plot.close();
      root.remove();
    };
  }
  return { render };
}
