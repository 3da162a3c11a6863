/**
 * Is it MAML: rows of answers, the path that they take through a tree, and the method at its end with
 * what the book measured of it. The tree is in `advice.js`; sentences and links come from
 * `__init__.py`.
 */
import { advice, forksPassed, OTHERWISE, QUESTIONS, RULES } from "./advice.js";
import { figure } from "../shared/lifecycle.js";
import { button, choice, element, panel, svgElement } from "../shared/ui.js";

const LABEL = "Is MAML for your problem: six questions, and the method that they lead to";
const ROW = 38; // pixels from one fork to the next
const BOX = 24;
const SHARE = 0.44; // of the width, for a box

/** What stands in the box of each result. */
const METHODS = {
  equations: "fit the equations",
  features: "nearest mean",
  scratch: "from scratch",
  "no gradient": "compare: ProtoNet",
  "few tasks": "fine-tune one net",
  far: "MAML or ANIL",
  compare: "compare: ProtoNet",
  joint: "fine-tune one net",
  start: "MAML or ANIL",
};

const OPTIONS = {
  label: "The tree: eight forks one below the other, the way out of each to its right. The path that the answers take is drawn strong.",
  role: "img",
  margin: [6, 8, 8, 8],
  height: () => ROW * (RULES.length + 1) + 14,
  x: { min: 0, max: 1, ticks: [] },
  y: { min: 0, max: RULES.length + 1, ticks: [] },
};

/** Where the answers are: by the name of each question. */
const answersOf = (state) => Object.fromEntries(QUESTIONS.map(({ trait }) => [trait, state.get(trait)]));

/** A box with a text, which is drawn strong where the path runs through it. */
class Box {
  constructor(parent, text, kind) {
    this.group = svgElement(parent, "g", { class: kind });
    this.frame = svgElement(this.group, "rect", { height: BOX, rx: kind === "mf-fork" ? 4 : 12 });
    this.text = svgElement(this.group, "text", { text, "text-anchor": "middle" });
  }

  place(x, y, width) {
    for (const [name, value] of Object.entries({ x, y: y - BOX / 2, width })) this.frame.setAttribute(name, value);
    this.text.setAttribute("x", x + width / 2);
    this.text.setAttribute("y", y + 4);
  }

  mark(taken) {
    this.group.classList.toggle("mf-taken", taken);
  }
}

/** The forks from top to bottom, a result to the right of each, and one more at the end. */
class Tree {
  constructor(parent, redraw) {
    const heading = { title: "The path of your answers", note: "right: yes; down: no" };
    this.plot = panel(parent, heading, OPTIONS, redraw).plot;
    const ends = [...RULES.map(({ result }) => result), OTHERWISE];
    this.edges = ends.map(() => ["mf-down", "mf-out"].map((kind) => svgElement(this.plot.over, "path", { class: kind })));
    this.forks = RULES.map(({ asks }) => new Box(this.plot.over, asks, "mf-fork"));
    this.ends = ends.map((name) => new Box(this.plot.over, METHODS[name], "mf-end"));
  }

  draw(left) {
    const { box } = this.plot;
    const width = Math.round(SHARE * box.width);
    const [middle, right] = [box.left + width / 2, box.left + box.width - width];
    this.ends.forEach((end, k) => {
      const y = box.top + (k + 0.5) * ROW;
      const isFork = k < this.forks.length;
      if (isFork) this.forks[k].place(box.left, y, width);
      end.place(right, y, width);
      const [down, out] = this.edges[k];
      down.setAttribute("d", k ? `M${middle} ${y - ROW + BOX / 2}V${isFork ? y - BOX / 2 : y}` : "");
      out.setAttribute("d", `M${isFork ? box.left + width : middle} ${y}H${right}`);
    });
    this.mark(left);
  }

  mark(left) {
    this.forks.forEach((fork, k) => fork.mark(k <= left));
    this.ends.forEach((end, k) => end.mark(k === left));
    this.edges.forEach(([down, out], k) => {
      down.classList.toggle("mf-taken", k <= left);
      out.classList.toggle("mf-taken", k === left);
    });
  }
}

function questions(parent, state, reset) {
  const column = element(parent, "div", { class: "mf-questions" });
  for (const { trait, label, options } of QUESTIONS) {
    choice(column, state, { trait, label, options: options.map((text) => [text, text]) });
  }
  button(element(column, "div", { class: "mf-buttons" }), "Reset", reset);
}

function build({ root, state, redraw, reset, status }) {
  const results = state.get("results");
  const grid = element(root, "div", { class: "mf-grid" });
  questions(grid, state, reset);
  const tree = new Tree(grid, redraw);
  const say = status().room(Object.values(results).map(({ sentence }) => sentence));
  const source = element(element(root, "p", { class: "mf-source" }), "a");
  const draw = () => {
    const answers = answersOf(state);
    const { sentence, href, link } = results[advice(answers)];
    tree.draw(forksPassed(answers));
    say(sentence);
    source.setAttribute("href", href);
    source.textContent = link;
  };
  return { draw, panels: [tree] };
}

export default figure({ name: "decision", label: LABEL, traits: QUESTIONS.map(({ trait }) => trait), build });
