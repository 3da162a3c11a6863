"""Words, n-grams, samples and names by hand, and the nearest centroid by scikit-learn."""

from collections import Counter

import babel
import numpy as np
import pytest
from babel import localedata
from sklearn.metrics.pairwise import cosine_similarity

from maml_teach.applications import language
from maml_teach.applications.language import N_BUCKETS, WhichLanguage, shipped_names
from maml_teach.tasks import Task


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Kiina (2) Hongkong", ["kiina", "hongkong"]),
        ("İSTANBUL", ["istanbul"]),
        ("d'Ivoire l\u2019eau '", ["d'ivoire", "l\u2019eau"]),
        ("kilo/meter-h²", ["kilo", "meter", "h"]),
        ("e\u0301te\u0301", ["\u00e9t\u00e9"]),
        ("\ufb01ne", ["fine"]),
        ("mɛ̀gsîk", ["mɛ̀gsîk"]),
    ],
)
def test_words_by_hand(text, wanted):
    kept = [word.replace("2", "") for word in language.words(text)]
    assert kept == wanted


@pytest.mark.parametrize("c", "aßŋǂ\u0301'\u02bb")
def test_latin_letters_and_marks_are_taken(c):
    assert language._is_latin(c)


@pytest.mark.parametrize("c", "жλאあ中")
def test_other_letters_are_not(c):
    assert not language._is_latin(c)


def grams(text):
    """Letter n-grams of one to three, counted with a dictionary."""
    found = Counter()
    for word in text.split():
        letters = [" ", *word, " "]
        for k in range(len(letters)):
            for end in (k + 1, k + 2, k + 3):
                if end <= len(letters):
                    found["".join(letters[k:end])] += 1
    return found


def in_buckets(counted):
    sums = np.zeros(N_BUCKETS)
    for gram, n in counted.items():
        sums[language.fnv1a(gram) % 1024] += n
    return sums


@pytest.mark.parametrize("text", ["a", "été", "suomen kieli", "aaaa aa"])
def test_n_grams_are_counted(text):
    assert np.array_equal(language.counts(text), in_buckets(grams(text)))


def test_counts_are_bytes_and_end_at_255():
    many = language.counts(200 * "ab ")
    assert many.dtype == np.uint8 and many.shape == (1024,)
    assert many.max() == 255 and many[language.fnv1a("ab") % 1024] == 200


def test_features_are_square_roots_in_length_twelve():
    sums = np.zeros((2, 3, N_BUCKETS))
    sums[0, 0, :3], sums[:, :, 5] = [4, 9, 0], 36
    found = language.scaled(sums)
    assert found[0, 0, [0, 1, 2, 5]] == pytest.approx(12 / 7 * np.array([2, 3, 0, 6]))
    assert found[1, 2, 5] == pytest.approx(12)
    assert np.array_equal(language.features("ei"), language.scaled(language.counts("ei")))


NAMES = {"one": ("aab", "abb", "bab"), "two": ("ccd", "dcd", "ddc"), "three": ("ef", "fef", "eef")}


def pair_sums(names):
    """Features of every two different names of a language."""
    both = [
        language.counts(a).astype(float) + language.counts(b) for a in names for b in names if a < b
    ]
    return language.scaled(both)


def test_a_sample_is_two_different_names_of_its_language():
    family, rng = WhichLanguage(NAMES, n_ways=2), np.random.default_rng(0)
    for k, names in enumerate(NAMES.values()):
        seen, possible = set(), pair_sums(names)
        for _ in range(40):
            (sample,) = family.samples_of(rng, [k], 1)[0]
            gaps = np.abs(possible - sample).max(axis=1)
            assert gaps.min() < 1e-12
            seen.add(int(gaps.argmin()))
        assert seen == {0, 1, 2}


def test_a_sample_may_be_one_name():
    family, rng = WhichLanguage(NAMES, n_ways=2, n_names=1), np.random.default_rng(0)
    found = family.samples_of(rng, [2, 0], 3)
    for samples, language_names in zip(found, (NAMES["three"], NAMES["one"]), strict=True):
        own = sorted(map(tuple, np.stack([language.features(name) for name in language_names])))
        assert np.allclose(sorted(map(tuple, samples)), own)


