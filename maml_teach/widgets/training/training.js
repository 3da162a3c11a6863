/**
 * Train it here: meta-training of the paper's sinusoid network in the reader's own browser, two
 * runs side by side. A worker trains; the page only draws. The worker's program is this very
 * module: it is loaded a second time, from its own text, and told to `serve`.
 */
import { figure } from "../shared/lifecycle.js";
import { fomamlGradient, innerPath, loss, mamlGradient, mse, network } from "../shared/maths.js";
import { predict, reptileGradient, uniforms } from "../shared/maths.js";
import { button, choice, decades, element, format, formatLoss, lineNames, panel } from "../shared/ui.js";
import { role, shortPower, slider, svgElement } from "../shared/ui.js";
import { compiledStep, isCompiled } from "./meta_step.js";

const NAMES = [
  ["truth", "held-out curve"],
  ["before", "model before adapting"],
  ["first", "after 1 step"],
  ["after", "after K steps"],
  ["raw", "meta-loss"],
  ["curve", "its running mean"],
];
const NET = network([1, 40, 40, 1], "relu");
const [N_TASKS, N_POINTS] = [25, 10]; // a meta-batch; support points, and as many query points
const GRADIENTS = { MAML: mamlGradient, FOMAML: fomamlGradient, Reptile: reptileGradient };
const LOST = 1e4; // a loss beyond this will not come back; targets never exceed 5
// Milliseconds a worker trains between looks at its messages, and rests when a slider has moved.
// A look takes a browser about four milliseconds, and a burst is still shorter than a frame.
const [BURST, REST] = [12, 200];
const LABEL = "Train it here: two meta-trainings side by side";
const RUNS = ["a", "b"];
/** A run is painted in its algorithm's colour; run B is dashed, for two runs of one algorithm. */
const looks = (run, algorithm) => `mf-run-${run}${algorithm && ` ${role(algorithm)}`}`;
const SETTINGS = ["algorithm", "alpha", "beta", "n_inner_steps"];
const SHARED = ["seed", "held_out", "together"];
const TRAITS = [...RUNS.flatMap((run) => SETTINGS.map((name) => `${name}_${run}`)), ...SHARED];
const RANGES = [
  { trait: "alpha", label: "inner rate α", min: 0.001, max: 0.1, step: 0.001, log: true, digits: 3 },
  { trait: "beta", label: "outer rate β", min: 0.0001, max: 0.1, step: 0.0001, log: true, digits: 4 },
  { trait: "n_inner_steps", label: "inner steps K", min: 1, max: 10, step: 1, digits: 0 },
];
const SHARED_RANGES = [
  { trait: "held_out", label: "held-out task", min: 1, max: 20, step: 1, digits: 0 },
  { trait: "seed", label: "seed", min: 0, max: 50, step: 1, digits: 0 },
];
const TOGETHER = {
  trait: "together",
  label: "compare after equal",
  options: [
    ["steps", "steps"],
    ["seconds", "seconds"],
  ],
};

/* Training: what the worker does. */

/** Weights and biases uniform within 1/sqrt(n_in), layer by layer, as torch's Linear starts. */
export function firstTheta(seed) {
  const next = uniforms(seed);
  const theta = new Float64Array(NET.nParams);
  for (const { nIn, nOut, w, b } of NET.layers) {
    const bound = 1 / Math.sqrt(nIn);
    for (let k = w; k < b + nOut; k++) theta[k] = bound * (2 * next() - 1);
  }
  return theta;
}

/** A task of the paper: amplitude 0.1 to 5, phase 0 to pi, points with x from -5 to 5. */
export function sampleTask(next) {
  const [amplitude, phase] = [0.1 + 4.9 * next(), Math.PI * next()];
  const curve = (x) => amplitude * Math.sin(x - phase);
  const points = () => Float64Array.from({ length: N_POINTS }, () => 10 * next() - 5);
  const [xSupport, xQuery] = [points(), points()];
  return { curve, xSupport, ySupport: xSupport.map(curve), xQuery, yQuery: xQuery.map(curve) };
}

