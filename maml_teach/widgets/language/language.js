/**
 * Which language? Five languages with a few words each, and a text whose language is asked. The
 * network adapts to the words in the page. Constants and settings come from `__init__.py`.
 *
 * @typedef {{title: string, samples: string[], asked: string[]}} Language
 * @typedef {{way: number, text: string, right: boolean}} Chip a text, and whether the network as the
 *   figure first shows it places it rightly
 */
import { figure } from "../shared/lifecycle.js";
import { network, predict } from "../shared/maths.js";
import { features, halves, innerStep, nearestCentroid, readWords, softmax, stacked } from "./ngrams.js";
import { inSlices } from "../shared/slices.js";
import { atTheirEnds, beyondTraining, button, element, harmed, slider } from "../shared/ui.js";
import { svgElement, uniqueId, withTraining } from "../shared/ui.js";

const WAYS = 5;
const MOST_SHOTS = 5;
const RANGES = [
  { trait: "n_inner_steps", label: "inner steps", min: 0, max: 10, step: 1, digits: 0 },
  { trait: "n_shots", label: "samples each", min: 1, max: MOST_SHOTS, step: 1, digits: 0 },
];
const LABEL = "Which language? Five languages, a few words of each, and a text to place";
const TRAITS = ["n_inner_steps", "n_shots", "seed", "example", "typed", "support"];
const EXAMPLE_ORDER = [1, 3, 4, 2, 0];
const NONE = Array(WAYS * MOST_SHOTS).fill(null);
const TYPING = { "data-lm-suppress-shortcuts": "true", autocomplete: "off", autocapitalize: "none", spellcheck: "false" };
const BARS = [
  { name: "before", y: 13 },
  { name: "after", y: 33 },
];

/** @returns {Language[]} the five languages shown now */
const languagesOf = (state) => state.get("sets")[state.get("seed") % state.get("sets").length];

/** @returns {Chip[]} the texts that are ready for them */
const chipsOf = (state) => state.get("chips")[state.get("seed") % state.get("chips").length];

/** Which language the example is in, and which of its texts it is. */
export function exampleOf(state) {
  const number = state.get("example");
  const way = EXAMPLE_ORDER[number % WAYS];
  const { asked } = languagesOf(state)[way];
  return { way, text: asked[Math.floor(number / WAYS) % asked.length] };
}

/** The text of one support sample: the reader's, or the book's. */
export const sampleText = (state, way, shot) =>
  state.get("support")[way * MOST_SHOTS + shot] ?? languagesOf(state)[way].samples[shot];

/** Support set and query as texts, and what is wrong with the first that cannot be read. */
export function readAll(state) {
  const [nShots, languages] = [state.get("n_shots"), languagesOf(state)];
  const asked = state.get("typed") ?? exampleOf(state).text;
  const [support, labels, problems] = [[], [], []];
  for (let way = 0; way < WAYS; way++) {
    for (let shot = 0; shot < nShots; shot++) {
      const text = sampleText(state, way, shot);
      const { message } = readWords(text);
      if (message) problems.push({ way, shot, text: `${languages[way].title}, sample ${shot + 1}: ${message}.` });
      support.push(text);
      labels.push(way);
    }
  }
  return { support, labels, asked, problems, askedProblem: readWords(asked).message };
}

/** Feature vectors, each computed once. */
export function remembered() {
  const known = new Map();
  return (text) => {
    if (!known.has(text)) known.set(text, features(text));
    return known.get(text);
  };
}

/**
 * theta after 0, 1, ... steps on a support set; a path is walked as far as it is asked for, and
 * yields before every step, so that the page can repaint.
 */
export function innerLoop(net, theta, alpha, vectorOf) {
  let [key, x, path] = ["", new Float64Array(), [theta]];
  return function* (support, labels, nSteps) {
    const now = JSON.stringify(support);
    if (now !== key) [key, x, path] = [now, stacked(support.map(vectorOf)), [theta]];
    while (path.length <= nSteps) {
      yield;
      path.push(innerStep(net, path.at(-1), x, labels, alpha));
    }
    return { x, thetaPrime: path[nSteps] };
  };
}

const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
export const percent = (share) => `${Math.round(100 * share)}%`;

