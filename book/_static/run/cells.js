/* The cells of the page, made editable, and their outputs. */
(() => {
  "use strict";

  /** @type {any} */
  const shared = window["runPage"];
  const { box, chapter } = shared;
  const status = box.querySelector("[role=status]");
  const mainButton = box.querySelector("button");
  const STOPPED = new Error("stopped");
  let python = null;
  let stopper = null;

  /** A new element with properties and children. */
  function make(tag, properties = {}, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  const link = make("link", { rel: "stylesheet", href: document.currentScript["src"].replace("cells.js", "cells.css") });
  document.head.append(link);

  // --- What can be run: a visible cell and the hidden ones that follow it -----------------------

  const isHidden = ({ tags }) => tags.includes("remove-cell") || tags.includes("remove-input");

  function makeSteps() {
    const steps = [{ number: 0, cells: [], ran: false }]; // hidden cells may come first
    for (const cell of chapter.cells) {
      const element = document.getElementById(cell.id);
      const at = { ...cell, element, hidden: isHidden(cell) || !element };
      if (cell.skipped) element?.append(make("p", { className: "run-note", textContent: "Not run: the figure is live without Python." }));
      else if (at.hidden) steps.at(-1).cells.push(at);
      else steps.push({ number: steps.length, cells: [at], ran: false });
    }
    return steps;
  }

  // --- Outputs ----------------------------------------------------------------------------------

  /** Where new outputs of a cell go; the stored ones wait, hidden, until they are restored. */
  function freshOutput(element) {
    restoreOutput(element);
    for (const stored of element.querySelectorAll(":scope > .cell_output")) stored.hidden = true;
    const output = make("div", { className: "cell_output docutils container run-output" });
    element.append(output);
    return output;
  }

  function restoreOutput(element) {
    element.querySelector(":scope > .run-output")?.remove();
    for (const stored of element.querySelectorAll(":scope > .cell_output")) stored.hidden = false;
  }

  function addText(output, kind, text) {
    const last = output.lastElementChild;
    if (last?.dataset.kind === kind) {
      last.querySelector("pre").append(text);
      return;
    }
    const className = `output ${kind === "text" ? "text_plain" : "stream"}`;
    const part = make("div", { className }, make("div", { className: "highlight" }, make("pre", { tabIndex: 0 }, text)));
    part.dataset.kind = kind;
    output.append(part);
  }

  /** A function that puts what a cell emits under it. */
  function shower(cell, output) {
    return (kind, data) => {
      if (kind === "error") output.append(make("pre", { className: "run-error", textContent: data }));
      else if (cell.tags.includes("remove-output") || cell.tags.includes("remove-cell")) return;
      else if (cell.tags.includes("remove-stderr") && kind === "stderr") return;
      else if (kind === "html" || kind === "image") {
        output.append(make("div", { className: "output", innerHTML: data, tabIndex: kind === "html" ? 0 : -1 }));
      } else addText(output, kind, data);
    };
  }

  // --- Editors ----------------------------------------------------------------------------------

  /** Enter keeps the indentation of its line, as far as the cursor. */
  function keepIndent(event) {
    if (event.key !== "Enter" || event.shiftKey || event.ctrlKey || event.metaKey) return;
    const { value, selectionStart } = event.target;
    const line = value.slice(value.lastIndexOf("\n", selectionStart - 1) + 1, selectionStart);
    const indent = line.match(/^ */)[0] + (line.trimEnd().endsWith(":") ? "    " : "");
    event.preventDefault();
    document.execCommand("insertText", false, `\n${indent}`);
  }

  function addEditor(step) {
    const [cell] = step.cells;
    const stored = cell.element.querySelector(":scope > .cell_input, :scope > details > .cell_input"); // not of a cell in its fold
    const fit = () => (step.code.rows = step.code.value.split("\n").length);
    const onkeydown = (event) => {
      if (event.key === "Enter" && event.shiftKey) {
        event.preventDefault();
        if (!step.run.disabled) runUpTo(step);
      } else keepIndent(event);
    };
    step.code = make("textarea", { value: cell.source, spellcheck: false, oninput: fit, onkeydown, className: "run-code" });
    step.code.setAttribute("aria-label", `Code of cell ${step.number}; Shift and Enter run it`);
    step.code.setAttribute("autocapitalize", "off");
    step.run = make("button", { type: "button", textContent: "Run", onclick: () => runUpTo(step) });
    step.state = make("span", { className: "run-state" });
    const restore = make("button", { type: "button", textContent: "Restore", onclick: () => restoreStep(step) });
    for (const [button, what] of [[step.run, "Run"], [restore, "Restore"]]) {
      button.setAttribute("aria-label", `${what} cell ${step.number}`);
    }
    for (const child of stored.children) child.hidden = true;
    const bar = make("div", { className: "run-bar" }, `Cell ${step.number}`, step.run, restore, step.state);
    stored.append(step.code, bar);
    fit();
  }

  function restoreStep(step) {
    step.code.value = step.cells[0].source;
    step.code.dispatchEvent(new Event("input"));
    step.state.textContent = "";
    for (const { element } of step.cells) if (element) restoreOutput(element);
  }

  // --- Running ----------------------------------------------------------------------------------

  let steps = null;

  function setBusy(busy) {
    for (const button of [mainButton, ...(steps ?? []).map((step) => step.run)]) {
      if (button) button.disabled = busy;
    }
    stopButton.hidden = !busy;
  }

  const stopButton = make("button", { type: "button", textContent: "Stop", hidden: true });
  stopButton.onclick = () => {
    stopper?.abort(STOPPED);
    python?.stop(STOPPED);
  };
  mainButton.after(" ", stopButton);

  async function runStep(step) {
    const began = performance.now();
    if (step.state) step.state.textContent = "running …";
    for (const cell of step.cells) {
      const element = cell.element ?? step.cells[0].element ?? box;
      const output = cell.element ? freshOutput(element) : element.querySelector(":scope > .run-output") ?? box;
      const source = cell.hidden ? cell.source : step.code.value;
      const name = cell.hidden ? "a hidden cell of this page" : `cell ${step.number}`;
      if (!(await python.run(source, name, shower(cell, output)))) {
        if (step.state) step.state.textContent = "failed";
        return false;
      }
    }
    const seconds = (performance.now() - began) / 1000;
    if (step.state) step.state.textContent = `ran in ${seconds.toFixed(seconds < 0.1 ? 3 : 1)} s`;
    return (step.ran = true);
  }

  /** Runs steps in order up to the first that fails; answers with a sentence. */
  async function runSteps(chosen) {
    const began = performance.now();
    for (const step of chosen) {
      if (step.number) status.textContent = `Running cell ${step.number} of ${steps.length - 1}.`;
      if (!(await runStep(step))) return `Cell ${step.number} failed; the cells after it were not run.`;
    }
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    return chosen.length === steps.length
      ? `All ${steps.length - 1} cells ran in ${seconds} s. Edit any of them, then press its Run button.`
      : `Cell ${chosen.at(-1).number} ran. Cells below it still show their earlier results.`;
  }

  const megabytes = (bytes) => (bytes / 1e6).toFixed(1);

  /** Loads the files, with a bar, and starts Python. */
  async function startPython() {
    const bar = make("progress", { max: 1, value: 0 });
    bar.setAttribute("aria-label", "Loading Python");
    const amount = make("span", { className: "run-amount" });
    const progress = make("p", { className: "run-progress" }, bar, amount);
    status.textContent = "Loading Python.";
    status.after(progress);
    try {
      const show = (loaded, total) => {
        bar.value = loaded / total;
        amount.textContent = ` ${megabytes(loaded)} of ${megabytes(total)} MB`;
      };
      const files = await shared.getFiles(chapter.files, show, stopper.signal);
      status.textContent = "Starting Python.";
      python = shared.startPython(files, chapter, shared);
      await python.ready;
    } catch (error) {
      python?.stop(error);
      python = null;
      throw error;
    } finally {
      progress.remove();
    }
  }

  /** Runs the steps that `choose` picks, and starts Python first where it is not running. */
  async function perform(choose) {
    stopper = new AbortController();
    setBusy(true);
    try {
      if (!python) await startPython();
      if (!steps) {
        steps = makeSteps();
        steps.slice(1).forEach(addEditor);
        mainButton.textContent = "Run all cells";
        box.querySelector("span").textContent = "Python runs in this page, and every cell can be edited. In a cell, Shift and Enter run it.";
        setBusy(true);
      }
      status.textContent = await runSteps(choose(steps));
    } catch (error) {
      if (!python && error !== STOPPED) throw error;
      forget(error === STOPPED ? "Stopped" : `Python ended (${error.message})`);
    } finally {
      setBusy(false);
    }
  }

  /** After a stop or a crash nothing of Python is left. */
  function forget(reason) {
    python?.stop(STOPPED);
    python = null;
    for (const step of steps ?? []) {
      step.ran = false;
      if (step.state?.textContent === "running …") step.state.textContent = "stopped";
    }
    status.textContent = `${reason}. All variables are gone; the next run starts Python again.`;
  }

  /** One cell, after those above it that have not run yet. */
  async function runUpTo(step) {
    try {
      await perform((all) => all.filter((each) => each === step || (each.number < step.number && !each.ran)));
    } catch (error) {
      status.textContent = `Python could not be started: ${error.message}.`;
    }
  }

  shared.start = () => perform((all) => all);
})();
