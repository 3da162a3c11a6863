"""Names, n-grams and episodes of the language chapter, and their JavaScript."""

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from node import assert_all_close, flat, run_node

from maml_teach import data, maml
from maml_teach.applications import language
from maml_teach.applications.language import MODEL, N_BUCKETS, WhichLanguage, shipped_names
from maml_teach.widgets import WhichLanguageIsThis
from maml_teach.widgets.language import SETS

DATA = Path(data.__file__).parent / "language.npz"
TEXTS = [
    "Itävallansaksa, sveitsin WIR-frangi (100)",
    "ISI Afar İstanbul \u0131spanak",
    "Côte d\u2019Ivoire",
    "bekee ndị united kingdom",
    "lea faka\u02bbafāla ﬁne 5ª",
    "mɛ̀gsîk ǂkhoa",
    "ß",
]


def made_up(n_languages=6, n_names=40):
    """Languages that differ in their vowel, for tests that need no data."""
    vowels = "aeiouy"[:n_languages]
    return {
        vowel: tuple(f"{one}{vowel}{two}" for one in "bcdfghk" for two in "lmnprst")[:n_names]
        for vowel in vowels
    }


def test_hash_is_the_published_one():
    """Test vectors of FNV-1a, 32 bits, from its authors."""
    known = {"": 0x811C9DC5, "a": 0xE40C292C, "foobar": 0xBF9CF968, "b": 0xE70C2DE5}
    assert {text: language.fnv1a(text) for text in known} == known
    assert run_node("language", [("fnv1a", [text]) for text in known]) == list(known.values())


def test_n_grams_of_a_word_by_hand():
    grams = [" ", "a", "b", " ", " a", "ab", "b ", " ab", "ab "]
    wanted = np.zeros(N_BUCKETS)
    for gram in grams:
        wanted[language.fnv1a(gram) % N_BUCKETS] += 1
    assert np.array_equal(language.counts("AB!"), wanted)
    assert np.array_equal(language.counts("ab, ab"), 2 * wanted)
    x = language.features("ab")
    assert np.linalg.norm(x) == pytest.approx(language.SCALE)
    space, letter = (x[language.fnv1a(gram) % N_BUCKETS] for gram in (" ", "a"))
    assert space == pytest.approx(2**0.5 * letter)


def test_words_are_those_of_javascript():
    answers = run_node("language", [("readWords", [text]) for text in TEXTS])
    assert [answer["words"] for answer in answers] == [language.words(text) for text in TEXTS]


def test_letters_are_latin_in_both():
    """Every letter up to U+20FF, and some from beyond."""
    letters = [chr(c) for c in [*range(0x2100), 0x3042, 0x4E2D, 0xA723, 0xAC00, 0xFF21, 0x1D400]]
    letters = [c for c in letters if unicodedata.category(c) in ("Ll", "Lu", "Lo", "Lt")]
    answers = run_node("language", [("readWords", [letter]) for letter in letters])
    refused = [letter for letter in letters if not readable(letter)]
    assert refused == [c for c, answer in zip(letters, answers, strict=True) if "message" in answer]
    assert {"ж", "λ", "中"} < set(refused) and not {"z", "ŋ", "ǂ"} & set(refused)


def readable(text):
    try:
        return bool(language.words(text))
    except ValueError:
        return False


def test_features_and_inner_loop_are_those_of_javascript():
    rng = np.random.default_rng(0)
    theta = MODEL.init(rng)
    task = WhichLanguage(made_up()).sample(rng, 1, 2, 1)
    x, y = task.x_support[0], task.y_support[0]
    theta_prime = maml.adapt(MODEL, theta, task, alpha=0.3, n_inner_steps=1)[0]
    scores = MODEL.predict(theta_prime, task.x_query[0])
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    net = {"sizes": list(MODEL.sizes), "activation": "tanh"}
    common = [net, flat(theta), flat(x), flat(y)]
    cases = [("features", [text]) for text in TEXTS]
    cases += [
        ("crossEntropyGradient", common),
        ("innerStep", [*common, 0.3]),
        ("softmax", [flat(scores), 5]),
    ]
    wanted = [language.features(text) for text in TEXTS]
    wanted += [MODEL.gradient(theta, x, y), theta_prime]
    wanted += [shares / shares.sum(axis=1, keepdims=True)]
    assert_all_close("language", cases, wanted)
    assert np.abs(theta_prime - theta).max() > 1e-3


def test_centroids_are_those_of_javascript():
    tasks = WhichLanguage(shipped_names("test")).sample(np.random.default_rng(1), 6, 2, 2)
    cases = [
        ("nearestCentroid", [flat(tasks.x_support[t]), flat(tasks.y_support[t]), flat(q)])
        for t in range(6)
        for q in tasks.x_query[t]
    ]
    found = language.nearest_centroid(tasks)
    assert run_node("language", cases) == np.ravel(found).tolist()
    assert np.mean(found == tasks.y_query) > 0.4


