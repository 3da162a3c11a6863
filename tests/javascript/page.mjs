/**
 * A page without a browser, just enough of one to show a figure whole: elements, events, frames and
 * timers by a clock of its own. tests/page.py writes a line for each figure: its folder, its traits
 * and a script, a list of verbs with their arguments; it reads a line with what the verbs answer.
 */
import { readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { bytes } from "./harness.mjs";

const WIDTH = 340; // of every box, in pixels
const TICK = 4; // milliseconds

class Classes {
  constructor(node) {
    this.node = node;
  }
  all() {
    return (this.node.attributes.class ?? "").split(" ").filter(Boolean);
  }
  contains(name) {
    return this.all().includes(name);
  }
  toggle(name, on = !this.contains(name)) {
    const rest = this.all().filter((each) => each !== name);
    this.node.attributes.class = [...rest, ...(on ? [name] : [])].join(" ");
  }
  add(name) {
    this.toggle(name, true);
  }
  remove(name) {
    this.toggle(name, false);
  }
}

class Element {
  constructor(tag) {
    Object.assign(this, { tag, attributes: {}, nodes: [], parentNode: null, listeners: [], clientWidth: WIDTH });
    this.classList = new Classes(this);
  }
  get value() {
    return this.attributes.value ?? "";
  }
  set value(value) {
    this.attributes.value = String(value);
  }
  get children() {
    return this.nodes.filter((node) => node instanceof Element);
  }
  get lastChild() {
    return this.nodes.at(-1);
  }
  get textContent() {
    return this.nodes.map((node) => node.textContent ?? node).join("");
  }
  set textContent(text) {
    this.replaceChildren(...(text === "" ? [] : [String(text)]));
  }
  setAttribute(name, value) {
    this.attributes[name] = String(value);
  }
  getAttribute(name) {
    return this.attributes[name] ?? null;
  }
  append(...nodes) {
    for (const node of nodes) {
      if (!(node instanceof Element)) continue;
      node.remove();
      node.parentNode = this;
    }
    this.nodes.push(...nodes);
  }
  remove() {
    if (this.parentNode) this.parentNode.nodes = this.parentNode.nodes.filter((node) => node !== this);
    this.parentNode = null;
  }
  replaceChildren(...nodes) {
    for (const child of this.children) child.parentNode = null;
    this.nodes = [];
    this.append(...nodes);
  }
  addEventListener(type, react) {
    this.listeners.push([type, react]);
  }
  getBoundingClientRect() {
    return { left: 0, top: 0, width: WIDTH, height: WIDTH };
  }
  getComputedTextLength() {
    return 7 * this.textContent.length;
  }
  setPointerCapture() {}
  matches() {
    return true; // the one state that is asked for: where the keyboard is
  }
  /** A canvas keeps how dark each pixel is, and what was filled on top. */
  getContext() {
    const createImageData = (width, height) => ({ data: new Uint8ClampedArray(4 * width * height) });
    const putImageData = ({ data }) => {
      this.setAttribute("painted", data.filter((_, k) => k % 4 === 3));
      this.setAttribute("filled", "");
    };
    const fillRect = (...box) => this.setAttribute("filled", `${this.getAttribute("filled")}${box};`);
    return { createImageData, putImageData, fillRect };
  }
  /** Calls the listeners here and above, as a browser does, until one of them stops it. */
  dispatch(type, given = {}) {
    let stopped = false;
    const event = { type, detail: 1, preventDefault() {}, stopPropagation: () => (stopped = true), ...given };
    for (let node = this; node && !stopped; node = node.parentNode) {
      for (const [name, react] of node.listeners) if (name === type) react(event);
    }
  }
  all() {
    return this.children.flatMap((child) => [child, ...child.all()]);
  }
  /** Words such as `g.mf-task-0`, `[role=status]` or `.mf-panel path`. */
  querySelectorAll(selector) {
    const [last, ...above] = selector.split(" ").reverse();
    return this.all().filter((node) => fits(node, last) && within(node.parentNode, above));
  }
  querySelector(selector) {
    return this.querySelectorAll(selector)[0] ?? null;
  }
}

function fits(node, word) {
  const [, tag, rest] = word.match(/^([\w]*)(.*)$/);
  const classes = [...rest.matchAll(/\.([\w-]+)/g)].every(([, name]) => node.classList.contains(name));
  const attributes = [...rest.matchAll(/\[([\w-]+)=([^\]]*)\]/g)];
  return (!tag || node.tag === tag) && classes && attributes.every(([, name, value]) => node.attributes[name] === value);
}

function within(node, words) {
  if (!words.length) return true;
  if (!node) return false;
  return within(node.parentNode, fits(node, words[0]) ? words.slice(1) : words);
}

/** Time that passes only when it is told to, and by TICK at each look at the clock. */
class Time {
  constructor() {
    Object.assign(this, { now: 0, waiting: new Map(), count: 0 });
    const after = (run, wait = 0, again = 0) => {
      this.waiting.set(++this.count, { run, at: this.now + wait, again });
      return this.count;
    };
    const forget = (id) => this.waiting.delete(id);
    const frame = (run) => after(run, 16);
    const every = (run, wait) => after(run, wait, wait);
    Object.assign(globalThis, { requestAnimationFrame: frame, setTimeout: after, setInterval: every });
    Object.assign(globalThis, { cancelAnimationFrame: forget, clearTimeout: forget, clearInterval: forget });
    globalThis.queueMicrotask = (run) => void after(run);
    performance.now = () => (this.now += TICK);
  }

