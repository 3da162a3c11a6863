/**
 * Runs cases through the figures' modules: JSON {module, function, arguments}[] on standard
 * input, a JSON array of answers on standard output. Usage: node run.mjs <directory of modules>.
 */
import { readFileSync, readdirSync } from "node:fs";
import { pathToFileURL } from "node:url";

const directory = pathToFileURL(`${process.argv[2]}/`);
const modules = {};
for (const file of readdirSync(directory).filter((name) => name.endsWith(".js"))) {
  modules[file.slice(0, -3)] = await import(new URL(file, directory));
}
const maths = modules.maths;

const isNumbers = (value) => Array.isArray(value) && value.every((x) => typeof x === "number");
const taskOf = (task) => Object.fromEntries(Object.entries(task).map(([k, v]) => [k, Float64Array.from(v)]));

/** JSON to what the modules take: networks from sizes, typed arrays, tasks. */
function revive(argument) {
  if (argument?.sizes) return maths.network(argument.sizes, argument.activation);
  if (argument?.tasks) return argument.tasks.map(taskOf);
  if (argument?.conv) return modules.conv.convNet(argument.conv);
  if (argument?.finder) return modules.finder.finder(argument.finder);
  if (argument?.task) return taskOf(argument.task);
  if (argument?.plain) return argument.plain;
  return isNumbers(argument) ? Float64Array.from(argument) : argument;
}

/** Functions whose arguments or answers are functions cannot cross JSON; these stand in. */
const wrapped = {
  uniforms: (seed, count) => {
    const next = maths.uniforms(seed);
    return Array.from({ length: count }, next);
  },
  metaQuadratic: (net, tasks, inner) => maths.quadratic((p) => maths.metaLoss(net, p, tasks, inner)),
  curveOf: (losses) => {
    const curve = modules.training.newCurve();
    modules.training.addLosses(curve, losses);
    return curve;
  },
  transitions: (...given) => {
    const { x, y } = modules.car.transitions(...given);
    return [...x, ...y];
  },
  offsetsWhenKnown: (car, curvature) => driven(modules.car.trueCar(car), car, curvature),
  offsetsWhenLearned: (car, curvature, net, theta) =>
    driven(modules.car.learned(net, theta, car.speed), car, curvature),
  measuredOfArm: (arm, motion, times, noise) => {
    const { x, y } = modules.arm.measuredAlong(modules.arm.armNumbers(arm), motion, times, noise);
    return [...x, ...y];
  },
  followedWhenKnown: (arm, motion, n) => followed(arm, motion, n),
  followedWhenLearned: followed,
  errorWhenLearned: (arm, motion, n, net, theta) =>
    modules.arm.trackingError(followed(arm, motion, n, net, theta), momentsOf(motion, n)),
  walksOf: (...given) => Object.values(walked(...given)).flatMap((rows) => rows.flatMap((row) => [...row])),
  advantagesOf: (...given) => modules.walker.walkAdvantages(walked(...given)).flatMap((row) => [...row]),
  returnOf: (...given) => modules.walker.meanReturn(walked(...given)),
  afterUpdate: (net, theta, noise, goal, alpha) => {
    const work = modules.walker.updated(net, theta, walked(net, theta, noise, goal), alpha);
    for (;;) {
      const { done, value } = work.next();
      if (done) return value;
    }
  },
  slicedWork,
  adaptedChances: (net, theta, five, asked, alpha, nSteps) => {
    const { chances, innerStep } = modules.drawing;
    for (let k = 0; k < nSteps; k++) theta = innerStep(net, theta, five, alpha);
    return chances(net, theta, five, asked);
  },
  halvesOf: (bytes) => modules.ngrams.halves(Uint8Array.from(bytes)),
  overlapsByStep: (net, theta, scenes, boxes, nShots, alpha, nSteps) => {
    const task = boxes.map((box, k) => ({ values: Float64Array.from(scenes[k]), box: [...box] }));
    const found = [];
    const work = modules.detection.adapting(net, theta, task.slice(0, nShots), task.slice(nShots), alpha, found);
    while (found.length <= nSteps) work.next();
    return found.map(({ overlaps }) => overlaps);
  },
  strokeOn: (from, to) => {
    const ink = new Uint8Array(28 * 28);
    modules.drawing.stroke(ink, from, to);
    return ink;
  },
  sinePoints: (settings) => modules.playground.supportPoints(settings, Math.sin),
};

function driven(plan, car, curvature) {
  const { newDrive, advance } = modules.car;
  const drive = newDrive(plan);
  for (let k = 0; k < curvature.length - 24; k++) advance(drive, car, curvature);
  return drive.offsets;
}

const momentsOf = (motion, n) =>
  Array.from({ length: n }, (_, k) => modules.arm.motionAt(motion, modules.arm.COMMAND * k));

/** Angles of an arm that follows a motion by a network, or by its own equations without one. */
function followed(arm, motion, n, net, theta) {
  const { armNumbers, armTorques, expectedTorques, follow, newFollower } = modules.arm;
  const [numbers, moments] = [armNumbers(arm), momentsOf(motion, n)];
  const follower = newFollower(numbers, moments[0]);
  const torques = net
    ? expectedTorques(net, theta, moments)
    : moments.map(({ q, speed, acceleration }) => armTorques(numbers, q, speed, acceleration));
  moments.forEach((moment, k) => follow(follower, moment, torques[k]));
  return follower.reached;
}

function walked(net, theta, noise, goal) {
  const walks = modules.walker.newWalks();
  for (const row of noise) modules.walker.stepWalks(walks, net, theta, Float64Array.from(row), goal);
  return walks;
}

/**
 * Work that is replaced when it waits for a frame, and again when it waits for the repaint after
 * it; frames, timers and a clock go on at our word.
 */
function slicedWork() {
  const [waiting, seen] = [new Map(), { first: 0, second: 0, third: 0, done: [] }];
  let [clock, id] = [0, 0];
  const real = { now: performance.now, setTimeout, clearTimeout };
  performance.now = () => (clock += 1);
  const ask = (run) => waiting.set(++id, run) && id;
  const forget = (which) => waiting.delete(which);
  Object.assign(globalThis, { requestAnimationFrame: ask, setTimeout: ask });
  Object.assign(globalThis, { cancelAnimationFrame: forget, clearTimeout: forget });
  const goOn = () => {
    const [[which, run]] = waiting;
    forget(which);
    run();
  };
  const slices = modules.slices.inSlices((done) => seen.done.push(done));
  function* count(name, n) {
    for (let k = 0; k < n; k++) {
      seen[name] += 1;
      yield;
    }
  }
  slices.start(count("first", 400));
  slices.start(count("second", 400));
  goOn(); // the frame: the rest waits for its repaint
  slices.start(count("third", 20));
  while (waiting.size) goOn();
  performance.now = real.now;
  Object.assign(globalThis, { setTimeout: real.setTimeout, clearTimeout: real.clearTimeout });
  return seen;
}

const plain = (_, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);
const answers = JSON.parse(readFileSync(0, "utf8")).map(({ module, function: name, arguments: given }) => {
  const call = wrapped[name] ?? modules[module][name];
  return call(...given.map(revive));
});
process.stdout.write(JSON.stringify(answers, plain));
