"""Which language?: the texts of the page, what it adapts to, shows and says, against NumPy."""

import re
from functools import cache

import numpy as np
import pytest
from node import assert_all_close, flat, run_node
from page import SLIDERS, STATUS, in_training, show, traits_of

from maml_teach import maml
from maml_teach.applications import language
from maml_teach.applications.language import MODEL
from maml_teach.data import load
from maml_teach.tasks import Task
from maml_teach.widgets import WhichLanguageIsThis

NET = {"sizes": list(MODEL.sizes), "activation": "tanh"}
SETTINGS = {"n_shots": 2, "n_inner_steps": 3, "seed": 1, "example": 6, "alpha": 0.7}
ORDER = [1, 3, 4, 2, 0]  # the language of the first, second, ... example
READS = {
    "said": STATUS,
    "titles": ("read", ".mf-language-row b"),
    "labels": ("read", ".mf-language-row", "aria-label"),
    "likely": ("read", ".mf-language-row", "class"),
    "bars before": ("read", "rect.mf-bar-before", "width"),
    "bars after": ("read", "rect.mf-bar-after", "width"),
    "shares": ("read", ".mf-bar-text"),
    "chips": ("read", ".mf-chip", "value"),
    "hidden": ("read", ".mf-chip", "hidden"),
    "sizes": ("read", ".mf-chip", "size"),
    "chip labels": ("read", ".mf-chip", "aria-label"),
    "invalid": ("read", ".mf-chip", "aria-invalid"),
    "asked": ("read", ".mf-asked-text input", "value"),
    "asked invalid": ("read", ".mf-asked-text input", "aria-invalid"),
}


def figure(**change):
    return WhichLanguageIsThis.from_package(**{**SETTINGS, **change})


def languages(seed=1):
    sets = figure().sets
    return sets[seed % len(sets)]


