"""Sentences as their authors pack them, made up in small; the tasks, features and runs of them."""

import csv
import json
import sys

import numpy as np
import pytest
import torch
import train_intents as script
import train_lora

from maml_teach import maml_torch
from maml_teach.applications import intents
from maml_teach.applications.intents import Intents, bag_of_words, banking77, clinc150, scaled

DOMAINS, N_INTENTS, N_SENTENCES = ("bank", "home", "work"), 5, 18
WORDS = "abcdefgh"


def sentence(rng, intent):
    """Words that are mostly the intent's own, so that an intent can be told from another."""
    own, rest = f"word{intent}", rng.choice(list(WORDS), 2)
    return " ".join(
        [own, own, own, *map(str, rest), f"{own}{rng.integers(3)}", str(rng.integers(10**6))]
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with both data sets in the layout of their authors."""
    top, rng = tmp_path_factory.mktemp("intents"), np.random.default_rng(0)
    names = {domain: [f"{domain} {k}" for k in range(N_INTENTS)] for domain in DOMAINS}
    pairs = [
        [sentence(rng, f"{intent}".replace(" ", "")), intent]
        for own in names.values()
        for intent in own
        for _ in range(N_SENTENCES)
    ]
    parts = {"train": pairs[::2], "val": pairs[1::4], "test": pairs[3::4], "oos_test": []}
    parts["test"] = [*parts["test"], ["nothing of this kind", "oos"]]
    (top / "clinc150").mkdir()
    (top / "clinc150" / "data_full.json").write_text(json.dumps(parts), "utf-8")
    (top / "clinc150" / "domains.json").write_text(json.dumps(names), "utf-8")
    (top / "banking77").mkdir()
    for name, some in (("train", pairs[::2]), ("test", pairs[1::2])):
        with (top / "banking77" / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["text", "category"], *some])
    return top


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """The files of a tiny encoder with random weights."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("peft", reason="peft is not installed")
    folder = tmp_path_factory.mktemp("encoder")
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789"]
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{one}" for one in letters)]
    (folder / "vocab.txt").write_text("\n".join(known), "utf-8")
    tokenizer = transformers.BertTokenizerFast(vocab={one: k for k, one in enumerate(known)})
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 3, "intermediate_size": 16}
    config = transformers.BertConfig(vocab_size=len(known), num_attention_heads=2, **sizes)
    transformers.BertModel(config).save_pretrained(folder)
    return folder


def test_all_intents_and_their_domains_are_read_and_none_out_of_scope(data):
    found = clinc150(data / "clinc150")
    assert len(found.names) == 15 and "oos" not in found.names
    assert np.bincount(found.labels).tolist() == [N_SENTENCES] * 15
    domain_of = dict(zip(found.names, found.groups, strict=True))
    assert domain_of["home 3"] == "home" and set(found.groups) == set(DOMAINS)
    for text, label in zip(found.texts, found.labels, strict=True):
        assert f"word{found.names[label]}".replace(" ", "") in text
    again = banking77(data / "banking77")
    assert again.groups == again.names == found.names
    assert sorted(again.texts) == sorted(found.texts)


def test_a_folder_that_is_not_the_data_is_named(tmp_path, data):
    with pytest.raises(ValueError, match=r"has no file data_full\.json"):
        clinc150(tmp_path)
    with pytest.raises(ValueError, match=r"has no file train\.csv"):
        banking77(tmp_path)
    whole = (data / "clinc150" / "data_full.json").read_text("utf-8")
    (tmp_path / "data_full.json").write_text(whole[:200], "utf-8")
    with pytest.raises(ValueError, match=r"data_full\.json is not whole"):
        clinc150(tmp_path)
    (tmp_path / "data_full.json").write_text('{"train": []}', "utf-8")
    (tmp_path / "domains.json").write_text("{}", "utf-8")
    with pytest.raises(ValueError, match=r"data_full\.json must hold pairs"):
        clinc150(tmp_path)
    (tmp_path / "train.csv").write_text("text,category\nhello,\n", "utf-8")
    with pytest.raises(ValueError, match=r"row 2 of train\.csv must have a text and a category"):
        banking77(tmp_path)


