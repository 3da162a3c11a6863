"""How fast *Train it here* trains: its compiled meta-step against the same in JavaScript, in node.

The text of the figure is run as the page runs it, once with WebAssembly and once without, step by
step in turn, in seconds of the processor; the tasks are drawn in that time. Then both runs of the
figure train with its first settings, by the clock and at the same time, each in a process of its
own as each has a worker of its own. They are judged on new tasks: the mean squared error over the
whole curve, before and after one inner step on 10 points.

Usage: python benchmarks/meta_step.py [--rounds 200] [--seconds 10] [--n-tasks 600]
"""

import argparse
import json
import subprocess
from pathlib import Path

from maml_teach.widgets import Training

PROGRAM = ["node", Path(__file__).with_suffix(".mjs")]


def started(job, **given):
    """A process of node at work on a job."""
    pipe = subprocess.PIPE
    node = subprocess.Popen(PROGRAM, stdin=pipe, stdout=pipe, text=True)
    node.stdin.write(json.dumps({"job": job, "source": Training()._esm, **given}))
    node.stdin.close()
    return node


def answer(node):
    """What the process answers."""
    text = node.stdout.read()
    if node.wait():
        raise RuntimeError("node could not do it, see above")
    return json.loads(text)


def settings_of(figure, run):
    """The settings of one run, by the names that ``metaStep`` takes."""
    end = f"_{run}"
    return {
        n.removesuffix(end): getattr(figure, n) for n in figure.trait_names() if n.endswith(end)
    }


def print_speed(figure, n_rounds):
    """Meta-steps a second, compiled and plain, for one inner step and for five."""
    for k in (1, 5):
        settings = settings_of(figure, "a") | {"n_inner_steps": k}
        times = answer(started("speed", settings=settings, nRounds=n_rounds))
        compiled, plain = (1000 / times[name] for name in ("compiled", "plain"))
        print(
            f"{settings['algorithm']}, K = {k}: {compiled:.0f} meta-steps a second compiled, "
            f"{plain:.0f} in JavaScript: {compiled / plain:.1f} times as many"
        )


def print_training(figure, seconds, n_tasks):
    """Both runs at the same time, and what they have learned."""
    given = {"seed": figure.seed, "seconds": seconds, "nTasks": n_tasks}
    runs = [settings_of(figure, run) for run in "ab"]
    nodes = [started("train", settings=settings, **given) for settings in runs]
    for settings, found in zip(runs, map(answer, nodes), strict=True):
        print(
            f"{settings['algorithm']}, {seconds:g} seconds, {found['nSteps']} meta-steps: "
            f"MSE on {n_tasks} new tasks {found['before']:.3f} before, "
            f"{found['after']:.3f} after one step"
        )


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--n-tasks", type=int, default=600)
    options = parser.parse_args()
    figure = Training()
    print_speed(figure, options.rounds)
    print_training(figure, options.seconds, options.n_tasks)


if __name__ == "__main__":
    main()
