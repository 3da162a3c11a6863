"""What the scripts that train for the application chapters share: options, and staged training."""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from maml_teach.timing import seconds
from maml_teach.train import MetaConfig, load_run, meta_train, resume

SHARED = ("n_inner_steps", "n_tasks", "n_shots", "n_queries")  # settings that all methods have
ROOT = Path(__file__).parent.parent


def arguments(description, name, **flags):
    """The command line: ``quick``, ``folder``, ``target`` and ``flags``; the folder is there then.

    ``quick`` asks for a tiny run, ``folder`` keeps unfinished and finished runs, ``target`` is the
    file that ships with the package. ``flags`` says of each further flag what it is for.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a tiny run, to test the script")
    parser.add_argument("--folder", type=Path, default=ROOT / "_artifacts" / name)
    parser.add_argument("--target", type=Path, default=ROOT / "maml_teach/data" / f"{name}.npz")
    for flag, purpose in flags.items():
        parser.add_argument(f"--{flag}", action="store_true", help=purpose)
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    return chosen


def add_to(target, arrays):
    """Write a file of results again, with these arrays new or in the place of old ones."""
    np.savez_compressed(target, **{**np.load(target), **arrays})


def seconds_a_step(functions, n_rounds=9):
    """Median seconds of each of ``functions``, by name, called in turns."""
    took = np.median(seconds(functions.values(), n_rounds), axis=0)
    return dict(zip(functions, took.tolist(), strict=True))


def training_seconds(methods, n_meta_steps, **inner):
    """Seconds of the whole training of each method on this machine, from a few steps in turns.

    ``methods`` has for each name what an outer step is made of: the gradient, the model and its
    parameters, and a function that draws the tasks. ``inner`` goes to every gradient.
    """

    def one_step(gradient, start, draw):
        gradient(*start, draw(), **inner)

    took = seconds_a_step({name: partial(one_step, *parts) for name, parts in methods.items()})
    return {name: took[name] * n for name, n in n_meta_steps.items()}


def settings_of(name, config):
    """The ``MetaConfig`` of a method: its own inner rate and outer steps, and what all share."""
    own = {key: config[key][name] for key in ("alpha", "n_meta_steps")}
    return MetaConfig(**own, **{key: config[key] for key in SHARED})


def one_model_seconds(gradients, model, family, config):
    """:func:`training_seconds` of methods, by name, that train one model on one family."""
    rng = np.random.default_rng(0)
    start, draw = (
        (model, model.init(rng)),
        partial(family.sample, rng, *map(config.get, SHARED[1:])),
    )
    methods = {name: (gradient, start, draw) for name, gradient in gradients.items()}
    inner = {"alpha": 0.1, "n_inner_steps": config["n_inner_steps"]}
    return training_seconds(methods, config["n_meta_steps"], **inner)


def train_in_stages(model, theta, family, config, stages, *, rng, file, **how):
    """Parameters after meta-training at falling outer rates; goes on from ``file`` if it is there.

    Args:
        model: The model.
        theta: Its start.
        family: The task family.
        config: A ``MetaConfig``; the stages have the outer rates.
        stages: Pairs of an outer rate and a share of ``config.n_meta_steps``.
        rng: Draws the tasks.
        file: Where the run is kept.
        **how: As for ``meta_train``: ``gradient``, ``every``.
    """
    how = {"checkpoint": file, **how}
    ends = np.cumsum([share for _, share in stages]) * config.n_meta_steps
    like = None if isinstance(theta, np.ndarray) else theta
    run = load_run(file, like=like) if file.exists() else None
    for (beta, _), end in zip(stages, ends.round().astype(int).tolist(), strict=True):
        if run is None:
            first = replace(config, beta=beta, n_meta_steps=end)
            run = meta_train(model, theta, family, first, rng=rng, **how)
        elif len(run.history) < end:
            run = replace(run, config=replace(run.config, beta=beta))
            run = resume(model, run, family, n_meta_steps=end - len(run.history), **how)
    return run.theta
