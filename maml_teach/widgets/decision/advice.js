/**
 * The tree: six questions, and at each fork the answer that leads out of it. The same stands in
 * `__init__.py`.
 *
 * @typedef {{trait: string, label: string, options: string[]}} Question
 * @typedef {{trait: string, answer: string, asks: string, result: string}} Rule `asks` is what the
 *   fork is called in the picture
 */

/** @type {Question[]} */
export const QUESTIONS = [
  { trait: "equations", label: "equations of the system, up to a few numbers", options: ["known", "not known"] },
  { trait: "features", label: "good features, such as those of a pretrained encoder", options: ["at hand", "none yet"] },
  { trait: "examples", label: "examples of a new task", options: ["one to five", "tens", "hundreds"] },
  { trait: "compute", label: "computing on a new task", options: ["no gradient", "a few steps"] },
  { trait: "tasks", label: "tasks to train on", options: ["fewer than 20", "dozens to hundreds", "unlimited"] },
  { trait: "likeness", label: "new tasks, beside those of the training", options: ["of the same kind", "different in kind"] },
];

/** @type {Rule[]} */
export const RULES = [
  { trait: "equations", answer: "known", asks: "equations known?", result: "equations" },
  { trait: "features", answer: "at hand", asks: "good features?", result: "features" },
  { trait: "examples", answer: "hundreds", asks: "many examples?", result: "scratch" },
  { trait: "compute", answer: "no gradient", asks: "no gradient?", result: "no gradient" },
  { trait: "tasks", answer: "fewer than 20", asks: "under 20 tasks?", result: "few tasks" },
  { trait: "likeness", answer: "different in kind", asks: "new in kind?", result: "far" },
  { trait: "examples", answer: "one to five", asks: "few examples?", result: "compare" },
  { trait: "tasks", answer: "dozens to hundreds", asks: "tasks limited?", result: "joint" },
];
export const OTHERWISE = "start";

/** How many forks the answers pass before they leave the tree; at the end of it, all of them. */
export function forksPassed(answers) {
  const left = RULES.findIndex(({ trait, answer }) => answers[trait] === answer);
  return left < 0 ? RULES.length : left;
}

/** The result that the tree leads to. */
export const advice = (answers) => RULES[forksPassed(answers)]?.result ?? OTHERWISE;