def test_a_task_has_its_languages_at_random_and_each_in_both_sets():
    family = WhichLanguage(NAMES, n_ways=2, n_names=1)
    tasks, chosen = family.sample(np.random.default_rng(0), 60, 1, 2), []
    letters = [[language.fnv1a(c) % 1024 for c in pair] for pair in ("ab", "cd", "ef")]
    which = lambda x: int(np.argmax([x[own].sum() for own in letters]))  # noqa: E731
    for t in range(60):
        support, query = (
            {int(way): which(x) for x, way in zip(xs, ys, strict=True)}
            for xs, ys in (
                (tasks.x_support[t], tasks.y_support[t]),
                (tasks.x_query[t], tasks.y_query[t]),
            )
        )
        assert support == query and len(set(support.values())) == 2
        chosen.append((support[0], support[1]))
    assert len(set(chosen)) == 6


def test_the_nearest_centroid_is_that_of_the_largest_cosine():
    """Labels in any order, ways of different size."""
    rng = np.random.default_rng(0)
    x_support, x_query = rng.random((3, 7, 40)), rng.random((3, 30, 40))
    y_support = rng.permuted(np.tile([0, 0, 0, 1, 1, 2, 2], (3, 1)), axis=1)
    tasks = Task(x_support, y_support, x_query, np.zeros((3, 30), int))
    found = language.nearest_centroid(tasks)
    for t in range(3):
        means = [x_support[t][y_support[t] == way].mean(axis=0) for way in range(3)]
        assert found[t].tolist() == cosine_similarity(x_query[t], means).argmax(axis=1).tolist()
    assert set(found.ravel()) == {0, 1, 2}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Kiina (Hongkong)", "kiina"),
        ("{0} päivää", "päivää"),
        ("a{0}b (c) d{1}", "a b d"),
        ("open (never closed", "open never closed"),
        (") closed ( open", "closed open"),
        ("Россия", ""),
        ("123", ""),
    ],
)
def test_plain_words_of_an_entry(text, wanted):
    assert language._plain(text) == wanted


def test_all_texts_below_a_node():
    tree = {"a": "one", "b": {"c": "two", "d": {"e": "three", "f": 4}}, "g": "five", "h": None}
    assert list(language._texts(tree)) == ["one", "two", "three", "five"]


def test_names_come_from_every_part_of_the_locale():
    """Babel's own way to them, for entries of one plain word that English does not have."""
    locale, english, wanted = babel.Locale("fi"), babel.Locale("en"), set()
    for part in ("languages", "territories", "scripts", "currencies"):
        other = {name.lower() for name in getattr(english, part).values()}
        words = {name.lower() for name in getattr(locale, part).values() if name.isalpha()}
        wanted |= {word for word in words - other if len(word) >= 6}
    wanted |= set(locale.months["format"]["wide"].values())
    wanted |= set(locale.days["format"]["wide"].values())
    found = language.cldr_names("fi")
    foreign = language._foreign()
    assert len(wanted) > 400 and wanted - foreign <= set(found)
    assert {"tammikuuta", "keskiviikkona"} <= wanted
    assert {"tunti", "vuosi"}.isdisjoint(found)  # five letters
    assert {"neliökilometrit", "vuoden päästä"} <= set(found)  # a unit, and a field of a date


def test_names_are_the_same_whoever_has_looked_at_the_locale():
    localedata._cache.clear()  # as if nobody had
    before = language.cldr_names("fi")
    assert babel.Locale("fi").months["stand-alone"]["wide"][1] == "tammikuu"
    assert language.cldr_names("fi") == before and "tammikuu" not in before


def test_names_are_told_once_and_never_as_in_english_or_the_root_locale():
    for locale in ("fi", "de", "vi"):
        found = language.cldr_names(locale)
        assert len(found) == len(set(found)) > 120
        assert not set(found) & set(language._entries("en"))
        assert not set(found) & set(language._entries("root"))
        assert min(sum(c.isalpha() for c in name) for name in found) == 6
    finnish = language.cldr_names("fi")
    own = set(finnish)
    order = [name for name in language._entries("fi") if name in own]
    assert list(dict.fromkeys(order)) == list(finnish)


def made_up_names(n, *, shared=0, start=""):
    """``n`` names of which the first ``shared`` are those of the language ``large``."""
    return tuple(f"l{k}" if k < shared else f"{start}{k}" for k in range(n))


