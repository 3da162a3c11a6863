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
  adaptedChances: (net, theta, five, asked, alpha, nSteps) => {
    const { chances, innerStep } = modules.drawing;
    for (let k = 0; k < nSteps; k++) theta = innerStep(net, theta, five, alpha);
    return chances(net, theta, five, asked);
  },
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

const plain = (_, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);
const answers = JSON.parse(readFileSync(0, "utf8")).map(({ module, function: name, arguments: given }) => {
  const call = wrapped[name] ?? modules[module][name];
  return call(...given.map(revive));
});
process.stdout.write(JSON.stringify(answers, plain));