/** A run before its first step; the same seed gives the same start and the same tasks. */
export function newRun(seed) {
  const zeros = () => new Float64Array(NET.nParams);
  return { theta: firstTheta(seed), m: zeros(), v: zeros(), nSteps: 0, lost: "" };
}

/** One step of Adam with its default decay rates: Kingma and Ba (2015), Algorithm 1. */
export function adam({ theta, m, v, nSteps }, gradient, beta) {
  const [c1, c2] = [1 - 0.9 ** (nSteps + 1), 1 - 0.999 ** (nSteps + 1)];
  const next = { theta: Float64Array.from(theta), m: Float64Array.from(m), v: Float64Array.from(v) };
  for (let k = 0; k < theta.length; k++) {
    next.m[k] = 0.9 * m[k] + 0.1 * gradient[k];
    next.v[k] = 0.999 * v[k] + 0.001 * gradient[k] ** 2;
    next.theta[k] -= (beta * (next.m[k] / c1)) / (Math.sqrt(next.v[k] / c2) + 1e-8);
  }
  return { ...next, nSteps: nSteps + 1 };
}

/** The rate to blame: without adapting the network may still be sound, or not. */
function blame(theta, tasks) {
  const before = tasks.reduce((sum, t) => sum + loss(NET, theta, t.xQuery, t.yQuery), 0) / tasks.length;
  return before < LOST ? "the inner rate α is too large" : "the outer rate β is too large";
}

/** What compiledStep answers, by the functions of all figures, for wherever nothing is compiled. */
function plainStep(run, tasks, settings) {
  const { algorithm, alpha, beta, n_inner_steps: nInnerSteps } = settings;
  const { metaLoss, gradient } = GRADIENTS[algorithm](NET, run.theta, tasks, { alpha, nInnerSteps });
  return { metaLoss, next: adam(run, gradient, beta) };
}

/**
 * One outer step on a batch: the run after it and the meta-loss before it.
 * @param {Record<string, any>} settings
 */
export function metaStep(run, tasks, settings) {
  const step = isCompiled(tasks) ? compiledStep : plainStep;
  const { metaLoss, next } = step(run, tasks, settings);
  if (!(metaLoss < LOST)) return { metaLoss, run: { ...run, lost: blame(run.theta, tasks) } };
  return { metaLoss, run: { ...next, lost: "" } };
}

/** The tasks of one outer step, from one stream: both runs see the same ones. */
export const sampleBatch = (next) => Array.from({ length: N_TASKS }, () => sampleTask(next));

/** One run, the tasks it has yet to see, and the news of it since the last report. */
class Trainer {
  constructor() {
    this.run = /** @type {any} */ (null);
    this.stream = /** @type {any} */ (null);
    this.settings = /** @type {any} */ (null);
    this.limit = Infinity; // the outer step to stop at
    this.news = { losses: [], milliseconds: 0 };
  }

  begin(seed) {
    this.run = newRun(seed);
    this.stream = uniforms(seed + 1000);
  }

  isDone() {
    return Boolean(this.run.lost) || this.run.nSteps >= this.limit;
  }

  /** As many steps as fit into the time, but at least one. */
  train(milliseconds) {
    const start = performance.now();
    do {
      const done = metaStep(this.run, sampleBatch(this.stream), this.settings);
      this.run = done.run;
      if (!this.run.lost) this.news.losses.push(done.metaLoss);
    } while (!this.isDone() && performance.now() - start < milliseconds);
    this.news.milliseconds += performance.now() - start;
  }

  report() {
    const { theta, nSteps, lost } = this.run;
    const report = { theta, nSteps, lost, ...this.news };
    this.news = { losses: [], milliseconds: 0 };
    return report;
  }
}

/** Calls `burst` again and again while it answers true; messages come in between, and rests. */
function repeating(burst) {
  let [on, next, restsUntil] = [false, 0, 0];
  const goOn = () => turn(burst());
  const turn = (value) => {
    on = value;
    clearTimeout(next);
    if (on) next = setTimeout(goOn, Math.max(0, restsUntil - performance.now()));
  };
  const rest = (milliseconds) => {
    restsUntil = performance.now() + milliseconds;
    turn(on);
  };
  return { rest, turn, isOn: () => on };
}