def test_no_domain_is_on_two_sides_of_the_split(data):
    sentences = clinc150(data / "clinc150")
    sizes = {"test": 1, "choice": 1, "train": 1}
    parts = intents.split_groups(sentences, sizes, seed=3)
    domains = [{sentences.groups[k] for k in own} for own in parts.values()]
    assert all(len(own) == 1 for own in domains) and len(set.union(*domains)) == 3
    assert sorted(np.concatenate(list(parts.values()))) == list(range(15))


def test_the_last_part_gets_the_rest(data):
    sentences = banking77(data / "banking77")
    parts = intents.split_groups(sentences, {"test": 4, "train": 2}, seed=0)
    assert [len(own) for own in parts.values()] == [4, 11]


def test_a_sentence_is_in_one_set_of_a_task_and_has_the_label_of_its_intent(data):
    sentences = clinc150(data / "clinc150")
    numbers = np.arange(len(sentences.texts))[:, None]
    family = Intents(numbers, sentences.labels, np.arange(4, 13))
    tasks = family.sample(np.random.default_rng(0), 20, 2, 3)
    ways = family.classes[family.ways(np.random.default_rng(0), 20)]
    for t in range(20):
        for x, y in (
            (tasks.x_support[t], tasks.y_support[t]),
            (tasks.x_query[t], tasks.y_query[t]),
        ):
            assert np.array_equal(sentences.labels[x[:, 0]], ways[t][y])
        both = np.concatenate([tasks.x_support[t], tasks.x_query[t]])
        assert len(np.unique(both)) == 25


