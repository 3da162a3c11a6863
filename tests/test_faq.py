"""The frequent questions: every line of code runs, and every answer is short and has its link."""

import re
from pathlib import Path

import numpy as np
import pytest

from maml_teach import maml_torch
from maml_teach.checks import check_meta_gradient
from maml_teach.tasks import Sinusoids

PAGE = (Path(__file__).parents[1] / "book" / "faq.md").read_text("utf-8")
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
QUESTION = re.compile(r"^### ([^\n]+)\n\n(.*?)(?=^#|\Z)", re.M | re.S)
LINK = re.compile(r"\[([^]]*)\]\(([^)]*)\)")
SENTENCE = re.compile(r"[.?!](?=\s|$)")
PRELUDE, *BLOCKS = BLOCK.findall(PAGE)
WITHOUT_COMMENTS = BLOCK.sub("", PAGE)  # a comment in a block begins like a heading
ANSWERS = QUESTION.findall(WITHOUT_COMMENTS)


def prose(answer):
    """An answer without the targets of its links, its citations and its inline code."""
    words = LINK.sub(r"\1", answer)
    return re.sub(r"\{cite:\w\}`[^`]*`|`[^`]*`", "", words)


def sentences(answer):
    return len(SENTENCE.findall(prose(answer)))


def run(block):
    """The names after the lines of the page's beginning and then those of a block."""
    names = {"__name__": "faq"}  # fresh: what a block changes, no other block sees
    for code in (PRELUDE, block):
        exec(compile(code, "faq.md", "exec"), names)
    return names


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_code_runs(number):
    run(BLOCKS[number])


def test_code_is_short():
    long = [block for block in BLOCKS if len(re.findall(r"\S.*\n", block)) > 6]
    assert len(BLOCKS) >= 30 and not long


def test_questions_are_many_and_grouped():
    assert len(ANSWERS) >= 30
    assert len(dict(ANSWERS)) == len(ANSWERS) == len(re.findall(r"^### ", PAGE, re.M))
    groups = re.split(r"^## ", WITHOUT_COMMENTS, flags=re.M)[1:]
    assert len(groups) >= 7 and all("\n### " in group for group in groups)


@pytest.mark.parametrize(("question", "answer"), ANSWERS, ids=[q for q, _ in ANSWERS])
def test_answer_is_short_and_linked(question, answer):
    assert question.endswith("?")
    assert 2 <= sentences(answer) <= 5
    files = [target.partition("#")[0] for _, target in LINK.findall(answer)]
    assert any(file.endswith((".ipynb", ".md")) for file in files)


def test_sentences_are_counted():
    assert sentences("One, with `a.b` in it. [Two?](page.ipynb#a) Three {cite:p}`key`.\n") == 3
    assert sentences("A rate of 0.01 and no end") == 0


def block_with(word):
    (block,) = (block for block in BLOCKS if word in block)
    return block


def test_what_has_no_second_derivative_has_none():
    with pytest.raises(NotImplementedError, match="embedding_bag"):  # else the answer is old
        run(block_with("EmbeddingBag").replace("family_torch.hf_maml", "maml_torch.maml"))


def test_gradient_through_a_residual_passes_the_check():
    module = run(block_with("class Residual"))["physics"].module.double()
    model = maml_torch.from_module(module, "mse")
    theta = model.theta()
    tasks = maml_torch.as_tensors(Sinusoids().sample(np.random.default_rng(0), 3, 5, 5), theta)
    assert check_meta_gradient(maml_torch.maml_gradient, model, theta, tasks)