  /** Lets happen, in order, all that is due within so many milliseconds. */
  pass(milliseconds) {
    const end = this.now + milliseconds;
    for (;;) {
      const due = [...this.waiting].filter(([, { at }]) => at <= end);
      if (!due.length) break;
      const [id, job] = due.reduce((first, one) => (one[1].at < first[1].at ? one : first));
      this.now = Math.max(this.now, job.at);
      if (job.again) job.at += job.again;
      else this.waiting.delete(id);
      job.run();
    }
    this.now = Math.max(this.now, end);
  }
}

/** Anywidget's side of a figure; bytes come as base64. */
class Model {
  constructor(traits) {
    const read = (value) => (value?.base64 === undefined ? value : bytes(value.base64));
    this.listeners = [];
    this.values = Object.fromEntries(Object.entries(traits).map(([name, value]) => [name, read(value)]));
  }
  get(name) {
    return this.values[name];
  }
  set(name, value) {
    if (this.values[name] === value) return;
    this.values[name] = value;
    for (const [event, react] of [...this.listeners]) if (event === `change:${name}`) react();
  }
  save_changes() {}
  on(event, react) {
    this.listeners.push([event, react]);
  }
  off(event, react) {
    this.listeners = this.listeners.filter(([name, each]) => name !== event || each !== react);
  }
}

/** Runs its program at once, and hears and says everything a moment later. */
class Worker {
  constructor(program) {
    this.jobs = new Set();
    const after = (run, wait) => {
      const id = setTimeout(run, wait);
      this.jobs.add(id);
      return id;
    };
    const tell = (data) => this.onmessage({ data: structuredClone(data) });
    this.scope = { postMessage: (data) => after(() => tell(data)) };
    this.hear = (data) => after(() => this.scope.onmessage({ data: structuredClone(data) }));
    new Function("self", "setTimeout", program)(this.scope, after);
    workers.push(this);
  }
  postMessage(data) {
    this.hear(data);
  }
  terminate() {
    this.ended = true;
    this.jobs.forEach(clearTimeout);
  }
}

const workers = [];
const observers = [];
const make = (tag) => new Element(tag);
globalThis.window = globalThis;
globalThis.document = { createElement: make, createElementNS: (_, tag) => make(tag), activeElement: null };
globalThis.ResizeObserver = class {
  constructor(react) {
    this.react = react;
  }
  observe() {
    observers.push(this);
  }
  disconnect() {
    observers.splice(observers.indexOf(this), 1);
  }
};
Object.assign(globalThis, { Worker, Blob: class { constructor(parts) { this.text = parts.join(""); } } });
URL.createObjectURL = ({ text }) => text;
URL.revokeObjectURL = () => {};

const PROPERTIES = ["value", "checked", "disabled", "title", "step", "hidden", "size"];
const property = (node, name) => {
  if (name === "text") return node.textContent;
  return (PROPERTIES.includes(name) ? node[name] : null) ?? node.getAttribute(name);
};

/** What a script can do and ask; each answers something or nothing. */
function verbsFor({ root, model, time, leave }) {
  const nodes = (selector) => root.querySelectorAll(selector);
  const nth = (selector, k) => {
    const node = nodes(selector)[k];
    if (!node) throw new Error(`no ${selector} number ${k}`);
    return node;
  };
  return {
    read: (selector, name = "text") => nodes(selector).map((node) => property(node, name)),
    traits: (...names) => names.map((name) => model.get(name)),
    set: (traits) => void Object.entries(traits).forEach(([name, value]) => model.set(name, value)),
    wait: (milliseconds) => time.pass(milliseconds),
    press(text) {
      const found = nodes("button").find((node) => node.textContent.startsWith(text));
      if (!found) throw new Error(`no button ${text}`);
      found.dispatch("click");
    },
    event: (selector, k, type, given) => nth(selector, k).dispatch(type, given),
    type(selector, k, text) {
      document.activeElement = nth(selector, k);
      document.activeElement.value = text;
      document.activeElement.dispatch("input");
    },
    slide(selector, k, value) {
      nth(selector, k).value = String(value);
      nth(selector, k).dispatch("input");
    },
    choose(selector, k, value) {
      nth(selector, k).value = value;
      nth(selector, k).dispatch("change");
    },
    check(selector, k, checked) {
      nth(selector, k).checked = checked;
      nth(selector, k).dispatch("change");
    },
    width: (width) => observers.forEach(({ react }) => react([{ contentRect: { width } }])),
    still: (matches) => void (globalThis.matchMedia = () => ({ matches })),
    leave,
    left: () => [time.waiting.size, model.listeners.length, observers.length, root.children.length],
    workers: () => workers.map(({ ended = false }) => ended),
  };
}

function play({ default: figure }, traits, script) {
  const [time, model, root] = [new Time(), new Model(traits), new Element("main")];
  observers.length = workers.length = 0;
  document.activeElement = null;
  const leave = figure.render({ model, el: root });
  const verbs = verbsFor({ root, model, time, leave });
  verbs.still(false);
  time.pass(0);
  const answers = [];
  for (const [verb, ...given] of script) {
    const answer = verbs[verb](...given);
    time.pass(0);
    if (answer !== undefined) answers.push(answer);
  }
  return answers;
}

/** The file of a figure's folder that draws it. */
function drawingOf(name) {
  const folder = new URL(`../../maml_teach/widgets/${name}/`, import.meta.url);
  const files = readdirSync(folder).filter((file) => file.endsWith(".js"));
  return new URL(files.find((file) => readFileSync(new URL(file, folder), "utf8").includes("export default")), folder);
}

for await (const line of createInterface({ input: process.stdin })) {
  const [name, traits, script] = JSON.parse(line);
  const module = await import(drawingOf(name));
  process.stdout.write(`${JSON.stringify(play(module, traits, script))}\n`);
}
