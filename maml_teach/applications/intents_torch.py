"""A pretrained encoder of sentences: its features, layer by layer, and LoRA through all of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..maml_torch import FromModule, from_module
from .intents import SCALE, scaled

LONGEST = 32  # tokens of a sentence that are read


def encoder_from(folder: str | Path) -> tuple[Any, nn.Module]:
    """Tokenizer and encoder of the package transformers, from files on this disk.

    Attention is written out ("eager"): fused attention has no second derivative.

    Args:
        folder: A folder with the files of a model such as all-MiniLM-L6-v2.

    Raises:
        ValueError: If there is no model in the folder.
    """
    from transformers import AutoModel, AutoTokenizer

    if not (Path(folder) / "config.json").is_file():
        raise ValueError(f"folder {str(folder)!r} holds no model: it has no config.json")
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    how = {"attn_implementation": "eager", "local_files_only": True}
    return tokenizer, AutoModel.from_pretrained(folder, **how).eval()


def tokens(tokenizer: Any, texts: Sequence[str]) -> dict[str, Tensor]:
    """``input_ids`` and ``attention_mask`` of sentences, ``(n, n_tokens)``, at most ``LONGEST``."""
    how = {"padding": True, "truncation": True, "max_length": LONGEST, "return_tensors": "pt"}
    found = tokenizer(list(texts), **how)
    return {name: found[name] for name in ("input_ids", "attention_mask")}


def pooled(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean over a sentence's tokens, ``(n, n_features)``, from ``(n, n_tokens, n_features)``."""
    weight = mask[..., None].to(hidden.dtype)
    return (hidden * weight).sum(dim=1) / weight.sum(dim=1)


def encoded(
    tokenizer: Any, encoder: nn.Module, texts: Sequence[str], n_at_once: int = 256
) -> NDArray:
    """Features after the word vectors and after each layer, ``(n_layers + 1, n, n_features)``."""
    order = np.argsort([len(text) for text in texts])  # short ones together: little padding
    found = []
    with torch.no_grad():
        for rows in np.split(order, range(n_at_once, len(order), n_at_once)):
            batch = tokens(tokenizer, [texts[row] for row in rows])
            layers = encoder(**batch, output_hidden_states=True).hidden_states
            found.append(np.stack([pooled(h, batch["attention_mask"]).numpy() for h in layers]))
    return scaled(np.concatenate(found, axis=1)[:, np.argsort(order)])


class Reader(nn.Module):
    """An encoder with low-rank additions to its attention, and a linear head on its features.

    Only the additions and the head are trained. The head starts at zero, and so do the additions,
    so that the first features are the encoder's own.

    Args:
        encoder: From :func:`encoder_from`.
        n_out: Classes of the head.
        rank: Of the additions.
        seed: Draws the half of the additions that is not zero.

    Source:
        Hu et al. (2022), LoRA; the additions are those of the package peft.
    """

    def __init__(self, encoder: Any, n_out: int, *, rank: int = 4, seed: int = 0):
        from peft import LoraConfig, get_peft_model

        super().__init__()
        how = LoraConfig(r=rank, target_modules=["query", "value"], lora_dropout=0.0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # peft takes no generator
            self.encoder = get_peft_model(encoder, how)
        self.head = nn.Linear(encoder.config.hidden_size, n_out)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, **batch: Tensor) -> Tensor:
        """Scores ``(n, n_out)`` of sentences, from ``input_ids`` and ``attention_mask``."""
        hidden = self.encoder(**batch).last_hidden_state
        features = pooled(hidden, batch["attention_mask"])
        return self.head(SCALE * nn.functional.normalize(features, dim=1))


def wrapped(encoder: nn.Module, n_out: int, seed: int) -> tuple[FromModule, Tensor]:
    """``(model, theta)``: a :class:`Reader` as a model, and its start."""
    model = from_module(Reader(encoder, n_out, seed=seed).eval(), "cross_entropy")
    return model, model.theta()


def of_rows(batch: Mapping[str, Tensor], rows: NDArray) -> dict[str, Tensor]:
    """The tokens of chosen sentences, without padding that none of them needs."""
    at = torch.as_tensor(rows)
    n = int(batch["attention_mask"][at].sum(dim=-1).max())
    return {name: values[at][..., :n] for name, values in batch.items()}
