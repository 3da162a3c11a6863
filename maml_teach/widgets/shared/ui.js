/**
 * What every figure is made of: state kept in the model's traits, rows of controls that read and
 * write them, plots with axes, points to drag, and a status line. Native elements throughout, so
 * that keyboard, touch and screen readers work as everywhere else.
 *
 * @typedef {{trait: string, label: string, min: number, max: number, step: number,
 *            log?: boolean, digits: number, trained?: number[]}} Range `trained`: the lowest and the
 *   highest value that training saw
 * @typedef {{min: number, max: number, log?: boolean, ticks: number[], label?: string,
 *            format?: (value: number) => string}} Axis
 */

const SVG = "http://www.w3.org/2000/svg";
const MEASURED = 12; // sentences: letters are not equally wide, so the one with the most may be second
export const JUPYTER_KEYS = { "data-lm-suppress-shortcuts": "true" }; // or JupyterLab takes the arrow keys

/** Counted for the whole page: each figure on it has a copy of this module of its own. */
export function uniqueId(stem) {
  const page = /** @type {{mamlFigureIds?: number}} */ (/** @type {unknown} */ (globalThis));
  page.mamlFigureIds = (page.mamlFigureIds ?? 0) + 1;
  return `mf-${stem}-${page.mamlFigureIds}`;
}

/**
 * A new element inside `parent`; `text` is its content, everything else an attribute.
 * @param {Record<string, any>} given
 * @returns {any}
 */
export function element(parent, tag, given = {}) {
  const { text, ...attributes } = given;
  const node = document.createElement(tag);
  return finish(parent, node, text, attributes);
}

/**
 * The same for a drawing.
 * @param {Record<string, any>} given
 * @returns {any}
 */
export function svgElement(parent, tag, given = {}) {
  const { text, ...attributes } = given;
  return finish(parent, document.createElementNS(SVG, tag), text, attributes);
}

function finish(parent, node, text, attributes) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  parent?.append(node);
  return node;
}

/** 1.5 -> "1.50", -2 -> "−2.00": a real minus sign and a fixed number of digits. */
export function format(value, digits = 2) {
  return value.toFixed(digits).replace("-", "\u2212").replace(/^\u2212(0(\.0*)?)$/, "$1");
}

/** A loss in three figures at most: 0.0123, 0.45, 3.21, 41.3, 1.2e5. */
export function formatLoss(value) {
  if (!Number.isFinite(value)) return "infinite";
  if (value >= 1e4 || (value > 0 && value < 1e-3)) return value.toExponential(1).replace("e+", "e");
  return value >= 100 ? value.toFixed(0) : value >= 0.1 ? value.toPrecision(3) : value.toPrecision(2);
}

/** The bytes of a float32 array, as anywidget (DataView) or node (Buffer) hand them over. */
export function floats(bytes) {
  const { buffer, byteOffset, byteLength } = bytes;
  return new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
}

/** Index of the value nearest to `value` on a logarithmic axis. */
export function nearest(values, value) {
  const far = values.map((x) => Math.abs(Math.log(x / value)));
  return far.indexOf(Math.min(...far));
}

/** The model of a widget with listeners that can all be taken off again. */
export function connect(model) {
  const bound = [];
  return {
    get: (trait) => model.get(trait),
    set(values) {
      for (const [trait, value] of Object.entries(values)) model.set(trait, value);
      model.save_changes();
    },
    on(traits, react) {
      for (const trait of traits) {
        model.on(`change:${trait}`, react);
        bound.push([trait, react]);
      }
    },
    close() {
      for (const [trait, react] of bound) model.off(`change:${trait}`, react);
    },
  };
}

/**
 * Calls `draw` as soon as all traits of a change are set, and once per frame at most: what is asked
 * for after that is drawn before the next frame.
 */
export function oncePerFrame(draw) {
  let [asked, frame] = [false, 0];
  const go = () => {
    frame = requestAnimationFrame(() => {
      frame = 0;
      if (asked) go();
    });
    asked = false;
    draw();
  };
  const ask = () => {
    if (!asked && !frame) queueMicrotask(() => asked && !frame && go());
    asked = true;
  };
  ask.cancel = () => {
    asked = false;
    cancelAnimationFrame(frame);
  };
  return ask;
}