/**
 * In a worker, for one run: trains in short bursts. Started, it reports about ten times a second;
 * sent up to a step, it reports once it is there.
 */
export function serve(scope) {
  const trainer = new Trainer();
  const report = () => scope.postMessage(trainer.report());
  const training = repeating(() => {
    if (!trainer.isDone()) trainer.train(BURST);
    const done = trainer.isDone();
    if (done || (trainer.limit === Infinity && trainer.news.milliseconds > 75)) report();
    return !done;
  });
  const upTo = (nSteps) => {
    trainer.limit = nSteps;
    training.turn(true);
  };
  const commands = {
    settings({ settings }) {
      trainer.settings = settings;
      if (training.isOn()) training.rest(REST); // the page draws first
    },
    begin: ({ seed }) => trainer.begin(seed),
    start: () => upTo(Infinity),
    upTo: ({ nSteps }) => upTo(nSteps),
    pause() {
      training.turn(false);
      if (trainer.news.losses.length) report();
    },
    step() {
      if (training.isOn()) return;
      trainer.train(0);
      report();
    },
  };
  scope.onmessage = ({ data }) => commands[data.command](data);
}

/* The page. */

/** A module's text as a classic script: only that may become a worker on a page from a file. */
export const asScript = (source) => source.replace(/^export (default .*)?/gm, "");

/** A worker that runs this module, from a Blob: a page from a file may start no other. */
function startWorker(source, onMessage, onError) {
  const program = [asScript(source), "\nserve(self);\n"];
  const url = URL.createObjectURL(new Blob(program, { type: "text/javascript" }));
  const worker = new Worker(url);
  worker.onmessage = ({ data }) => onMessage(data);
  worker.onerror = (event) => onError(event.message ?? "no worker");
  return {
    send: (command, more = {}) => worker.postMessage({ command, ...more }),
    close() {
      worker.terminate();
      URL.revokeObjectURL(url);
    },
  };
}