def asked_in(example, seed=1):
    """Which language an example is in, and its text: of each language one, then the next."""
    way = ORDER[example % 5]
    texts = languages(seed)[way]["asked"]
    return way, texts[(example // 5) % len(texts)]


@cache
def judgement(asked, n_shots=2, n_inner_steps=3, support=None, seed=1):
    """Chances of the five languages before and after, and the nearest centroid."""
    samples = [one["samples"][:n_shots] for one in languages(seed)]
    texts = support or tuple(text for five in samples for text in five)
    x, y = np.array([[language.features(t) for t in texts]]), np.repeat(np.arange(5), n_shots)[None]
    query = language.features(asked)[None, None]
    theta = np.float16(load("language")["maml"]).astype(float)
    task = Task(x, y, query, np.zeros((1, 1), int))
    settings = {"alpha": 0.7, "n_inner_steps": n_inner_steps}
    adapted = maml.adapt(MODEL, theta, task, **settings)[0]
    scores = np.array([MODEL.predict(one, query[0])[0] for one in (theta, adapted)])
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return *chances, language.nearest_centroid(task)[0, 0]


@cache
def page(**change):
    answers = show(figure(**change), ("wait", 1500), *READS.values())
    return dict(zip(READS, answers, strict=True))


def test_examples_go_through_all_languages_and_then_through_their_texts():
    cases = [
        {"sets": figure().sets, "seed": seed, "example": n} for seed in (1, 6) for n in range(27)
    ]
    answers = run_node("language", [("exampleOf", [one]) for one in cases])
    wanted = [asked_in(one["example"], one["seed"]) for one in cases]
    assert [(one["way"], one["text"]) for one in answers] == wanted
    assert sorted(one["way"] for one in answers[:5]) == list(range(5))
    assert len({one["text"] for one in answers[:25]}) == 25


def test_support_set_and_query_are_those_that_are_shown():
    own = [None] * 25
    own[3 * 5 + 1], own[0] = "my own words", "123"
    traits = traits_of(figure(support=own, typed="ω"))
    [texts] = run_node("language", [("readAll", [traits])])
    wanted = [text for one in languages() for text in one["samples"][:2]]
    wanted[3 * 2 + 1], wanted[0] = "my own words", "123"
    assert texts["support"] == wanted and texts["asked"] == "ω"
    assert texts["labels"] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    title = languages()[0]["title"]
    problem = {"way": 0, "shot": 0, "text": f"{title}, sample 1: there is no word in it."}
    assert texts["problems"] == [problem]
    assert texts["askedProblem"] == "“ω” is not a Latin letter"


def test_the_text_asked_about_is_the_readers_or_the_example():
    mine, example = run_node(
        "language",
        [("readAll", [traits_of(figure(typed=typed))]) for typed in ("kaksi sanaa", None)],
    )
    assert (mine["asked"], example["asked"]) == ("kaksi sanaa", asked_in(6)[1])
    assert not mine["problems"] and "askedProblem" not in example


def test_chances_and_centroid_are_those_of_numpy_whatever_changed():
    """Fewer steps, more steps, another support set and another text, one after the other."""
    support = [None] * 25
    support[10] = "ala bala portocala"
    changed = [text for one in languages() for text in one["samples"][:2]]
    changed[4] = support[10]
    changes = [{}, {"n_inner_steps": 1}, {"n_inner_steps": 4}, {"typed": "dobra kniha"}]
    changes += [{"support": support}, {"n_shots": 1, "support": [None] * 25}, {"n_inner_steps": 0}]
    [answers] = run_node("language", [("judged", [traits_of(figure()), changes])])
    asked = asked_in(6)[1]
    wanted = [
        judgement(asked),
        judgement(asked, n_inner_steps=1),
        judgement(asked, n_inner_steps=4),
    ]
    wanted += [judgement("dobra kniha", n_inner_steps=4)]
    wanted += [judgement("dobra kniha", n_inner_steps=4, support=tuple(changed))]
    wanted += [judgement("dobra kniha", 1, n) for n in (4, 0)]
    for answer, (before, after, centroid) in zip(answers, wanted, strict=True):
        assert np.allclose(answer, [*before, *after, centroid], rtol=1e-9, atol=1e-12)


def test_an_inner_loop_starts_anew_for_other_samples():
    rng = np.random.default_rng(0)
    theta, paths = MODEL.init(rng), []
    one, other = (["aa", "bb"], [0, 1]), (["aa", "cc"], [0, 1])
    asked = [(*one, 2), (*one, 0), (*other, 1), (*one, 1)]
    for texts, labels, n in asked:
        x = np.array([[language.features(text) for text in texts]])
        task = Task(x, np.array([labels]), x, np.array([labels]))
        paths.append(maml.adapt(MODEL, theta, task, alpha=0.3, n_inner_steps=n)[0])
    [found] = run_node("language", [("walked", [NET, flat(theta), 0.3, asked])])
    for theirs, ours in zip(found, paths, strict=True):
        assert np.allclose(theirs, ours, rtol=1e-9, atol=1e-12)


def test_n_grams_are_counted_to_255_and_stacked():
    text = "abc " * 300
    rows = np.arange(2.0 * language.N_BUCKETS).reshape(2, -1)
    counted = language.counts(text)
    assert counted.max() == 255
    cases = [("countsOf", [language.words(text)]), ("stacked", [rows.tolist()])]
    assert_all_close("language", cases, [counted, rows])
    found = run_node("language", [("timesComputed", [["one", "two", "one", "two", "three"]])])
    assert found == [[0, 1, 0, 1, 4]]


def test_rows_show_the_samples_and_how_likely_each_language_is():
    shown, (before, after, _) = page(), judgement(asked_in(6)[1])
    titles = [one["title"] for one in languages()]
    assert shown["titles"] == shown["labels"] == titles
    assert shown["chips"] == [text for one in languages() for text in one["samples"]]
    assert shown["hidden"] == [shot >= 2 for _ in range(5) for shot in range(5)]
    assert shown["sizes"] == [min(44, max(8, len(text))) for text in shown["chips"]]
    assert shown["chip labels"][7] == f"{titles[1]}, sample 3"
    assert shown["invalid"] == ["false"] * 25
    for name, chances in (("before", before), ("after", after)):
        widths = [float(width.removesuffix("%")) for width in shown[f"bars {name}"]]
        assert np.allclose(widths, 100 * chances)
    assert shown["shares"] == [
        f"{name} {100 * chances[way]:.0f}%"
        for way in range(5)
        for name, chances in (("before", before), ("after", after))
    ]
    likely = ["mf-likely" in one.split() for one in shown["likely"]]
    assert likely == [way == after.argmax() for way in range(5)]


def sentence(asked, truth="", steps="3 inner steps", samples="2 samples", **settings):
    before, after, centroid = judgement(asked, **settings)
    titles, best = [one["title"] for one in languages()], after.argmax()
    beyond = [] if steps == "1 inner step" else ["inner steps (in training up to 2)"]
    beyond += [] if samples == "1 sample" else ["samples each (in training only 1)"]
    return (
        f"After {steps} on {samples} of each language the network says {titles[best]}: "
        f"{100 * after[best]:.0f}%, against {100 * before[best]:.0f}% before. "
        f"The nearest mean of n-grams says {titles[centroid]}.{truth}"
        f"{in_training(', '.join(beyond)) if beyond else ''}"
    )


def test_the_sentence_says_what_is_likely_and_what_is_true():
    way, asked = asked_in(6)
    truth = f" It is {languages()[way]['title']}."
    assert page()["said"] == [sentence(asked, truth)] and page()["asked"] == [asked]
    once = {"n_shots": 1, "n_inner_steps": 1}
    found = page(typed="dobra kniha", **once)
    assert found["said"] == [sentence("dobra kniha", "", "1 inner step", "1 sample", **once)]
    assert found["asked"] == ["dobra kniha"] and found["asked invalid"] == ["false"]


CHIPS = ("read", "button.mf-try")


@pytest.mark.parametrize("seed", range(6))
def test_chips_do_what_they_say(seed):
    """At the first settings, as the page computes: right, or wrong where they say so."""
    fresh = WhichLanguageIsThis.from_package(seed=seed)
    names, texts = show(fresh, CHIPS, ("read", "button.mf-try", "title"))
    rights = [name for name in names if name != "one it gets wrong"]
    assert len(rights) >= 3 and len(set(names)) == len(names) <= len(rights) + 1
    assert seed > 0 or "one it gets wrong" in names
    for k, (name, text) in enumerate(zip(names, texts, strict=True)):
        [typed], [said] = show(
            *(fresh, ("event", "button.mf-try", k, "click"), ("wait", 3000)),
            *(("read", ".mf-asked-text input", "value"), STATUS),
        )
        [answer], [truth] = (re.findall(f"{words} ([^:.]+)[:.]", said) for words in SAYS)
        assert typed == text and (answer == truth == name if name in rights else answer != truth)


SAYS = ("the network says", "It is")


def test_chips_are_those_of_the_languages_that_are_shown():
    first, other, back = show(
        WhichLanguageIsThis.from_package(),
        *(CHIPS, ("press", "Other languages"), CHIPS, ("press", "Reset"), CHIPS),
    )
    assert first == back != other and "Finnish" in first and "Swedish" in other


def test_where_the_inner_loop_diverges_there_are_no_chips():
    found = WhichLanguageIsThis.from_package(alpha=10.0, n_inner_steps=10).chips
    assert all(len(one) < 6 for one in found)


def test_an_adaptation_that_does_harm_is_named():
    before, ends = (
        [0.3, 0.2, 0.2, 0.2, 0.1],
        [[0.1, 0.2, 0.3, 0.3, 0.1], [0.304, 0.2, 0.2, 0.2, 0.1]],
    )
    views = [{"before": before, "after": one, "centroid": 0} for one in ends]
    example = ORDER.index(0)
    traits = traits_of(figure(n_shots=1, n_inner_steps=1, example=example))
    own = traits_of(figure(n_shots=1, n_inner_steps=1, typed="dobra kniha"))
    given = [[traits, views[0]], [traits, views[1]], [own, views[0]]]
    said = run_node("language", [("describe", one) for one in given])
    title = languages()[0]["title"]
    harm = f" Adapting made it worse: {title} had 30% before and has 10% now."
    assert said[0].endswith(f" It is {title}.{harm}")
    assert not any("worse" in one for one in said[1:])


def test_a_text_that_cannot_be_read_is_named_and_nothing_is_judged():
    support = [None] * 25
    support[2 * 5 + 1] = "слово"
    bad, foreign = page(support=tuple(support)), page(typed="123")
    title = languages()[2]["title"]
    assert bad["said"] == [f"{title}, sample 2: “с” is not a Latin letter."]
    assert bad["invalid"] == ["true" if k == 11 else "false" for k in range(25)]
    assert foreign["said"] == [
        "The text to place: there is no word in it. Type a word or two in Latin letters."
    ]
    assert foreign["asked invalid"] == ["true"] and bad["asked invalid"] == ["false"]
    for one in (bad, foreign):
        assert set(one["bars after"]) == {"0%"} and set(one["shares"]) == {""}
        assert not any("mf-likely" in name for name in one["likely"])
    beyond = page(support=tuple(None if k != 12 else "123" for k in range(25)))
    assert beyond["said"] == page()["said"]  # a third sample is not used


def test_what_is_typed_reaches_the_network():
    traits = ("traits", "typed", "example", "seed")
    said, typed, support, invalid, healed = show(
        figure(),
        *[("wait", 1500), ("type", ".mf-asked-text input", 0, "dobra kniha"), ("wait", 1500)],
        *[STATUS, traits, ("type", ".mf-chip", 8, "moje"), ("traits", "support")],
        *[("wait", 1500), ("type", ".mf-asked-text input", 0, "?"), ("wait", 1500), STATUS],
        *[("type", ".mf-asked-text input", 0, "dobra kniha"), ("wait", 1500), STATUS],
    )
    assert said == healed == [sentence("dobra kniha")] and typed == ["dobra kniha", 6, 1]
    assert support == [[None] * 8 + ["moje"] + [None] * 16]
    assert invalid[0].startswith("The text to place: there is no word in it.")


def test_buttons_go_on_and_back():
    traits = ("traits", "typed", "example", "seed", "support")
    none = [None] * 25
    other, another, again = show(
        figure(typed="one", support=["a", *none[1:]]),
        *[("press", "Another example"), traits],
        *[("press", "Other languages"), traits, ("press", "Reset"), traits],
    )
    assert other == [None, 7, 1, ["a", *none[1:]]]
    assert another == [None, 0, 2, none] and again == ["one", 6, 1, ["a", *none[1:]]]


def test_a_text_that_cannot_be_read_ends_the_judgement_before_it():
    said, bars = show(
        figure(n_inner_steps=10),
        *[("set", {"typed": "123"}), ("wait", 3000), STATUS, READS["bars after"]],
    )
    assert said[0].startswith("The text to place: there is no word in it.")
    assert set(bars) == {"0%"}


def test_nothing_goes_on_once_the_figure_is_left():
    before, after = show(figure(), ("left",), ("leave",), ("left",))
    assert before[0] > 0 and after == [0, 0, 0, 0]


def test_sliders_reach_what_python_allows():
    ends = [("read", "input[type=range]", name) for name in ("min", "max")]
    lows, highs, labels, steps, values = show(figure(), *ends, *SLIDERS)
    assert labels == ["inner steps", "samples each"]
    assert values == ["3, beyond training", "2, beyond training"]
    assert [float(v) for v in steps] == [1, 1]
    limits = [WhichLanguageIsThis.n_inner_steps, WhichLanguageIsThis.n_shots]
    assert [float(v) for v in lows] == [kind.min for kind in limits]
    assert [float(v) for v in highs] == [kind.max for kind in limits]