def test_languages_are_left_out_that_are_small_derived_or_alike(monkeypatch):
    names = {
        "aa": made_up_names(120, start="a"),
        "bb": made_up_names(119, start="b"),
        "cc": made_up_names(200, shared=50, start="c"),
        "dd": made_up_names(200, shared=49, start="d"),
        "large": made_up_names(300, shared=300),
        "nb": made_up_names(400, start="n"),
        "pt_PT": made_up_names(400, start="p"),
        "ee": made_up_names(150, shared=10, start="d"),
    }
    monkeypatch.setattr(localedata, "locale_identifiers", lambda: list(names))
    monkeypatch.setattr(
        "babel.core.get_global", lambda key: {"parent_exceptions": {"nb": "no"}}[key]
    )
    monkeypatch.setattr(language, "cldr_names", names.__getitem__)
    kept = language.distinct_languages()
    assert list(kept) == ["large", "dd", "aa"]
    assert all(kept[name] == names[name] for name in kept)


def test_a_smaller_language_is_measured_by_its_own_names(monkeypatch):
    """A quarter of the small one is a tenth of the large one: the small one goes."""
    names = {
        "small": made_up_names(120, shared=30, start="s"),
        "vast": made_up_names(300, shared=300),
    }
    monkeypatch.setattr(localedata, "locale_identifiers", lambda: list(names))
    monkeypatch.setattr(language, "cldr_names", names.__getitem__)
    assert list(language.distinct_languages()) == ["vast"]


@pytest.mark.parametrize(
    ("locale", "name"), [("fi", "Finnish"), ("gd", "Scottish Gaelic"), ("xx", "xx")]
)
def test_what_english_calls_a_language(locale, name):
    assert language.language_name(locale) == name


def test_shipped_names_are_those_of_the_locales_and_their_titles_english():
    parts = {part: shipped_names(part) for part in ("train", "choice", "test")}
    assert (len(parts["test"]), len(parts["choice"])) == (30, 15)
    titles = language.shipped_titles()
    locales = [locale for part in parts.values() for locale in part]
    assert len(locales) == len(set(locales)) and set(locales) == set(titles)
    assert titles == {locale: language.language_name(locale) for locale in titles}
    for part in parts.values():
        locale, names = next(iter(part.items()))
        own = language.cldr_names(locale)
        assert len(names) == 60 and set(names) <= set(own)
        places = [own.index(name) for name in names]
        assert places == sorted(places) and len(set(places)) == 60


def test_whitened_samples_vary_alike_within_a_language():
    mix = np.random.default_rng(0).normal(size=(6, 6))
    x = np.random.default_rng(1).normal(size=(9, 400, 6)) @ mix
    x += 5 * np.random.default_rng(2).normal(size=(9, 1, 6))  # the languages themselves differ
    white = x @ language.whitening(x, 1e-9)
    off = (white - white.mean(axis=1, keepdims=True)).reshape(-1, 6)
    assert np.allclose(off.T @ off / (len(off) - 9), np.eye(6), atol=1e-6)
    matrix = language.whitening(x, 0.5)
    assert np.allclose(matrix, matrix.T)


def test_much_added_variance_leaves_the_directions_as_they_are():
    x = np.random.default_rng(1).normal(size=(4, 20, 6))
    matrix = language.whitening(x, 1e9)
    assert np.allclose(matrix / matrix[0, 0], np.eye(6), atol=1e-6)
    with pytest.raises(ValueError, match="share"):
        language.whitening(x, 0.0)


def test_the_nearest_whitened_mean_is_the_nearest_mean_of_whitened_samples():
    rng = np.random.default_rng(0)
    names = shipped_names("test")
    tasks = WhichLanguage(names).sample(rng, 4, 3, 5)
    centre, matrix = rng.normal(size=N_BUCKETS), np.diag(rng.uniform(0.5, 2, N_BUCKETS))
    found = language.nearest_whitened(tasks, centre, matrix)
    for t in range(4):
        support, query = ((x[t] - centre) @ matrix for x in (tasks.x_support, tasks.x_query))
        means = [support[tasks.y_support[t] == way].mean(axis=0) for way in range(5)]
        assert np.array_equal(found[t], cosine_similarity(query, means).argmax(axis=1))