/** The read-out: what the network says, and whether it is right. */
export function describe(state, { before, after, centroid }) {
  const languages = languagesOf(state);
  const best = after.indexOf(Math.max(...after));
  const steps = plural(state.get("n_inner_steps"), "inner step");
  const data = `${plural(state.get("n_shots"), "sample")} of each language`;
  const way = truthOf(state);
  const truth = way === null ? "" : ` It is ${languages[way].title}.${verdict(languages[way].title, before[way], after[way])}`;
  return (
    `After ${steps} on ${data} the network says ${languages[best].title}: ${percent(after[best])}, ` +
    `against ${percent(before[best])} before. The nearest mean of n-grams says ${languages[centroid].title}.${truth}${beyondTraining(state, RANGES)}`
  );
}

/** Which language the text is in, where that is known: of an example, and of a ready sentence. */
export function truthOf(state) {
  const typed = state.get("typed");
  if (typed === null) return exampleOf(state).way;
  return chipsOf(state).find(({ text }) => text === typed)?.way ?? null;
}

/** What adapting did to the chance of the right language, where that is harm. */
function verdict(title, ...chances) {
  const [was, is] = chances.map((chance) => Math.round(100 * chance));
  return harmed(-was, -is, 0, `: ${title} had ${was}% before and has ${is}% now`);
}

/** Two bars under their percentages: how likely a language is before and after adapting. */
class Bars {
  constructor(parent) {
    this.svg = svgElement(parent, "svg", { width: "100%", height: 40, "aria-hidden": "true" });
    this.rows = BARS.map(({ name, y }, k) => {
      const group = svgElement(this.svg, "g", { class: `mf-role-${k === 0 ? "before" : "maml"}` });
      svgElement(group, "rect", { class: "mf-trough", x: 0, y, width: "100%", height: 6, rx: 3 });
      const bar = svgElement(group, "rect", { class: `mf-bar-${name}`, x: 0, y, height: 6, rx: 3 });
      return { bar, text: svgElement(group, "text", { x: 0, y: y - 3, class: "mf-bar-text" }) };
    });
  }

  draw(values) {
    this.rows.forEach(({ bar, text }, k) => {
      bar.setAttribute("width", `${100 * (values?.[k] ?? 0)}%`);
      text.textContent = values ? `${BARS[k].name} ${percent(values[k])}` : "";
    });
  }
}

/** One language: its name, its bars, and its support samples as fields. */
class LanguageRow {
  constructor(parent, way, state) {
    this.box = element(parent, "div", { class: "mf-language-row", role: "group" });
    const left = element(this.box, "div");
    this.title = element(left, "b");
    this.bars = new Bars(left);
    const chips = element(this.box, "div", { class: "mf-chips" });
    this.fields = Array.from({ length: MOST_SHOTS }, (_, shot) => {
      const field = element(chips, "input", { type: "text", class: "mf-chip", ...TYPING });
      field.addEventListener("input", () => {
        const texts = [...state.get("support")];
        texts[way * MOST_SHOTS + shot] = field.value;
        state.set({ support: texts });
      });
      return field;
    });
    this.way = way;
    this.state = state;
  }

  /** Texts and labels of the fields; `wrong` are the shots that cannot be read. */
  show(wrong) {
    const { title } = languagesOf(this.state)[this.way];
    this.title.textContent = title;
    this.box.setAttribute("aria-label", title);
    this.fields.forEach((field, shot) => {
      const text = sampleText(this.state, this.way, shot);
      field.hidden = shot >= this.state.get("n_shots");
      if (field.value !== text) field.value = text;
      field.size = Math.max(8, Math.min(44, text.length));
      field.setAttribute("aria-label", `${title}, sample ${shot + 1}`);
      field.setAttribute("aria-invalid", String(wrong.includes(shot)));
    });
  }
}

/** The field for the text that is asked about. */
function askedField(parent, state) {
  const [id, row] = [uniqueId("asked"), element(parent, "div", { class: "mf-asked-text" })];
  element(row, "label", { for: id, text: "Which language is this?" });
  const field = element(row, "input", { type: "text", id, ...TYPING });
  field.addEventListener("input", () => state.set({ typed: field.value }));
  return field;
}

const TRY = "Try a sentence, named after what the network makes of it at the first settings:";