/**
 * What the reader typed, as a number in range, or the sentence that says what is wrong with it.
 * @param {Range} range
 * @returns {{value?: number, message?: string}}
 */
export function readNumber(text, range) {
  const { min, max, step } = range;
  const value = text.trim() === "" ? NaN : Number(text);
  const whole = step === 1;
  if (Number.isFinite(value) && value >= min && value <= max && (!whole || Number.isInteger(value))) {
    return { value };
  }
  return { message: `Please give a ${whole ? "whole " : ""}number from ${min} to ${max}.` };
}

/** The value a slider's position stands for, rounded to its step (or to two figures if log). */
export function fromPosition(position, { step, log, digits }) {
  if (log) return Number((10 ** position).toPrecision(2));
  return Number((Math.round(position / step) * step).toFixed(digits));
}

export const toPosition = (value, { log }) => (log ? Math.log10(value) : value);

/**
 * Ranges with what training saw of each, as the trait `trained` says.
 * @param {Range[]} ranges
 * @returns {Range[]}
 */
export function withTraining(ranges, state) {
  const trained = state.get("trained") ?? {};
  return ranges.map((range) => ({ ...range, trained: trained[range.trait] }));
}

const NEARLY = 1e-9;

/** Whether a value is one that training did not see. @param {Range} range */
export function isBeyond(value, range) {
  const [low, high] = range.trained ?? [-Infinity, Infinity];
  return value < low - NEARLY || value > high + NEARLY;
}

/**
 * What training saw, in words: "up to 3", "from 0.25", "only 1.00", "0.5 to 2.0"; with the unit.
 * @param {Range} range
 */
export function seenInTraining({ label, min, max, digits, trained = [] }) {
  const [low, high] = trained.map((value) => format(value, digits));
  const unit = label.split(", ")[1];
  const ends = trained[0] <= min ? `up to ${high}` : trained[1] >= max ? `from ${low}` : `${low} to ${high}`;
  const words = low === high ? `only ${low}` : ends;
  return unit ? `${words} ${unit}` : words;
}

/**
 * The sentence that names the settings beyond training, or nothing.
 * @param {Range[]} ranges
 */
export function beyondTraining(state, ranges) {
  const named = withTraining(ranges, state)
    .filter((range) => isBeyond(state.get(range.trait), range))
    .map((range) => `${range.label.split(", ")[0]} (in training ${seenInTraining(range)})`);
  return named.length ? ` Beyond training: ${named.join(", ")}.` : "";
}

/**
 * A state with every slider at an end, beyond training where it goes so far: what a read-out has the
 * most to say of.
 * @param {Range[]} ranges
 */
export function atTheirEnds(state, ranges) {
  const length = (value, { digits }) => format(value, digits).length;
  const longer = (range) => (length(range.min, range) > length(range.max, range) ? range.min : range.max);
  const endOf = (range) => [range.max, range.min].find((end) => isBeyond(end, range)) ?? longer(range);
  const ends = new Map(withTraining(ranges, state).map((range) => [range.trait, endOf(range)]));
  return { get: (trait) => (ends.has(trait) ? ends.get(trait) : state.get(trait)) };
}

/**
 * The sentence for an adaptation that did harm, as far as the digits shown tell, or nothing. Both
 * numbers are the better the lower they are.
 */
export function harmed(before, after, digits, where = "") {
  const worse = Number(after.toFixed(digits)) > Number(before.toFixed(digits));
  return worse ? ` Adapting made it worse${where}.` : "";
}

/**
 * Below a slider's track: a line as far as training went, dots beyond, and the same in words. What
 * is returned follows a value, and says what is to be heard after it.
 * @param {Range} range
 */
function trainingMark(row, bar, range) {
  const { min, max, trained } = range;
  if (!trained || !(isBeyond(min, range) || isBeyond(max, range))) return () => "";
  const ends = trained.map((value) => place(Math.max(min, Math.min(max, value)), range).toFixed(4));
  element(row, "span", { class: "mf-trained", style: `--from: ${ends[0]}; --to: ${ends[1]}`, "aria-hidden": "true" });
  const id = uniqueId("trained");
  const words = element(row, "span", { class: "mf-trained-words", id });
  words.textContent = `in training: ${seenInTraining(range)}`;
  bar.setAttribute("aria-describedby", id);
  return (value) => {
    const far = isBeyond(value, range);
    row.classList.toggle("mf-beyond", far);
    return far ? ", beyond training" : "";
  };
}