def test_half_precision_numbers_of_javascript():
    values = np.float16([0, 1, -1, 0.1, -65504, 6e-8, 5e-5, -2.5e-5, 1 / 3])
    [answer] = run_node("language", [("halves", [list(values.tobytes())])])
    assert answer == values.astype(float).tolist()


def test_an_episode_has_its_languages_and_no_name_twice():
    names = made_up()
    family = WhichLanguage(names)
    tasks = family.sample(np.random.default_rng(2), 3, 4, 5)
    again = family.sample(np.random.default_rng(2), 3, 4, 5)
    assert tasks.x_support.shape == (3, 20, N_BUCKETS) and tasks.x_query.shape == (3, 25, N_BUCKETS)
    assert tasks.y_query.tolist() == [np.repeat(range(5), 5).tolist()] * 3
    assert np.array_equal(tasks.x_query, again.x_query)
    one = WhichLanguage(names, n_ways=1, n_names=1).sample(np.random.default_rng(0), 1, 20, 20)
    rows = np.concatenate([one.x_support[0], one.x_query[0]])
    assert len(np.unique(rows.round(9), axis=0)) == 40


def test_a_sample_belongs_to_its_label():
    """The vowel tells the language: its bucket must be filled in all samples of one way."""
    family = WhichLanguage(made_up())
    tasks = family.sample(np.random.default_rng(3), 1, 3, 3)
    vowel = [language.fnv1a(v) % N_BUCKETS for v in family.names]
    which = lambda x: (x[:, vowel]).argmax(axis=1)  # noqa: E731
    of_way = which(tasks.x_support[0])[::3]
    assert len(set(of_way)) == 5
    assert np.array_equal(which(tasks.x_query[0]), of_way[tasks.y_query[0]])


def test_bad_input_is_named():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"locale must be one that babel knows.*'xx'"):
        language.cldr_names("xx")
    with pytest.raises(ValueError, match="at least one word, got ''"):
        language.features("")
    with pytest.raises(ValueError, match="at least one word"):
        language.features("12 - ?")
    with pytest.raises(ValueError, match=r"Latin letters.*'ж'"):
        language.words("жук")
    with pytest.raises(ValueError, match="n_ways is 7, but there are only 6"):
        WhichLanguage(made_up(), n_ways=7)
    with pytest.raises(ValueError, match="has 40 names, but 21 samples"):
        WhichLanguage(made_up()).sample(rng, 1, 1, 20)
    with pytest.raises(ValueError, match="n_shots"):
        WhichLanguage(made_up()).sample(rng, 1, 0, 1)
    with pytest.raises(ValueError, match="part must be one of"):
        shipped_names("all")
    with pytest.raises(ValueError, match="theta has shape"):
        WhichLanguageIsThis(np.zeros(3), {}, {})
    with pytest.raises(ValueError, match="theta must be finite"):
        WhichLanguageIsThis(np.full(MODEL.n_params, np.nan), {}, {})
    with pytest.raises(ValueError, match="20 names of 'fi', got 0"):
        WhichLanguageIsThis(np.zeros(MODEL.n_params), {}, {})
    with pytest.raises(ValueError, match="five different languages"):
        WhichLanguageIsThis(np.zeros(MODEL.n_params), {}, {}, sets=[("fi", "fi")])
    with pytest.raises(ValueError):
        WhichLanguageIsThis.from_package(n_shots=6)


def test_names_are_those_of_the_locale():
    """Against babel's own way to ask for a name."""
    babel = pytest.importorskip("babel")
    finnish, in_finnish = language.cldr_names("fi"), babel.Locale("fi")
    assert in_finnish.territories["FR"].lower() == "ranska" in finnish
    assert in_finnish.languages["sv"].lower() in finnish
    assert "january" not in finnish and language.cldr_names("ja") == ()
    assert language.cldr_names("en") == ()
    assert language.language_name("fi") == "Finnish"


def test_no_shipped_language_is_a_variant_of_another():
    parts = [shipped_names(part) for part in ("train", "choice", "test")]
    names = {locale: set(some) for part in parts for locale, some in part.items()}
    assert len(names) == sum(map(len, parts)) > 100
    assert not {"nb", "nn", "ht", "hr", "en"} & set(names) and {"no", "bs"} <= set(names)
    for locale, own in names.items():
        others = [other for name, other in names.items() if name != locale]
        # 60 of up to 400 names are here, so the share differs a little from that of all names.
        assert max(len(own & other) / len(own) for other in others) < 2 * language.TOO_ALIKE
    # The figure shows each test language once.
    assert sorted(locale for one in SETS for locale in one) == sorted(parts[2])


def test_the_figure_adapts_at_the_rate_of_the_training():
    with np.load(DATA) as shipped:
        rate = json.loads(str(shipped["config"]))["alpha"]["maml"]
    assert WhichLanguageIsThis.from_package().alpha == rate
