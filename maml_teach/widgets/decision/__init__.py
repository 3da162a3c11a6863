"""Is MAML for this problem: six questions, the path through a tree, and what was measured there."""

import json
from collections.abc import Mapping
from typing import Any, Self

import traitlets

from ...applications.language import shipped_names
from ...data import load
from ..base import Figure, settable
from ..front_end import bundle, style

# The answers to each question, in the order of the page; decision.js has the same.
QUESTIONS = {
    "equations": ("known", "not known"),
    "features": ("at hand", "none yet"),
    "examples": ("one to five", "tens", "hundreds"),
    "compute": ("no gradient", "a few steps"),
    "tasks": ("fewer than 20", "dozens to hundreds", "unlimited"),
    "likeness": ("of the same kind", "different in kind"),
}
# The tree from the top: question, the answer that leads out of it, and to which result.
RULES = (
    ("equations", "known", "equations"),
    ("features", "at hand", "features"),
    ("examples", "hundreds", "scratch"),
    ("compute", "no gradient", "no gradient"),
    ("tasks", "fewer than 20", "few tasks"),
    ("likeness", "different in kind", "far"),
    ("examples", "one to five", "compare"),
    ("tasks", "dozens to hundreds", "joint"),
)
OTHERWISE = "start"

# Where each result comes from: address on the site, and what the link says.
SOURCES = {
    "equations": ("robot.html#where-maml-loses", "Robot control: where MAML loses"),
    "features": ("pretrained.html#the-encoder-stays-as-it-is", "Pretrained models: the encoder"),
    "scratch": ("language.html#who-wins", "Language: who wins"),
    "no gradient": ("detection.html#against-other-methods", "Detection: against other methods"),
    "few tasks": ("language.html#it-overfits-to-languages", "Language: it overfits to languages"),
    "far": ("images.html#who-wins-where", "Few-shot images: who wins where"),
    "compare": ("images.html#who-wins-where", "Few-shot images: who wins where"),
    "joint": ("language.html#who-wins", "Language: who wins"),
    "start": ("robot.html#on-new-arms", "Robot control: on new arms"),
}

TEXTS = {
    "equations": "Fit the few numbers of the equations, with a prior: with a second of data from a "
    "robot arm that leaves {arm fitted:.0f}% of MAML's error, and in driving {car fitted:.0f}%.",
    "features": "Take the nearest class mean of the features, or a logistic regression on them: "
    "with one example of each intent, the nearest mean of a pretrained encoder's features is right "
    "for {features mean:.0f}% of the sentences and MAML for {features maml:.0f}%.",
    "scratch": "Train from scratch, there is enough data, and the more examples there are, the "
    "less a start is worth: on new languages {gain one:.0f} points with one sample of each, "
    "{gain five:.0f} with five.",
    "no gradient": "ProtoNet, or learned template matching: neither takes a gradient on a new "
    "task, and in detection MAML with its inner loop takes {detection times:.0f} times as long.",
    "few tasks": "Train one plain network on all tasks and fine-tune it, since MAML overfits to "
    "few tasks: trained on {few tasks:.0f} languages, it is right for {few old:.1f}% of the texts "
    "in these, and for {few new:.0f}% of those in new ones.",
    "far": "MAML or ANIL, and first order first: on handwritten digits, after training on printed "
    "glyphs, MAML is {digits:.0f} points ahead of ProtoNet with one example of each.",
    "compare": "ProtoNet, or learned template matching: with one example of each, ProtoNet is "
    "{glyphs:.0f} points ahead of MAML on new glyphs, and in detection the learned matcher is "
    "{match:.0f}.",
    "joint": "Train one plain network on all tasks and fine-tune it, before you try MAML: trained "
    "on {many tasks:.0f} languages, it is right for {tuned:.0f}% of the texts in new ones with "
    "five samples of each, and MAML for {tuned maml:.0f}%.",
    "start": "MAML or ANIL, and first order first: on new robot arms, of which the training had as "
    "many as it liked, MAML leaves {arm start:.0f}% of the error that fine-tuning a network of all "
    "arms leaves.",
}