/**
 * The names of a figure's lines.
 *
 * @param {Element} parent
 * @param {{text: string, look?: string, path?: string}[]} entries words, and the classes of the
 *     item and of the line
 */
export function lineNames(parent, entries) {
  const list = element(parent, "ul", { class: "mf-legend" });
  for (const { text, look = "", path = "mf-curve" } of entries) {
    const item = element(list, "li", { class: look });
    const swatch = svgElement(item, "svg", { width: 30, height: 12, "aria-hidden": "true" });
    svgElement(swatch, "path", { class: path, d: "M0 6H30" });
    element(item, "span", { text });
  }
}

/** A labelled slider and a number field, both bound to one trait. */
export function slider(parent, state, range) {
  const id = uniqueId(range.trait);
  const row = element(parent, "div", { class: "mf-row" });
  element(row, "label", { for: id, text: range.label });
  const step = range.log ? 0.02 : range.step;
  const [min, max] = [toPosition(range.min, range), toPosition(range.max, range)];
  const bar = element(row, "input", { type: "range", id, min, max, step, ...JUPYTER_KEYS });
  const field = numberField(row, state, range);
  const mark = trainingMark(row, bar, range);
  bar.addEventListener("input", () => state.set({ [range.trait]: fromPosition(+bar.value, range) }));
  const show = () => {
    const value = state.get(range.trait);
    bar.value = toPosition(value, range);
    bar.setAttribute("aria-valuetext", format(value, range.digits) + mark(value));
    field.show(value);
  };
  state.on([range.trait], show);
  show();
  return row;
}

/** Keeps the last good value: bad input is named beside the field and never reaches the trait. */
function numberField(row, state, range) {
  const messageId = uniqueId("message");
  const field = element(row, "input", {
    type: "number",
    step: "any",
    min: range.min,
    max: range.max,
    "aria-label": `${range.label}, as a number`,
    "aria-describedby": messageId,
    ...JUPYTER_KEYS,
  });
  const message = element(row, "span", { class: "mf-message", id: messageId, role: "alert" });
  const complain = (text) => {
    message.textContent = text;
    field.setAttribute("aria-invalid", text !== "");
  };
  const show = (value) => (field.value = String(Number(value.toFixed(range.digits + 2))));
  field.addEventListener("input", () => {
    const read = readNumber(field.value, range);
    complain(read.message ?? "");
    if (read.message === undefined) state.set({ [range.trait]: read.value });
  });
  field.addEventListener("blur", () => {
    show(state.get(range.trait));
    complain("");
  });
  return {
    show(value) {
      // While the reader types, "0." must not turn into "0" under the cursor.
      if (document.activeElement !== field || Number(field.value) !== value) {
        if (readNumber(field.value, range).message && document.activeElement === field) return;
        show(value);
        complain("");
      }
    },
  };
}

/** A row of radio buttons bound to one trait; `options` are pairs of value and text. */
export function choice(parent, state, { trait, label, options }) {
  const group = element(parent, "fieldset", { class: "mf-choice" });
  element(group, "legend", { text: label });
  const name = uniqueId(trait);
  const inputs = options.map(([value, text]) => {
    const box = element(group, "label");
    const input = element(box, "input", { type: "radio", name, value, ...JUPYTER_KEYS });
    element(box, "span", { text });
    input.addEventListener("change", () => state.set({ [trait]: value }));
    return input;
  });
  const show = () => inputs.forEach((input) => (input.checked = input.value === state.get(trait)));
  state.on([trait], show);
  show();
  return group;
}

/** A part of a figure that opens when it is asked for. */
export function folded(parent, text) {
  const part = element(parent, "details", { class: "mf-more" });
  element(part, "summary", { text });
  return part;
}

export function button(parent, text, onClick, attributes = {}) {
  const node = element(parent, "button", { type: "button", text, ...attributes });
  node.addEventListener("click", onClick);
  return node;
}

/** How many pixels the highest of some sentences takes up in a line of text of that class and width. */
function highest(parent, name, width, sentences) {
  const style = `position: absolute; visibility: hidden; width: ${width}px`;
  const box = element(parent, "div", { "aria-hidden": "true", style });
  const lines = sentences.map((text) => element(box, "p", { class: name, text }));
  const heights = lines.map((line) => line.getBoundingClientRect().height);
  box.remove();
  return Math.max(...heights);
}