/** Buttons that put a ready sentence into the field; what they say is true of the first settings. */
function chipRow(parent, state) {
  const row = element(parent, "div", { class: "mf-buttons", role: "group", "aria-label": "Sentences to try" });
  const show = () => {
    row.replaceChildren();
    if (chipsOf(state).length) element(row, "span", { text: TRY });
    chipsOf(state).forEach(({ way, text, right }) => {
      const name = right ? languagesOf(state)[way].title : "one it gets wrong";
      button(row, name, () => state.set({ typed: text }), { class: "mf-try", title: text });
    });
  };
  state.on(["seed"], show);
  show();
}

/** The five rows: which samples there are, and how likely each language is. */
class Board {
  constructor(parent, state) {
    const box = element(parent, "div", { class: "mf-rows" });
    this.rows = Array.from({ length: WAYS }, (_, way) => new LanguageRow(box, way, state));
  }

  show(problems) {
    this.rows.forEach((row, way) =>
      row.show(problems.filter((one) => one.way === way).map(({ shot }) => shot)),
    );
  }

  /** @param {{before: Float64Array, after: Float64Array}} [chances] none while a text cannot be read */
  judge(chances) {
    const best = chances ? chances.after.indexOf(Math.max(...chances.after)) : -1;
    this.rows.forEach(({ box, bars }, way) => {
      bars.draw(chances && [chances.before[way], chances.after[way]]);
      box.classList.toggle("mf-likely", way === best);
    });
  }
}

/** The longest that the read-out can become, for each language. */
function longestWords(state) {
  const most = atTheirEnds(state, RANGES);
  return state.get("sets").flatMap((_, seed) =>
    EXAMPLE_ORDER.map((way, example) => {
      const given = { typed: null, seed, example };
      const sure = (one) => Float64Array.from({ length: WAYS }, (_, k) => Number(k === one % WAYS));
      const said = { before: sure(way), after: sure(way + 1), centroid: way };
      return describe({ get: (trait) => (trait in given ? given[trait] : most.get(trait)) }, said);
    }),
  );
}

function lead(root, state, reset) {
  const controls = element(root, "div", { class: "mf-lead mf-controls" });
  withTraining(RANGES, state).forEach((range) => slider(controls, state, range));
  const field = askedField(root, state);
  chipRow(root, state);
  const buttons = element(root, "div", { class: "mf-buttons" });
  button(buttons, "Another example", () => state.set({ typed: null, example: state.get("example") + 1 }));
  button(buttons, "Other languages", () =>
    state.set({ seed: state.get("seed") + 1, example: 0, typed: null, support: NONE }),
  );
  button(buttons, "Reset", reset);
  return field;
}

/** What is wrong with a text that cannot be read, in a sentence. */
export function complaint({ problems, askedProblem }) {
  if (problems.length) return problems[0].text;
  return `The text to place: ${askedProblem}. Type a word or two in Latin letters.`;
}

/** Adapts to the samples and judges the text, in steps between which the page can repaint. */
export function judgement(state) {
  const [net, theta] = [network(state.get("sizes"), "tanh"), halves(state.get("theta"))];
  const vectorOf = remembered();
  const adapted = innerLoop(net, theta, state.get("alpha"), vectorOf);
  return function* ({ support, labels, asked }) {
    const query = vectorOf(asked);
    const { x, thetaPrime } = yield* adapted(support, labels, state.get("n_inner_steps"));
    const [before, after] = [theta, thetaPrime].map((one) => softmax(predict(net, one, query), WAYS));
    return { before, after, centroid: nearestCentroid(x, labels, query) };
  };
}

function build({ root, state, reset, status }) {
  const field = lead(root, state, reset);
  const say = status().room(longestWords(state));
  const board = new Board(root, state);
  const judge = judgement(state);
  const work = inSlices(() => {});
  function* answer(texts) {
    const said = yield* judge(texts);
    board.judge(said);
    say(describe(state, said));
  }
  const draw = () => {
    const texts = readAll(state);
    const { asked, problems, askedProblem } = texts;
    if (field.value !== asked) field.value = asked;
    field.setAttribute("aria-invalid", String(Boolean(askedProblem)));
    board.show(problems);
    if (!problems.length && !askedProblem) return work.start(answer(texts));
    work.stop();
    board.judge();
    say(complaint(texts));
  };
  return { draw, stop: work.stop };
}

export default figure({ name: "language", label: LABEL, traits: TRAITS, build });