class IsItMaml(Figure):
    """A tree to click through: six answers lead to a method, and to what the book measured of it.

    Args:
        results: For each result of :func:`advice` its ``sentence``, ``href`` and ``link``.
        **settings: First answers, by the names in ``QUESTIONS``.

    Raises:
        ValueError: If ``results`` lacks one, or a setting is unknown or not among the answers.
    """

    _esm, _css = bundle("decision"), style("decision")

    equations = traitlets.Enum(QUESTIONS["equations"], "not known").tag(**settable())
    features = traitlets.Enum(QUESTIONS["features"], "none yet").tag(**settable())
    examples = traitlets.Enum(QUESTIONS["examples"], "tens").tag(**settable())
    compute = traitlets.Enum(QUESTIONS["compute"], "a few steps").tag(**settable())
    tasks = traitlets.Enum(QUESTIONS["tasks"], "unlimited").tag(**settable())
    likeness = traitlets.Enum(QUESTIONS["likeness"], "of the same kind").tag(**settable())

    results = traitlets.Dict().tag(sync=True)

    def __init__(self, results: Mapping[str, Mapping[str, str]], **settings: Any):
        if missing := sorted({*SOURCES} - {*results}):
            raise ValueError(f"results lacks {', '.join(missing)}")
        super().__init__(**settings)
        self.results = {name: dict(result) for name, result in results.items()}

    @classmethod
    def from_package(cls, **settings: Any) -> Self:
        """The figure with what the package's files hold."""
        numbers = measured()
        results = {
            name: {"sentence": TEXTS[name].format_map(numbers), "href": href, "link": link}
            for name, (href, link) in SOURCES.items()
        }
        return cls(results, **settings)


def advice(answers: Mapping[str, str]) -> str:
    """The result that the tree leads to, a key of ``SOURCES``.

    Args:
        answers: One of ``QUESTIONS`` for each question.

    Raises:
        ValueError: If a question is missing, or its answer is not one of these.

    >>> advice({name: answers[-1] for name, answers in QUESTIONS.items()})
    'scratch'
    """
    for name, allowed in QUESTIONS.items():
        if answers.get(name) not in allowed:
            raise ValueError(f"{name} must be one of {allowed}, got {answers.get(name)!r}")
    fitting = (result for name, answer, result in RULES if answers[name] == answer)
    return next(fitting, OTHERWISE)


def measured() -> dict[str, float]:
    """The numbers of all results, from the files of the package: percents, points and factors."""
    return {**_of_machines(), **_of_pictures(), **_of_languages(), **_of_features()}


def _of_machines() -> dict[str, float]:
    """Errors on the arm and in driving after a second of data, in percent of another's."""
    robot, driving = load("robot"), load("driving")
    arm = lambda name: float(robot[f"arm {name}, 20"].mean())  # noqa: E731
    tuned = min(arm("joint"), arm("joint adam"))
    return {
        "arm fitted": 100 * arm("fitted with prior") / arm("maml"),
        "car fitted": 100 * float(driving["fitted, 20"].mean() / driving["maml, 20"].mean()),
        "arm start": 100 * arm("maml") / tuned,
    }


def _of_pictures() -> dict[str, float]:
    """Leads in points, with one example of each, and how much longer MAML takes on a scene."""
    images, found = load("images"), load("detection")
    right = lambda name, where: 4 * float(images[f"{name} 5w1s {where}"].mean())  # noqa: E731
    took = json.loads(str(found["costs"]))["milliseconds"]
    return {
        "glyphs": right("protonet", "glyphs") - right("maml", "glyphs"),
        "digits": right("maml", "digits") - right("protonet", "digits"),
        "match": 20 * float(found["match, 1"].mean() - found["maml, 1"].mean()),
        "detection times": took["maml"] / took["match"],
    }


def _of_languages() -> dict[str, float]:
    """Accuracies and leads in percent of the texts."""
    stored = load("language")
    config = json.loads(str(stored["config"]))
    one_percent = 5 * config["test"]["n_queries"] / 100
    right = lambda name: float(stored[name].mean()) / one_percent  # noqa: E731
    old, new = stored["fewer"].mean(axis=(0, 3))[0] / one_percent
    return {
        "gain one": right("maml, 1") - right("scratch, 1"),
        "gain five": right("maml, 5") - right("scratch, 5"),
        "few tasks": config["n_train_languages"][0],
        "few old": float(old),
        "few new": float(new),
        "many tasks": len(shipped_names("train")),
        "tuned": right("finetuned, 5"),
        "tuned maml": right("maml, 5"),
    }


def _of_features() -> dict[str, float]:
    """How often the nearest mean of a pretrained encoder's features is right, and MAML."""
    stored = load("intents")
    right = {"mean": "centroid", "maml": "maml linear"}
    return {
        f"features {key}": 100 * float(stored[f"accuracy {name} clinc150 5w1s"].mean())
        for key, name in right.items()
    }