/** Losses in at most 200 blocks of equal length; when they are full, neighbours are joined. */
export function newCurve() {
  return { size: 1, blocks: [], open: [] };
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

export function addLosses(curve, losses) {
  for (const value of losses) {
    curve.open.push(value);
    if (curve.open.length === curve.size) {
      curve.blocks.push(mean(curve.open));
      curve.open = [];
    }
    if (curve.blocks.length === 200) {
      curve.blocks = Array.from({ length: 100 }, (_, k) => mean(curve.blocks.slice(2 * k, 2 * k + 2)));
      curve.size *= 2;
    }
  }
}

/** At each block the mean of the last ten up to it, or of as many as there are. */
export function runningMean(blocks) {
  return blocks.map((_, k) => mean(blocks.slice(Math.max(0, k - 9), k + 1)));
}

export const GRID = Float64Array.from({ length: 121 }, (_, k) => -5 + k / 12);

/**
 * What adapting does on one held-out task: predictions and MSE before, after 1 and K steps.
 * @param {Record<string, any>} settings
 */
export function fitOf(theta, settings, task) {
  const { alpha, n_inner_steps: nInnerSteps } = settings;
  const path = innerPath(NET, theta, task, { alpha, nInnerSteps });
  const at = [0, 1, nInnerSteps].map((k) => predict(NET, path[k], GRID));
  const truth = GRID.map(task.curve);
  const mses = at.map((prediction) => mse(prediction, truth));
  return { at, mses, truth, task, nInnerSteps };
}

export const heldOutTask = (number) => sampleTask(uniforms(500_001 + number));
const settingsOf = (state, run) =>
  Object.fromEntries(SETTINGS.map((name) => [name, state.get(`${name}_${run}`)]));
export const inWords = ({ algorithm, alpha, beta, n_inner_steps: k }) =>
  `${algorithm}, α ${Number(alpha.toPrecision(3))}, β ${Number(beta.toPrecision(3))}, K ${k}`;
const counted = (n) => n.toLocaleString("en");

const fitOptions = (run) => ({
  label: `Run ${run.toUpperCase()}: the held-out task and the model before and after adapting`,
  margin: [6, 8, 20, 26],
  height: (width) => Math.max(150, Math.min(220, Math.round(width * 0.5))),
  x: { min: -5, max: 5, ticks: [-4, -2, 0, 2, 4] },
  y: { min: -6, max: 6, ticks: [-5, 0, 5] },
});

/** One run's model on the held-out task. */
class FitPanel {
  constructor(parent, run, redraw) {
    const heading = { title: `Run ${run.toUpperCase()}`, className: looks(run, "") };
    const made = panel(parent, heading, fitOptions(run), redraw);
    this.run = run;
    this.box = made.box;
    this.title = made.title;
    this.plot = made.plot;
    this.words = made.note;
    const path = (name) => svgElement(this.plot.area, "path", { class: name });
    this.truth = path("mf-truth");
    this.curves = [path("mf-before"), path("mf-first"), path("mf-after")];
    this.points = Array.from({ length: N_POINTS }, () =>
      svgElement(this.plot.area, "circle", { class: "mf-support", r: 4 }),
    );
    this.note = svgElement(this.plot.over, "text", { class: "mf-note", "text-anchor": "middle" });
  }

  draw({ at, mses, truth, task }, { nSteps, lost }, algorithm) {
    this.box.setAttribute("class", `mf-panel mf-fit ${looks(this.run, algorithm)}`);
    this.box.setAttribute("data-step", String(nSteps));
    this.title.textContent = `Run ${this.run.toUpperCase()}, step ${counted(nSteps)}`;
    const path = (y) => this.plot.line(Array.from(GRID, (x, k) => [x, y[k]]));
    this.truth.setAttribute("d", path(truth));
    this.curves.forEach((curve, k) => curve.setAttribute("d", path(at[k])));
    this.points.forEach((point, k) => {
      point.setAttribute("cx", this.plot.px(task.xSupport[k]));
      point.setAttribute("cy", this.plot.py(task.ySupport[k]));
    });
    this.words.replaceChildren(`MSE ${formatLoss(mses[0])} → ${formatLoss(mses[1])} → `);
    element(this.words, "strong", { text: formatLoss(mses[2]) });
    const { left, top, width } = this.plot.box;
    this.note.setAttribute("x", left + width / 2);
    this.note.setAttribute("y", top + 18);
    this.note.textContent = lost && `stopped: ${lost}`;
  }
}

const curveOptions = () => ({
  label: "Meta-loss of both runs against the number of meta-steps",
  margin: [44, 24, 38, 38], // above: what the two runs are
  height: (width) => Math.max(190, Math.min(260, Math.round(width * 0.34))),
  x: { min: 0, max: 200, ticks: [0, 100, 200], label: "meta-steps", format: counted },
  y: { min: 0.1, max: 10, log: true, ticks: [0.1, 1, 10], format: shortPower },
});

/** Meta-loss against meta-steps, for both runs. */
class CurvePanel {
  constructor(parent, redraw) {
    const heading = { title: "Meta-loss while training", note: "log scale", className: "mf-wide" };
    const made = panel(parent, heading, curveOptions(), redraw);
    this.box = made.box;
    this.plot = made.plot;
    this.note = made.note;
    this.series = RUNS.map(() => {
      const group = svgElement(this.plot.area, "g");
      const label = { "text-anchor": "end" };
      return {
        group,
        raw: svgElement(group, "path", { class: "mf-raw" }),
        line: svgElement(group, "path", { class: "mf-curve" }),
        label: svgElement(this.plot.over, "text", label),
      };
    });
  }

  draw(curves, settings, speeds, progress) {
    this.box.setAttribute("data-step", progress.map(({ nSteps }) => nSteps).join(" "));
    this.plot.setX(stepsAxis(curves));
    this.plot.setY(lossAxis(curves));
    const { left, top, width } = this.plot.box;
    this.series.forEach(({ group, raw, line, label }, k) => {
      const { size, blocks } = curves[k];
      const look = looks(RUNS[k], settings[k].algorithm);
      group.setAttribute("class", look);
      label.setAttribute("class", `mf-label mf-halo ${look}`);
      const path = (values) => this.plot.line(values.map((value, n) => [(n + 0.5) * size, value]));
      raw.setAttribute("d", path(blocks));
      line.setAttribute("d", path(runningMean(blocks)));
      label.setAttribute("x", left + width - 4);
      label.setAttribute("y", top - 26 + 17 * k);
      label.textContent = `${"AB"[k]}: ${inWords(settings[k])}`;
    });
    const each = speeds.map((speed, k) => `${"AB"[k]} ${counted(Math.round(speed))}`);
    this.note.textContent = Math.max(...speeds) ? `meta-steps per second: ${each.join(", ")}` : "log scale";
  }
}

/** Meta-steps up to 200 times a power of two that is enough for all losses. */
export function stepsAxis(curves) {
  const reach = Math.max(200, ...curves.map(({ size, blocks }) => size * blocks.length));
  const max = 2 ** Math.ceil(Math.log2(reach / 200)) * 200;
  return { max, ticks: [0, max / 4, max / 2, (3 * max) / 4, max] };
}

/** Whole decades around all losses. */
export function lossAxis(curves) {
  const values = curves.flatMap(({ blocks }) => blocks);
  const low = Math.max(-4, Math.min(-1, Math.floor(Math.log10(Math.min(1, ...values)))));
  const high = Math.min(4, Math.max(1, Math.ceil(Math.log10(Math.max(1, ...values)))));
  return { min: 10 ** low, max: 10 ** high, ticks: decades(low, high) };
}

const HOW = {
  steps: "Both runs are compared at the same meta-step: the faster one waits.",
  seconds: "Both runs had the same seconds; the faster one is steps ahead.",
};

/** What is so now, in a sentence per run. */
export function describe(progress, settings, fits, { going, together }) {
  const each = RUNS.map((run, k) => {
    const { nSteps, lost } = progress[k];
    const [before, , after] = fits[k].mses.map(formatLoss);
    const stop = lost ? ` It stopped: ${lost}.` : "";
    return (
      `Run ${run.toUpperCase()} (${inWords(settings[k])}), ${counted(nSteps)} meta-steps: ` +
      `MSE on the held-out task ${before} before, ${after} after adapting.${stop}`
    );
  });
  const none = progress.every(({ nSteps }) => nSteps === 0);
  const doing = going ? "Training." : none ? "Press Start." : "Paused.";
  return `${doing} ${each.join(" ")}${none ? "" : ` ${HOW[together]}`}`;
}

/** The longest that the read-out can become: both runs are lost. */
function longestWords() {
  const settings = { algorithm: "FOMAML", alpha: 0.0123, beta: 0.00123, n_inner_steps: 10 };
  const lost = { nSteps: 100_000, lost: "the outer rate β is too large" };
  const fit = { mses: [0.0123, 0, 0.0123] };
  const both = (one) => RUNS.map(() => one);
  return describe(both(lost), both(settings), both(fit), { going: false, together: "steps" });
}

/** Meta-steps until both runs meet again: what the slower one does in a tenth of a second. */
export function roundSize(speeds) {
  return Math.max(1, Math.min(200, Math.round(0.1 * Math.min(...speeds))));
}

/** News of a run on top of news that was not shown yet. */
const joined = (first, { losses, milliseconds, ...run }) => ({
  ...run,
  losses: [...(first?.losses ?? []), ...losses],
  milliseconds: (first?.milliseconds ?? 0) + milliseconds,
});

/** Meta-steps per second: the first measured, from then on a fifth of the way to each new one. */
export function smoothedSpeed(before, nSteps, milliseconds) {
  const speed = (1000 * nSteps) / milliseconds;
  return before + (before ? 0.2 : 1) * (speed - before);
}

/**
 * Both runs as the page knows them: their workers, how far they have come, and whether they go on.
 * Compared after the same steps, they go in rounds: news is shown when both have come to the end
 * of one. Compared after the same seconds, it is shown as it comes.
 * `turned` hears of every start and stop, `heard` of news from a worker, and `failed` why a worker
 * does not start.
 */
class Training {
  constructor(state, { turned, heard, failed }) {
    this.state = state;
    this.turned = turned;
    this.heard = heard;
    this.failed = failed;
    /** @type {ReturnType<typeof startWorker>[]} */
    this.workers = [];
    this.going = false;
    this.clear();
  }

  clear() {
    this.progress = /** @type {any[]} */ (RUNS.map(() => newRun(this.state.get("seed"))));
    this.curves = RUNS.map(newCurve);
    this.speeds = RUNS.map(() => 0);
    this.held = /** @type {any[]} */ (RUNS.map(() => null));
    this.target = 0; // where the round ends that is under way; 0 between rounds
  }

  inStep() {
    return this.state.get("together") === "steps";
  }

  /** Sends both runs to the same meta-step, unless they are under way to one. */
  nextRound(nSteps) {
    if (this.target) return;
    this.target = Math.max(...this.progress.map((run) => run.nSteps)) + nSteps;
    this.workers.forEach((worker, k) => {
      if (!this.progress[k].lost) worker.send("upTo", { nSteps: this.target });
    });
  }

  hasArrived(k) {
    const news = this.held[k];
    return this.progress[k].lost || news?.lost || news?.nSteps >= this.target;
  }

  settings() {
    return RUNS.map((run) => settingsOf(this.state, run));
  }

  send(command, more = {}) {
    this.workers.forEach((worker) => worker.send(command, more));
  }

  tellSettings() {
    this.workers.forEach((worker, k) => worker.send("settings", { settings: this.settings()[k] }));
  }

  turn(on) {
    this.going = on;
    this.turned(on);
  }

  receive(k, news) {
    this.held[k] = joined(this.held[k], news);
    if (this.inStep() && !RUNS.every((_, run) => this.hasArrived(run))) return;
    this.target = 0;
    this.held.forEach((each, run) => each && this.take(run, each));
    this.held.fill(null);
    if (this.going && this.progress.every(({ lost }) => lost)) this.turn(false);
    this.heard();
    if (this.going) this.goOn();
  }

  take(k, { losses, milliseconds, ...run }) {
    addLosses(this.curves[k], losses);
    this.progress[k] = run;
    if (losses.length) this.speeds[k] = smoothedSpeed(this.speeds[k], losses.length, milliseconds);
  }

  /** Both runs that are not lost go on, each as long as it may. */
  goOn() {
    const speeds = this.speeds.filter((_, k) => !this.progress[k].lost);
    if (this.inStep()) this.nextRound(roundSize(speeds));
  }

  /** The workers start with the first press, not with the page. */
  ready() {
    if (this.workers.length) return;
    const source = this.state.get("_esm");
    const hear = (k) => (news) => this.receive(k, news);
    this.workers = RUNS.map((_, k) => startWorker(source, hear(k), this.failed));
    this.send("begin", { seed: this.state.get("seed") });
    this.tellSettings();
  }

  toggle() {
    this.ready();
    this.turn(!this.going);
    this.follow();
  }

  /** What the workers have to be told after a press, or a change of what is compared. */
  follow() {
    if (this.inStep() && this.going) this.goOn();
    else if (!this.inStep()) this.send(this.going ? "start" : "pause"); // a round ends by itself
  }

  step() {
    this.ready();
    if (this.going) return;
    if (this.inStep()) this.nextRound(1);
    else this.send("step");
  }

  stop() {
    this.workers.forEach((worker) => worker.close());
    this.workers = [];
  }

  restart() {
    this.stop();
    this.clear();
    this.turn(false);
  }
}

/** News of both workers in one picture, which leaves the frame's turn to the reader's hand. */
function gathered(draw) {
  let timer = 0;
  const go = () => {
    timer = 0;
    draw();
  };
  const ask = () => {
    timer ||= setTimeout(go, 50);
  };
  ask.cancel = () => {
    clearTimeout(timer);
    timer = 0;
  };
  return ask;
}

/** The read-out is of the same moment as the chart; a listener is told every few seconds only. */
function toldSeldomAloud(say) {
  let lastSaid = 0;
  const tell = (going, words) => {
    const aloud = !going || performance.now() - lastSaid > 4000;
    if (aloud) lastSaid = going ? performance.now() : 0;
    say.now(words, aloud);
  };
  return [say, tell];
}

/** The buttons; returns what shows on the first one whether the training goes on. */
function lead(root, training, reset) {
  const row = element(root, "div", { class: "mf-buttons" });
  const start = button(row, "▶ Start", () => training.toggle(), { class: "mf-primary" });
  button(row, "One step", () => training.step());
  button(row, "Restart", () => training.restart());
  button(row, "Reset", () => {
    reset();
    training.restart();
  });
  return (going) => (start.textContent = going ? "❚❚ Pause" : "▶ Start");
}

/** The curves of both runs, and for each run what it has learned, with its settings below. */
function makePanels(root, state, redraw) {
  const grid = element(root, "div", { class: "mf-grid" });
  const curves = new CurvePanel(grid, redraw);
  const fits = RUNS.map((run) => {
    const column = element(grid, "div", { class: "mf-column" });
    const fit = new FitPanel(column, run, redraw);
    runControls(column, state, run);
    return fit;
  });
  return { curves, fits };
}

/** Settings of one run: algorithm, rates, steps. */
function runControls(parent, state, run) {
  const label = `Run ${run.toUpperCase()}`;
  const box = element(parent, "div", { role: "group", "aria-label": label });
  const paint = () => box.setAttribute("class", `mf-run ${looks(run, state.get(`algorithm_${run}`))}`);
  state.on([`algorithm_${run}`], paint);
  paint();
  element(box, "b", { text: label });
  const options = Object.keys(GRADIENTS).map((name) => [name, name]);
  choice(box, state, { trait: `algorithm_${run}`, label: "algorithm", options });
  for (const range of RANGES) slider(box, state, { ...range, trait: `${range.trait}_${run}` });
}

function controls(root, state) {
  const shared = element(root, "div", { class: "mf-controls" });
  for (const range of SHARED_RANGES) slider(shared, state, range);
  choice(shared, state, TOGETHER);
}

/** The training hears of every setting that the reader changes. */
function tied(training, state) {
  state.on(["seed"], () => training.restart());
  state.on(TRAITS, () => training.tellSettings());
  state.on(["together"], () => training.follow());
}

function build({ root, state, redraw, reset, status }) {
  const turned = (going) => {
    showTurn(going);
    redraw();
  };
  const heard = gathered(() => draw());
  const failed = (text) => say(`The training could not start: ${text}.`);
  const training = new Training(state, { turned, heard, failed });
  const showTurn = lead(root, training, reset);
  controls(root, state);
  lineNames(root, NAMES.map(([name, text]) => ({ text, path: `mf-${name}` })));
  const { curves, fits } = makePanels(root, state, redraw);
  const [say, tell] = toldSeldomAloud(status().room([longestWords()]));
  tied(training, state);
  const draw = () => {
    heard.cancel(); // this picture has the news as well
    const [settings, task] = [training.settings(), heldOutTask(state.get("held_out"))];
    const { progress, speeds, going } = training;
    const found = RUNS.map((_, k) => fitOf(progress[k].theta, settings[k], task));
    fits.forEach((each, k) => each.draw(found[k], progress[k], settings[k].algorithm));
    curves.draw(training.curves, settings, speeds, progress);
    tell(going, describe(progress, settings, found, { going, together: state.get("together") }));
  };
  const stop = () => {
    training.stop();
    heard.cancel();
  };
  return { draw, panels: [curves, ...fits], stop };
}

export default figure({ name: "training", label: LABEL, traits: TRAITS, build });
