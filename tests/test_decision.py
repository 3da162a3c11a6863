"""The decision tree: one result for every combination of answers, with a number and a section."""

import json
import re
from itertools import product
from pathlib import Path

import pytest
from sentences import markdown

from maml_teach.data import load
from maml_teach.widgets import IsItMaml
from maml_teach.widgets.decision import (
    OTHERWISE,
    QUESTIONS,
    RULES,
    SOURCES,
    TEXTS,
    advice,
    measured,
)

ANSWERS = [dict(zip(QUESTIONS, one, strict=True)) for one in product(*QUESTIONS.values())]
BOOK = Path(__file__).parents[1] / "book"
METHODS = {  # words that the sentence of each result begins with
    "equations": "Fit the few numbers",
    "features": "Take the nearest class mean",
    "scratch": "Train from scratch",
    "no gradient": "ProtoNet, or learned template matching",
    "few tasks": "Train one plain network",
    "far": "MAML or ANIL, and first order first",
    "compare": "ProtoNet, or learned template matching",
    "joint": "Train one plain network",
    "start": "MAML or ANIL, and first order first",
}


def test_every_combination_leads_to_one_result_and_every_result_is_reached():
    found = [advice(one) for one in ANSWERS]
    assert len(found) == 2 * 2 * 3 * 2 * 3 * 2
    assert set(found) == set(SOURCES) == {result for *_, result in RULES} | {OTHERWISE}


def test_every_answer_changes_the_result_somewhere():
    for name, allowed in QUESTIONS.items():
        for answer in allowed:
            others = [one for one in ANSWERS if one[name] == answer]
            pairs = [(advice(one), advice({**one, name: o})) for one in others for o in allowed]
            assert any(ours != theirs for ours, theirs in pairs), (name, answer)


@pytest.mark.parametrize(
    ("answers", "wanted"),
    [
        (("known", "at hand", "hundreds", "no gradient", "fewer than 20"), "equations"),
        (("not known", "at hand", "hundreds", "no gradient", "fewer than 20"), "features"),
        (("not known", "none yet", "hundreds", "no gradient", "fewer than 20"), "scratch"),
        (("not known", "none yet", "tens", "no gradient", "fewer than 20"), "no gradient"),
        (("not known", "none yet", "tens", "a few steps", "fewer than 20"), "few tasks"),
        (("not known", "none yet", "tens", "a few steps", "unlimited"), "far"),
    ],
)
def test_what_comes_first_counts(answers, wanted):
    assert advice(dict(zip(QUESTIONS, [*answers, "different in kind"], strict=True))) == wanted


def test_an_answer_that_is_none_is_named():
    with pytest.raises(ValueError, match="tasks must be one of"):
        advice({**ANSWERS[0], "tasks": "many"})
    with pytest.raises(ValueError, match="equations must be one of"):
        advice({})
    with pytest.raises(ValueError, match="equations"):
        IsItMaml.from_package(equations="perhaps")
    with pytest.raises(ValueError, match="results lacks compare"):
        IsItMaml({name: {} for name in SOURCES if name != "compare"})


def slugs(chapter):
    """The anchors of a chapter: its headings as the site makes them, and its labels."""
    text = markdown(chapter)
    headings = re.findall(r"^#{1,3} (.+)$", text, re.M)
    plain = [re.sub(r"[^\w\- ]", "", heading).strip().lower() for heading in headings]
    return {one.replace(" ", "-") for one in plain} | set(
        re.findall(r"^\(([\w-]+)\)=$", text, re.M)
    )


@pytest.mark.parametrize("name", SOURCES)
def test_every_link_leads_to_a_section(name):
    href, words = SOURCES[name]
    page, _, anchor = href.partition("#")
    chapter = page.removesuffix(".html")
    assert (BOOK / f"{chapter}.ipynb").exists()
    assert anchor in slugs(chapter)
    # What the site makes of a heading and what this test makes of it are the same for plain ones.
    assert re.fullmatch(r"[a-z-]+", anchor) and words.count(":") == 1


@pytest.mark.parametrize("name", SOURCES)
def test_every_sentence_begins_with_its_method_and_has_a_number(name):
    sentence = IsItMaml.from_package().results[name]["sentence"]
    assert sentence.startswith(METHODS[name]) and sentence.endswith(".")
    assert re.search(r"\d", sentence) and "nan" not in sentence


def test_no_number_is_typed_in():
    """Each digit of a sentence comes from a file: the templates hold none."""
    assert not [
        name for name, text in TEXTS.items() if re.search(r"\d", re.sub(r"{.*?}", "", text))
    ]


def test_the_numbers_by_hand():
    robot, images, found = load("robot"), load("images"), load("detection")
    assert measured()["arm fitted"] == pytest.approx(
        100 * robot["arm fitted with prior, 20"].mean() / robot["arm maml, 20"].mean(), rel=1e-5
    )
    lead = images["protonet 5w1s glyphs"].astype(float) - images["maml 5w1s glyphs"]
    assert measured()["glyphs"] == pytest.approx(100 * lead.mean() / 25)  # 25 queries
    match = found["match, 1"].astype(float) - found["maml, 1"]
    assert measured()["match"] == pytest.approx(100 * match.mean() / 5)  # five scenes
    language = load("language")
    n_queries = 5 * json.loads(str(language["config"]))["test"]["n_queries"]
    gain = language["maml, 5"].astype(float) - language["scratch, 5"]
    assert measured()["gain five"] == pytest.approx(100 * gain.mean() / n_queries)
    fewest = language["fewer"][:, 0].astype(float)  # seeds, old and new, tasks
    assert measured()["few new"] == pytest.approx(100 * fewest[:, 1].mean() / n_queries)


def test_the_sentences_hold_what_they_say_in_words():
    """For the numbers that the files have now: which side is ahead, and what shrinks."""
    numbers = measured()
    assert max(numbers["arm fitted"], numbers["car fitted"], numbers["arm start"]) < 90
    assert min(numbers["glyphs"], numbers["digits"], numbers["match"]) > 1
    assert numbers["gain one"] > numbers["gain five"] > 0
    assert numbers["few old"] > numbers["few new"] + 20
    assert numbers["detection times"] > 2