def test_what_a_family_cannot_give_is_named():
    with pytest.raises(ValueError, match="n_ways is 5, but there are only 3 intents"):
        Intents(np.zeros((6, 2)), np.arange(6) // 2, np.arange(3))
    with pytest.raises(ValueError, match="labels must have one entry for each of the 6 features"):
        Intents(np.zeros((6, 2)), np.arange(4), np.arange(3), 2)
    family = Intents(np.zeros((6, 2)), np.arange(6) // 2, np.arange(3), 2)
    with pytest.raises(ValueError, match=r"intent \d has 2 sentences, but n_shots"):
        family.sample(np.random.default_rng(0), 1, 2, 1)


def test_a_bag_of_words_counts_words_and_nothing_else():
    one, other, third = bag_of_words(["Pay my bill!", "bill, my pay", "pay pay pay pay my bill"])
    assert np.array_equal(one, other) and np.linalg.norm(third) == pytest.approx(intents.SCALE)
    roots = third / third[third > 0].min()
    assert sorted(roots[roots > 0].round(5).tolist()) == [1, 1, 2]  # roots of 1, 1 and 4
    with pytest.raises(ValueError, match="at least one word each"):
        bag_of_words(["hello", "?!"])


def test_features_are_of_the_same_length():
    x = scaled(np.random.default_rng(0).normal(size=(5, 7)))
    assert np.allclose(np.linalg.norm(x, axis=1), intents.SCALE) and x.dtype == np.float32


def test_an_encoded_sentence_is_the_mean_of_its_tokens_layer_by_layer(encoder):
    from maml_teach.applications import intents_torch

    texts = ["a longer one of ten words", "b 7", "short one"]
    tokenizer, network = intents_torch.encoder_from(encoder)
    found = intents_torch.encoded(tokenizer, network, texts, n_at_once=2)
    assert found.shape == (4, 3, 16)
    for k, text in enumerate(texts):  # alone, so that nothing is padded
        with torch.no_grad():
            layers = network(**tokenizer(text, return_tensors="pt"), output_hidden_states=True)
        wanted = torch.stack(layers.hidden_states)[:, 0].mean(dim=1).numpy()
        assert np.allclose(found[:, k], scaled(wanted), atol=1e-4)
    with pytest.raises(ValueError, match=r"holds no model: it has no config\.json"):
        intents_torch.encoder_from(encoder.parent)


def test_lora_starts_at_the_encoder_and_its_meta_gradient_is_exact(encoder):
    """Against autograd that keeps the graph of the whole inner loop, in double precision."""
    from maml_teach.applications import intents_torch
    from maml_teach.tasks import Task

    tokenizer, network = intents_torch.encoder_from(encoder)
    texts = [f"word{k} {k}" for k in range(8)]
    batch = intents_torch.tokens(tokenizer, texts)
    before = network(**batch).last_hidden_state.detach()
    model, theta = intents_torch.wrapped(network.double(), 2, seed=0)
    with torch.no_grad():
        after = model.module.encoder(**batch).last_hidden_state
    assert torch.allclose(before.double(), after, atol=1e-5)
    assert model.n_params == 3 * 2 * 2 * 4 * 16 + 2 * 16 + 2  # layers, places, halves, rank 4; head
    rows = np.arange(8).reshape(1, 8)
    x = [intents_torch.of_rows(batch, rows[:, part]) for part in (slice(4), slice(4, 8))]
    y = np.array([[0, 0, 1, 1]])
    task, rng = Task(x[0], y, x[1], y), torch.Generator().manual_seed(0)
    theta = theta.double() + 0.1 * torch.randn(theta.shape, generator=rng).double()
    inner = {"alpha": 0.1, "n_inner_steps": 2}
    loss, walked = maml_torch.maml_gradient(model, theta, task, **inner)
    loss_again, unrolled = maml_torch.unrolled_gradient(model, theta, task, **inner)
    assert torch.allclose(loss, loss_again) and walked.abs().max() > 1e-4
    assert torch.allclose(walked, unrolled, rtol=1e-8, atol=1e-12)


def run(monkeypatch, *words, script=script):
    monkeypatch.setattr(sys, "argv", [script.__name__, *map(str, words)])
    script.main()


@pytest.fixture(scope="module")
def made(data, encoder, tmp_path_factory):
    """What a quick run of the script makes of the made-up data."""
    folder = tmp_path_factory.mktemp("run")
    words = ["--data", data, "--encoder", encoder, "--quick", "--folder", folder]
    with pytest.MonkeyPatch.context() as patch:
        run(patch, *words, "--target", folder / "intents.npz")
    with np.load(folder / "intents.npz") as file:
        return dict(file), folder, words


def test_a_quick_run_has_accuracies_of_every_method_data_set_and_task(made):
    found, config = made[0], json.loads(str(made[0]["config"]))
    assert config == json.loads(json.dumps(script.QUICK))
    trained = [*script.ADAPTING, "protonet"]
    for data in script.READERS:
        for name in (*script.UNTRAINED, *trained):
            shares = found[f"accuracy {name} {data} 5w1s"]
            assert shares.shape == (1, 2) and (shares >= 0).all() and (shares <= 1).all()
    assert set(json.loads(str(found["tried"]))) == {"maml 0.1 2", "maml 0.3 2"}
    kinds = ["bag of words", "word vectors", "layer 1", "layer 2", "8 dimensions"]
    assert list(found["kinds"])[:4] == kinds[:4] and found["kinds"][-1] == "the whole encoder"
    assert found["grid maml 5w1s"].shape == (len(found["kinds"]), 1)
    # Each intent has a word of its own, which a bag of words cannot miss.
    assert found["grid logistic 5w1s"][0].mean() > 0.8
    costs = json.loads(str(found["costs"]))
    assert set(costs["seconds"]) == set(script.TRAINED)
    assert set(costs["milliseconds"]) == {"centroid", "logistic", *trained}


def test_a_finished_run_is_read_and_not_trained_again(made, monkeypatch):
    before, folder, words = made

    def refused(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr("artifacts.meta_train", refused)
    run(monkeypatch, *words, "--target", folder / "again.npz")
    with np.load(folder / "again.npz") as after:
        for key in before:
            if key.startswith("accuracy"):
                assert np.array_equal(before[key], after[key])


def test_a_quick_run_through_the_encoder(made, monkeypatch):
    """Fine-tuned and meta-trained, on the first test tasks, at the better of two outer rates."""
    _, folder, words = made
    target = folder / "lora.npz"
    run(monkeypatch, *words, "--target", target, script=train_lora)
    with np.load(target) as found:
        assert json.loads(str(found["config"])) == json.loads(json.dumps(train_lora.QUICK))
        assert {found[f"{name} 5w1s"].shape for name in ("finetuned", "maml")} == {(1, 2)}
        betas = json.loads(str(found["betas"]))
        assert json.loads(str(found["inner"])) == {
            "5w1s": {name: [[0.1, 1]] for name in ("finetuned", "maml")}
        }
    assert set(betas) == {"0.001", "0.0001"}
    runs = {beta: np.load(folder / f"5w1s 0 {float(beta):g}.npz")["theta"] for beta in betas}
    assert len({theta.tobytes() for theta in runs.values()}) == 2


def test_without_the_data_the_script_says_what_is_missing(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, "--data", tmp_path)
    assert "has no folder clinc150" in capsys.readouterr().err
