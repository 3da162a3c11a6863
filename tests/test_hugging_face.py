"""Transformers of the package transformers, adapted through peft's LoRA, in their own attention."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from maml_teach import maml_torch
from maml_teach.checks import relative_error
from maml_teach.tasks import Task

WHY = "not installed; it comes with: pip install -e '.[pretrained]'"
transformers = pytest.importorskip("transformers", reason=f"transformers is {WHY}")
peft = pytest.importorskip("peft", reason=f"peft is {WHY}")

EXAMPLE = Path(__file__).parent.parent / "examples" / "hugging_face_lora.py"
N_TOKENS, N_WAYS, N_SUPPORT, N_QUERY = 30, 3, 5, 4
BERT_LIKE = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "max_position_embeddings": 24,
}
# Kind: its configuration, the settings of its dropout, and where query and value are.
KINDS = {
    "bert": (
        lambda **more: transformers.BertConfig(**BERT_LIKE, **more),
        ("hidden_dropout_prob", "attention_probs_dropout_prob"),
        ["query", "value"],
    ),
    "roberta": (
        lambda **more: transformers.RobertaConfig(**BERT_LIKE, **more),
        ("hidden_dropout_prob", "attention_probs_dropout_prob"),
        ["query", "value"],
    ),
    "distilbert": (
        lambda **more: transformers.DistilBertConfig(
            dim=16, n_layers=2, n_heads=2, hidden_dim=20, max_position_embeddings=24, **more
        ),
        ("dropout", "attention_dropout", "seq_classif_dropout"),
        ["q_lin", "v_lin"],
    ),
    "gpt2": (
        lambda **more: transformers.GPT2Config(
            n_embd=16, n_layer=2, n_head=2, n_positions=24, bos_token_id=1, eos_token_id=2, **more
        ),
        ("resid_pdrop", "embd_pdrop", "attn_pdrop"),
        ["c_attn"],
    ),
    "llama": (
        lambda **more: transformers.LlamaConfig(**BERT_LIKE, num_key_value_heads=1, **more),
        ("attention_dropout",),
        ["q_proj", "v_proj"],
    ),
}
MODES = {"eval": (False, 0.0), "train": (True, 0.0), "dropout": (True, 0.3)}


def network(kind, head="SequenceClassification", *, training=False, dropout=0.0, **more):
    """A tiny random model in double precision, LoRA on it, nothing of it at zero."""
    configuration, rates, targets = KINDS[kind]
    more |= dict.fromkeys(rates, dropout) | {"vocab_size": N_TOKENS, "pad_token_id": 0}
    torch.manual_seed(0)
    auto = getattr(transformers, f"AutoModelFor{head}")
    base = auto.from_config(configuration(**{"num_labels": N_WAYS} | more))
    task_type = {"SequenceClassification": "SEQ_CLS", "TokenClassification": "TOKEN_CLS"}[head]
    lora = peft.LoraConfig(task_type=task_type, r=2, target_modules=targets, lora_dropout=dropout)
    net = peft.get_peft_model(base, lora).double().train(training)
    with torch.no_grad():
        for p in net.parameters():
            p += 0.1 * torch.randn_like(p)
    return net


def sentences(rng, n_sentences, n_tokens):
    """Tokens of sentences of several lengths, padded to ``n_tokens`` on the right."""
    lengths = rng.permutation(np.linspace(2, n_tokens, n_sentences).astype(int))
    mask = np.arange(n_tokens) < lengths[:, None]
    ids = rng.integers(1, N_TOKENS, mask.shape) * mask
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask).long()}


def sentence_task(seed, n_tokens=7, target=lambda rng, n: torch.tensor(rng.integers(0, N_WAYS, n))):
    """A single task; its query sentences are longer than its support sentences."""
    rng = np.random.default_rng(seed)
    return Task(
        sentences(rng, N_SUPPORT, n_tokens),
        target(rng, N_SUPPORT),
        sentences(rng, N_QUERY, n_tokens + 2),
        target(rng, N_QUERY),
    )


def by_class(output, y):
    return nn.functional.cross_entropy(output.logits, y)


def plain_loop(net, loss, tasks, alpha, n_inner_steps):
    """Autograd through the inner steps of one task after the other, as every tutorial writes it."""
    start = {name: p for name, p in net.named_parameters() if p.requires_grad}
    meta_loss = 0.0
    with sdpa_kernel(SDPBackend.MATH):
        for task in tasks:
            now = start
            for _ in range(n_inner_steps):
                inner_loss = loss(functional_call(net, now, (), task.x_support), task.y_support)
                steps = torch.autograd.grad(inner_loss, list(now.values()), create_graph=True)
                now = {name: p - alpha * g for (name, p), g in zip(now.items(), steps, strict=True)}
            query_loss = loss(functional_call(net, now, (), task.x_query), task.y_query)
            meta_loss = meta_loss + query_loss / len(tasks)
        gradient = torch.autograd.grad(meta_loss, list(start.values()))
    return meta_loss.detach(), torch.cat([g.reshape(-1) for g in gradient])


def assert_exact(net, loss, tasks, n_inner_steps):
    """``maml_gradient`` against the plain loop; and that second order matters to the answer."""
    model, inner = maml_torch.from_module(net, loss), {"alpha": 0.5, "n_inner_steps": n_inner_steps}
    torch.manual_seed(5)
    expected = plain_loop(net, loss, tasks, 0.5, n_inner_steps)
    after = torch.rand(1)
    torch.manual_seed(5)
    meta_loss, gradient = maml_torch.maml_gradient(model, model.theta(), tasks, **inner)
    assert torch.equal(torch.rand(1), after)
    assert relative_error([float(meta_loss)], [float(expected[0])]) < 1e-8
    assert relative_error(gradient.numpy(), expected[1].numpy()) < 1e-8
    torch.manual_seed(5)
    _, first = maml_torch.fomaml_gradient(model, model.theta(), tasks, **inner)
    assert relative_error(first.numpy(), expected[1].numpy()) > 1e-2


@pytest.mark.parametrize("n_inner_steps", [1, 2])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_meta_gradient_over_lora_is_that_of_the_plain_loop(kind, mode, n_inner_steps):
    """Sentences of several lengths, two tasks that differ in it; dropout draws the same again."""
    training, dropout = MODES[mode]
    net = network(kind, training=training, dropout=dropout)
    frozen = {name: p.clone() for name, p in net.named_parameters() if not p.requires_grad}
    tasks = [sentence_task(0, 7), sentence_task(1, 9)]
    assert_exact(net, by_class, tasks, n_inner_steps)
    assert net.config._attn_implementation == "sdpa" and net.training is training
    now = dict(net.named_parameters())
    assert frozen and all(torch.equal(p, now[name]) for name, p in frozen.items())


def test_a_batch_of_tasks_is_the_same_as_a_list():
    net, tasks = network("bert"), [sentence_task(seed) for seed in range(3)]
    model = maml_torch.from_module(net, by_class)
    batch = Task(
        *(
            {name: torch.stack([x[name] for x in parts]) for name in parts[0]}
            if isinstance(parts[0], dict)
            else torch.stack(parts)
            for parts in (
                [getattr(task, part) for task in tasks]
                for part in ("x_support", "y_support", "x_query", "y_query")
            )
        )
    )
    inner = {"alpha": 0.5, "n_inner_steps": 2}
    one, other = (
        maml_torch.maml_gradient(model, model.theta(), t, **inner) for t in (tasks, batch)
    )
    assert relative_error(one[1].numpy(), other[1].numpy()) < 1e-12
    adapted = maml_torch.adapt(model, model.theta(), batch, **inner)
    answer = model.predict(adapted, batch.x_query)
    for t, task in enumerate(tasks):
        alone = model.predict(adapted[t], task.x_query)
        assert type(answer) is type(alone)
        assert torch.equal(answer.logits[t], alone.logits)


def test_padding_changes_nothing():
    """A task padded further than its longest sentence has the same meta-gradient."""
    model = maml_torch.from_module(network("bert"), by_class)
    task, inner = sentence_task(0), {"alpha": 0.5, "n_inner_steps": 2}
    wider = [
        {name: nn.functional.pad(ids, (0, 4)) for name, ids in x.items()}
        for x in (task.x_support, task.x_query)
    ]
    padded = Task(wider[0], task.y_support, wider[1], task.y_query)
    one, other = (
        maml_torch.maml_gradient(model, model.theta(), [t], **inner) for t in (task, padded)
    )
    assert relative_error(one[1].numpy(), other[1].numpy()) < 1e-10


def test_a_label_for_each_token():
    """Token classification: y ``(n, n_tokens)``, the objective averages where there is a word."""

    def by_token(output, y):
        return nn.functional.cross_entropy(output.logits.flatten(0, 1), y.flatten(), ignore_index=9)

    tasks = []
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        parts = []
        for n, n_tokens in ((N_SUPPORT, 7), (N_QUERY, 9)):
            x = sentences(rng, n, n_tokens)
            y = torch.tensor(rng.integers(0, N_WAYS, (n, n_tokens)))
            parts += [x, y.where(x["attention_mask"] == 1, 9)]
        tasks.append(Task(*parts))
    assert_exact(network("bert", "TokenClassification"), by_token, tasks, 2)


def test_a_head_for_regression():
    def by_square(output, y):
        return nn.functional.mse_loss(output.logits, y)

    def target(rng, n):
        return torch.tensor(rng.normal(size=(n, 1)))

    net = network("distilbert", num_labels=1)
    assert_exact(net, by_square, [sentence_task(seed, target=target) for seed in (0, 1)], 2)


def test_theta_holds_adapters_and_classifier_and_peft_writes_what_was_loaded(tmp_path):
    net = network("bert")
    model, x = maml_torch.from_module(net, by_class), sentence_task(1).x_query
    names = [name for name, p in net.named_parameters() if p.requires_grad]
    assert all("lora_" in name or "classifier.modules_to_save" in name for name in names)
    assert len(names) == 2 * 2 * 2 + 2  # layers, query and value, halves; weight and bias
    assert model.n_params == 2 * 2 * 2 * 2 * 16 + 16 * N_WAYS + N_WAYS
    theta_prime = maml_torch.adapt(model, model.theta(), [sentence_task(0)], alpha=0.5)[0]
    expected = model.predict(theta_prime, x).logits
    model.load(theta_prime).save_pretrained(tmp_path)
    again = peft.PeftModel.from_pretrained(network("bert").unload(), tmp_path).double()
    for found in (net, again):
        assert torch.allclose(found.eval()(**x).logits, expected, rtol=1e-10)


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("hugging_face_lora", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_in_the_example_adapting_raises_accuracy_on_new_classes(example, capsys):
    before, after = example.main(steps=30)
    assert before < 0.6 and after > before + 0.1
    assert "new classes: accuracy" in capsys.readouterr().out


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Folders as ``from_pretrained`` reads them: a tiny BERT and a tiny GPT-2 without padding."""
    letters = [*"abcdefghijklmnopqrstuvwxyz"]
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{one}" for one in letters)]
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in ("bert", "gpt2")}
    tokenizer = transformers.BertTokenizerFast(vocab={one: k for k, one in enumerate(known)})
    tokenizer.save_pretrained(folders["bert"])
    tokenizer.pad_token, tokenizer.eos_token = None, "[SEP]"
    tokenizer.save_pretrained(folders["gpt2"])
    for kind, folder in folders.items():
        torch.manual_seed(0)
        config = KINDS[kind][0](vocab_size=len(known))
        config.max_position_embeddings = 64
        getattr(transformers, "BertModel" if kind == "bert" else "GPT2Model")(
            config
        ).save_pretrained(folder)
    return folders


@pytest.mark.parametrize(("kind", "targets"), [("bert", ["query", "value"]), ("gpt2", ["c_attn"])])
def test_the_example_takes_a_checkpoint_and_a_file_of_sentences(
    kind, targets, example, checkpoints, tmp_path
):
    file = tmp_path / "sentences.txt"
    words = ("aa bb", "cc dd", "ee ff", "gg hh")
    file.write_text("\n".join(f"{w} x | {w} {w} | z {w}| {w}" for w in words), "utf-8")
    scores = example.main(str(checkpoints[kind]), file, targets, steps=1, beta=0.001)
    assert all(0 <= share <= 1 for share in scores)