/**
 * Keeps a line as high as the highest of some sentences, at each width that it gets, so that what
 * stands below it never moves; returns what ends that. Those with the most letters are measured.
 */
function keepRoom(line, sentences) {
  const longest = [...sentences].sort((p, q) => q.length - p.length).slice(0, MEASURED);
  let known = 0;
  const fit = (width) => {
    if (width === 0 || width === known) return; // 0 while hidden, in a closed tab
    known = width;
    const height = highest(line.parentNode, line.getAttribute("class"), width, longest);
    line.setAttribute("style", `min-height: ${height}px`);
  };
  const observer = new ResizeObserver(([entry]) => fit(Math.round(entry.contentRect.width)));
  fit(Math.round(line.clientWidth));
  observer.observe(line);
  return () => observer.disconnect();
}

/**
 * A polite live region; at most two updates a second, so that it can be listened to. It keeps room
 * for the longest of the sentences that `say.room` is told of.
 */
export function statusLine(parent) {
  const line = element(parent, "p", { class: "mf-status", role: "status", "aria-live": "polite" });
  let [latest, timer] = ["", 0];
  const show = () => {
    if (line.textContent !== latest) line.textContent = latest;
  };
  const say = (text) => {
    line.setAttribute("aria-live", "polite");
    latest = text;
    if (timer) return;
    show();
    timer = setTimeout(() => {
      timer = 0;
      show();
    }, 500);
  };
  /** At once, for what changes many times a second; `aloud` says whether a listener is told. */
  say.now = (text, aloud) => {
    line.setAttribute("aria-live", aloud ? "polite" : "off");
    latest = text;
    show();
  };
  let leave = () => {};
  say.room = (sentences) => {
    leave = keepRoom(line, sentences);
    return say;
  };
  say.cancel = () => {
    clearTimeout(timer);
    leave();
  };
  return say;
}

const place = (value, axis) => {
  const [min, max] = [toPosition(axis.min, axis), toPosition(axis.max, axis)];
  return (toPosition(value, axis) - min) / (max - min);
};
const FAR = 5000; // pixels; browsers draw nonsense for far larger coordinates
const near = (pixel) => Math.max(-FAR, Math.min(FAR, pixel));

/** An SVG plot in real pixels: it lays itself out again when its width changes. */
export class Plot {
  /**
   * @param {{label: string, role?: string, x: Axis, y: Axis,
   *          height: (width: number) => number, margin: number[]}} options margin as in CSS
   * @param {() => void} onResize called after each change of size
   */
  constructor(parent, options, onResize) {
    this.id = uniqueId("plot");
    this.widthOf = 340;
    this.x = options.x;
    this.y = options.y;
    this.height = options.height;
    this.margin = options.margin;
    this.svg = svgElement(parent, "svg", { role: options.role ?? "group", "aria-label": options.label });
    this.clip = svgElement(svgElement(this.svg, "clipPath", { id: this.id }), "rect");
    this.axes = svgElement(this.svg, "g", { class: "mf-axes", "aria-hidden": "true" });
    this.area = svgElement(this.svg, "g", { "clip-path": `url(#${this.id})` });
    this.over = svgElement(this.svg, "g");
    this.observer = new ResizeObserver(([entry]) => {
      const width = Math.round(entry.contentRect.width);
      if (width === 0 || width === this.widthOf) return; // 0 while hidden, in a closed tab
      this.layOut(width);
      onResize();
    });
    this.layOut(Math.round(parent.clientWidth) || 340);
    this.observer.observe(parent);
  }

  close() {
    this.observer.disconnect();
  }

  layOut(width) {
    const [top, right, bottom, left] = this.margin;
    this.widthOf = width;
    this.box = { left, top, width: width - left - right, height: this.height(width) - top - bottom };
    for (const [name, value] of Object.entries({ width, height: this.height(width) })) {
      this.svg.setAttribute(name, value);
    }
    const { left: x, top: y, width: w, height: h } = this.box;
    for (const [name, value] of Object.entries({ x, y, width: w, height: h })) {
      this.clip.setAttribute(name, value);
    }
    this.drawAxes();
  }

