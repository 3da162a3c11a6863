/**
 * What the adapters have in common. An adapter is named after the folder of maml_teach/widgets
 * that it tests and ends in a table of the functions that it offers. tests/node.py writes pairs of
 * function and arguments to standard input and reads the answers from standard output, in JSON.
 *
 * A reader turns an argument from JSON into what the function takes; any function of one argument
 * can be one.
 */
import { readFileSync } from "node:fs";
import * as maths from "../../maml_teach/widgets/shared/maths.js";
import * as ui from "../../maml_teach/widgets/shared/ui.js";

/**
 * Answers all cases by a table of functions. One that stands alone takes its arguments as JSON has
 * them; one in a list is followed by a reader for each argument.
 */
export function answer(functions) {
  const cases = JSON.parse(readFileSync(0, "utf8"));
  const answers = cases.map(([name, given]) => call(functions, name, given));
  process.stdout.write(JSON.stringify(answers, asArray));
}

function call(functions, name, given) {
  if (!Object.hasOwn(functions, name)) {
    throw new Error(`no ${name} here, only ${Object.keys(functions).join(", ")}`);
  }
  const [run, ...readers] = [functions[name]].flat();
  if (!readers.length) return run(...given);
  if (given.length !== readers.length) {
    throw new Error(`${name} has readers for ${readers.length} arguments, got ${given.length}`);
  }
  return run(...readers.map((read, k) => read(given[k])));
}

const asArray = (_, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);

// Readers.

export const plain = (value) => value;
export const floats = (numbers) => Float64Array.from(numbers);
export const rows = (lists) => lists.map(floats);
export const network = ({ sizes, activation }) => maths.network(sizes, activation);
export const task = (sets) => Object.fromEntries(Object.entries(sets).map(([name, set]) => [name, floats(set)]));
export const tasks = (all) => all.map(task);

/** Bytes as anywidget hands them over: a view that starts somewhere in its memory. */
export function bytes(base64) {
  const memory = Buffer.concat([Buffer.alloc(20), Buffer.from(base64, "base64")]);
  return new DataView(memory.buffer, memory.byteOffset + 20, memory.length - 20);
}

export const sent = (base64) => ui.floats(bytes(base64));

/** Traits, with bytes as base64, as the state that a figure reads. */
export const state = (traits) => ({
  get: (name) => (traits[name]?.base64 === undefined ? traits[name] : bytes(traits[name].base64)),
});

/** A stream of the given numbers. */
export const stream = (numbers) => () => {
  if (!numbers.length) throw new Error("the stream is at its end");
  return numbers.shift();
};

/** What a generator returns, whatever it yields on the way. */
export function finished(work) {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}
