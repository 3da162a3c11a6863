"""LoRA on a Hugging Face transformer, meta-trained: two sentences of each class are enough.

Usage: python examples/hugging_face_lora.py [--model NAME --beta 0.001] [--sentences FILE]

Without NAME a tiny random BERT learns made-up tasks, and nothing is downloaded. FILE has one
class a line, its sentences separated by |. Needs: pip install -e '.[torch,pretrained]'
"""

import argparse
from functools import partial
from pathlib import Path
from random import Random

import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig

from maml_teach import maml_torch
from maml_teach.tasks import Task

SENTENCES = """wake me at six|set an alarm for noon|ring in ten minutes|alarm at eight please
will it rain today|how cold is it outside|is it sunny in Rome|what does the forecast say
play some jazz|put on my favourite song|skip to the next track|turn up the music
how much is in my account|what is my balance|did my salary arrive|show what I have saved
switch off the lamp|make the kitchen brighter|dim the lights|lights on in the hall
book a table for two|find me a good restaurant|reserve dinner at eight|any sushi nearby"""


def made_up(rng):
    """A random BERT, and classes of sentences: in each class another token occurs most."""
    sizes = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=100, num_hidden_layers=1, initializer_range=0.1, **sizes)
    tokens = range(1, config.vocab_size)  # 0 is padding
    often = [[token] * len(tokens) + [*tokens] for token in tokens]
    classes = [[rng.choices(own, k=rng.randint(6, 12)) for _ in range(12)] for own in often]
    return AutoModelForSequenceClassification.from_config(config), classes


def pretrained(name, text):
    """A model by its name or folder, and the classes of sentences in ``text``, as tokens."""
    tokenizer = AutoTokenizer.from_pretrained(name)
    how = {"num_labels": 2, "ignore_mismatched_sizes": True, "dtype": torch.float32}
    network = AutoModelForSequenceClassification.from_pretrained(name, **how)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token  # GPT-2 and Llama have none
    network.config.pad_token_id = tokenizer.pad_token_id
    lines = [[one.strip() for one in line.split("|")] for line in text.splitlines()]
    return network, [tokenizer(line).input_ids for line in lines]


def draw(rng, pad, classes, n_shots=2):
    """A task: two classes, ``n_shots`` sentences of each to learn from, the others to judge by."""
    first, second = (rng.sample(own, len(own)) for own in rng.sample(classes, 2))
    parts = []
    for part in (slice(n_shots), slice(n_shots, None)):
        rows = [torch.tensor(row) for row in first[part] + second[part]]
        ids = pad_sequence(rows, batch_first=True, padding_value=pad)
        y = torch.tensor([0] * len(first[part]) + [1] * len(second[part]))
        parts += [{"input_ids": ids, "attention_mask": (ids != pad).long()}, y]
    return Task(*parts)


def meta_train(learner, draw_one, inner, n_steps, beta):
    """Adam on the exact meta-gradient, over what peft has left to be trained."""
    trained = [p for p in learner.module.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=beta)
    for step in range(n_steps):
        tasks = [draw_one() for _ in range(4)]  # they differ in the lengths of their sentences
        meta_loss, gradient = maml_torch.maml_gradient(learner, learner.theta(), tasks, **inner)
        learner.set_grad(gradient)
        optimizer.step()
        if step % 20 == 0:
            print("step", step, "meta-loss", float(meta_loss))


@torch.no_grad()
def accuracy(learner, theta, task):
    """Share of the query sentences that get their label, with ``theta`` as the weights."""
    network = learner.load(theta)
    return (network(**task.x_query).logits.argmax(dim=-1) == task.y_query).double().mean()


def main(model=None, sentences=None, targets=("query", "value"), steps=100, alpha=0.5, beta=0.01):
    """Meta-train; print and return the accuracy on new classes before adapting and after."""
    rng, inner = Random(0), {"alpha": alpha, "n_inner_steps": 2}
    torch.manual_seed(0)
    text = Path(sentences).read_text("utf-8") if sentences else SENTENCES
    base, classes = pretrained(model, text) if model else made_up(rng)
    pad, n_new = base.config.pad_token_id, max(2, len(classes) // 4)

    lora = LoraConfig(task_type="SEQ_CLS", r=4, target_modules=list(targets))
    network = get_peft_model(base, lora).eval()  # adapters and head can be trained
    frozen = [(p, p.clone()) for p in network.parameters() if not p.requires_grad]
    learner = maml_torch.from_module(network, lambda output, y: cross_entropy(output.logits, y))
    meta_train(learner, partial(draw, rng, pad, classes[:-n_new]), inner, steps, beta)

    tasks = [draw(rng, pad, classes[-n_new:]) for _ in range(50)]
    theta = learner.theta()
    adapted = maml_torch.adapt(learner, theta, tasks, **inner)
    pairs = zip(adapted, tasks, strict=True)
    scores = [[accuracy(learner, at, task) for at in (theta, own)] for own, task in pairs]
    before, after = torch.tensor(scores).mean(dim=0).tolist()
    learner.load(theta)  # what was meta-trained; network.save_pretrained(folder) would write it
    assert all(torch.equal(p, start) for p, start in frozen)
    print(f"new classes: accuracy {before:.2f} before adapting, {after:.2f} after")
    return before, after


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="name or folder, for example bert-base-uncased")
    parser.add_argument("--sentences", help="a text file")
    parser.add_argument("--targets", nargs="+", default=["query", "value"], help="get adapters")
    parser.add_argument("--steps", type=int, default=100, help="of meta-training")
    parser.add_argument("--alpha", type=float, default=0.5, help="inner rate")
    parser.add_argument("--beta", type=float, default=0.01, help="outer rate; pretrained: 0.001")
    main(**vars(parser.parse_args()))