  px(value) {
    return near(this.box.left + place(value, this.x) * this.box.width);
  }

  py(value) {
    return near(this.box.top + (1 - place(value, this.y)) * this.box.height);
  }

  /** The data coordinates under a pointer event, kept inside the axes (linear axes only). */
  pointOf(event, [dx, dy] = [0, 0]) {
    const frame = this.svg.getBoundingClientRect();
    const u = (event.clientX - dx - frame.left - this.box.left) / this.box.width;
    const v = 1 - (event.clientY - dy - frame.top - this.box.top) / this.box.height;
    return this.inside([
      this.x.min + u * (this.x.max - this.x.min),
      this.y.min + v * (this.y.max - this.y.min),
    ]);
  }

  /** @param {ArrayLike<number> & Iterable<number>} point */
  inside([x, y]) {
    const clamp = (value, { min, max }) => Math.max(min, Math.min(max, value));
    return [clamp(x, this.x), clamp(y, this.y)];
  }

  setY(axis) {
    if (axis.min === this.y.min && axis.max === this.y.max) return;
    Object.assign(this.y, axis);
    this.drawAxes();
  }

  setX(axis) {
    if (axis.max === this.x.max) return;
    Object.assign(this.x, axis);
    this.drawAxes();
  }

  drawAxes() {
    const { left, top, width, height } = this.box;
    this.axes.replaceChildren();
    const text = (axis, value) => (axis.format ?? String)(value).replace("-", "\u2212");
    for (const value of this.x.ticks) {
      const x = this.px(value);
      svgElement(this.axes, "path", { class: "mf-grid-line", d: `M${x} ${top}v${height}` });
      const at = { x, y: top + height + 17, "text-anchor": "middle" }; // below those of the other axis
      svgElement(this.axes, "text", { ...at, text: text(this.x, value) });
    }
    for (const value of this.y.ticks) {
      const y = this.py(value);
      svgElement(this.axes, "path", { class: "mf-grid-line", d: `M${left} ${y}h${width}` });
      const at = { x: left - 6, y: y + 4, "text-anchor": "end" };
      svgElement(this.axes, "text", { ...at, text: text(this.y, value) });
    }
    this.drawAxisLabels();
  }

  drawAxisLabels() {
    const { left, top, width, height } = this.box;
    const { x, y } = this;
    if (x.label) {
      const at = { x: left + width / 2, y: top + height + 31, "text-anchor": "middle" };
      svgElement(this.axes, "text", { ...at, text: x.label });
    }
    if (y.label) {
      const at = { transform: `translate(12 ${top + height / 2}) rotate(-90)` };
      svgElement(this.axes, "text", { ...at, "text-anchor": "middle", text: y.label });
    }
  }

  /** SVG path through data points; it stops where a value is not finite. */
  line(points) {
    const end = points.findIndex(([x, y]) => !Number.isFinite(x) || !Number.isFinite(y));
    const shown = end < 0 ? points : points.slice(0, end);
    return shown
      .map(([x, y], k) => `${k ? "L" : "M"}${this.px(x).toFixed(1)} ${this.py(y).toFixed(1)}`)
      .join("");
  }

  /**
   * Path of an arrow between two data points, its head `size` pixels long.
   * @param {Iterable<number>} from
   * @param {Iterable<number>} to
   */
  arrow([x0, y0], [x1, y1], size) {
    const [from, to] = [[this.px(x0), this.py(y0)], [this.px(x1), this.py(y1)]];
    const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
    const length = Math.hypot(dx, dy) || 1;
    const head = Math.min(size, length);
    const [ux, uy] = [(dx / length) * head, (dy / length) * head];
    const wing = (s) => `${to[0] - ux - s * uy * 0.5} ${to[1] - uy + s * ux * 0.5}`;
    return `M${from} L${to} M${wing(1)} L${to} L${wing(-1)}`;
  }
}

/**
 * A titled box with a plot in it.
 * @param {{title: string, note?: string, className?: string}} heading `note` is small, at the right
 * @returns {{box: HTMLElement, title: HTMLElement, note: HTMLElement, plot: Plot}}
 */
export function panel(parent, heading, options, onResize) {
  const { title, note = "", className = "" } = heading;
  const box = element(parent, "div", { class: `mf-panel ${className}`.trim() });
  const caption = element(box, "div", { class: "mf-caption" });
  const name = element(caption, "b", { text: title });
  const small = element(caption, "span", { class: "mf-mse", text: note });
  return { box, title: name, note: small, plot: new Plot(box, options, onResize) };
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/**
 * A point in a plot that moves by mouse, touch, pen and arrow keys (Shift: ten times as far).
 * @param {{onMove: (point: number[]) => void, onDelete?: () => void, step: number,
 *          label: string, tabbable?: boolean, className?: string}} options
 */
export function dragPoint(plot, options) {
  const { onMove, onDelete, step, label, tabbable = true, className = "" } = options;
  const node = svgElement(plot.over, "g", { class: `mf-drag ${className}`, ...JUPYTER_KEYS });
  svgElement(node, "circle", { class: "mf-hit", r: 14 });
  const mark = svgElement(node, "g", { class: "mf-mark" });
  for (const [k, v] of Object.entries(tabbable ? dragRole(label) : NO_STOP)) node.setAttribute(k, v);
  let at = [0, 0];
  node.addEventListener("keydown", (event) => {
    const way = ARROWS[event.key];
    const size = event.shiftKey ? 10 * step : step;
    if (way) onMove(plot.inside([at[0] + way[0] * size, at[1] + way[1] * size]));
    else if (onDelete && ["Delete", "Backspace"].includes(event.key)) onDelete();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  followPointer(plot, node, () => at, onMove);
  return {
    node,
    mark,
    place(point, text) {
      at = point;
      node.setAttribute("transform", `translate(${plot.px(at[0])} ${plot.py(at[1])})`);
      if (!tabbable) return;
      node.setAttribute("aria-valuenow", at[0].toFixed(2));
      node.setAttribute("aria-valuetext", text);
    },
  };
}

// For a twin of a point: a pointer moves it, the keyboard has the other one.
const NO_STOP = { tabindex: -1, "aria-hidden": "true" };

const dragRole = (label) => ({
  tabindex: 0,
  role: "slider",
  "aria-roledescription": "movable point",
  "aria-label": label,
});

function followPointer(plot, node, position, onMove) {
  let grip = null; // how far from the centre the point was taken hold of
  node.addEventListener("pointerdown", (event) => {
    const frame = plot.svg.getBoundingClientRect();
    const [x, y] = position();
    grip = [event.clientX - frame.left - plot.px(x), event.clientY - frame.top - plot.py(y)];
    node.setPointerCapture(event.pointerId);
    node.classList.add("mf-held");
  });
  node.addEventListener("pointermove", (event) => {
    if (grip) onMove(plot.pointOf(event, grip));
  });
  for (const end of ["pointerup", "pointercancel"]) {
    node.addEventListener(end, () => {
      grip = null;
      node.classList.remove("mf-held");
    });
  }
  // A finger on the point moves it, and not the page; `touch-action` has no say within a drawing.
  node.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
  node.addEventListener("click", (event) => event.stopPropagation());
}

/** The class that paints what has a role: "MAML++" -> "mf-role-maml-plus-plus"; see data/roles.json. */
export const role = (word) => `mf-role-${word.toLowerCase().replaceAll("+", "-plus")}`;

/** Moves labels apart vertically so that no two are closer than `gap`; the order is kept. */
export function spread(positions, gap, low, high) {
  const order = positions.map((y, k) => [y, k]).sort((p, q) => p[0] - q[0]);
  const placed = order.map(([y]) => Math.max(low, Math.min(high, y)));
  for (let k = 1; k < placed.length; k++) placed[k] = Math.max(placed[k], placed[k - 1] + gap);
  for (let k = placed.length - 1, top = high; k >= 0; k--, top -= gap) {
    placed[k] = Math.min(placed[k], top);
  }
  const result = [];
  order.forEach(([, index], k) => (result[index] = placed[k]));
  return result;
}

/** 0.01, 0.1, 1, 10, 100, 1k, 10k: powers of ten, short enough for an axis. */
export const shortPower = (value) => (value >= 1000 ? `${value / 1000}k` : String(value));

/** The powers of ten from 10^low to 10^high. */
export function decades(low, high) {
  return Array.from({ length: high - low + 1 }, (_, k) => 10 ** (low + k));
}
