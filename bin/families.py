"""Reads, scores, answers and trains with every causal LM family of the installed transformers, against plain passes."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "helpers"))

from tiny_families import VARIANTS, model_types, tiny_model

from mixplan.errors import MixplanError
from mixplan.evaluate.packing import Tree, scoring_way
from mixplan.evaluate.scoring import score_continuations
from mixplan.features.forward import read_unit, reading_way
from mixplan.features.queries import Query, Unit
from mixplan.model import Model, generate, load_trained
from mixplan.model.adapted import adapter_config
from mixplan.model.answers import generation_way
from mixplan.recipe import ModelSpec, SaeSpec

RIGHT = 1e-5
"""Largest difference of a stream from a plain pass's, of the stream's root mean square, in float32."""

NATS = 1e-4
"""Largest difference of a token's log-probability from a plain pass's."""

PREFIX, TAILS = 60, (7, 4, 9)
SECONDS = 120
DEPTH = 2
VERDICTS = ("right", "right unpacked", "refused", "not built", "wrong", "crashed")


@dataclass
class Result:
    """What a family gave.

    Attributes:
        family: Its model type.
        kind: Its class.
        reading, scoring, answering: The way that the self-check chose.
        stream, last: Largest difference of the stream after two blocks and after the last one.
        nats: Largest difference of an option token's log-probability.
        answers: Whether greedy answers are those of plain passes.
        full, lora: How training went: `right`, or what went wrong.
        refused: The message of a refusal.
        crashed: A traceback's last line.
    """

    family: str
    kind: str = ""
    reading: str = ""
    scoring: str = ""
    answering: str = ""
    stream: float | None = None
    last: float | None = None
    nats: float | None = None
    answers: bool | None = None
    full: str = ""
    lora: str = ""
    refused: str = ""
    crashed: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """`right`, `right unpacked`, `refused`, `wrong`, `crashed` or `not built`."""
        if self.crashed:
            return "not built" if self.crashed.startswith("not built") else "crashed"
        wrong = [
            self.stream is not None and not self.stream <= RIGHT,
            self.last is not None and not self.last <= RIGHT,
            self.nats is not None and not self.nats <= NATS,
            self.answers is False,
        ]
        if any(wrong):
            return "wrong"
        if self.refused:
            return "refused"
        slow = {self.reading, self.scoring, self.answering} - {"parted", "packed"}
        return "right unpacked" if slow else "right"


def check(family: str, *, train: bool) -> Result:
    """Hold one family against plain passes."""
    found = Result(family)
    try:
        model = tiny_model(family)
        found.kind = type(model.lm).__name__
        run_plain(model)
    except MixplanError as error:
        found.refused = " ".join(str(error).split())
        return found
    except Exception as error:  # any fault of a family's code is its line of the table
        found.crashed = f"not built: {said(error)}"
        return found
    try:
        found.reading = reading_way(model, DEPTH).way
        found.stream = off(model, DEPTH)
        found.last = off(model, len(model.blocks))
        found.scoring = scoring_way(model).way
        found.nats = score_off(model)
        found.answering = generation_way(model).way
        found.answers = answers_equal(model)
        if train:
            found.full, found.lora = (trained_or_said(model, family, lora=lora) for lora in (False, True))
    except MixplanError as error:
        found.refused = " ".join(str(error).split())
    except Exception as error:  # any fault of a family's code is its line of the table
        found.crashed = said(error)
    return found


def said(error: BaseException) -> str:
    """An exception and where it came from, in one line."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    text = re.sub(r"/\S*/tmp\w+/", "", " ".join(str(error).split()))
    return f"{type(error).__name__}: {text[:160]} ({Path(last.filename).name}:{last.lineno})"


def run_plain(model: Model) -> None:
    """Run the model as a library would; a family that cannot be run so was not built right."""
    with torch.inference_mode():
        model.lm(input_ids=torch.arange(6, 46)[None])


def texts(seed: int) -> list[tuple[int, ...]]:
    """Random texts that share a beginning longer than any layer's reach."""
    rng = np.random.default_rng(seed)
    shared = (1, *rng.integers(6, 300, PREFIX - 1).tolist())
    return [(*shared, *rng.integers(6, 300, count).tolist()) for count in TAILS]


def plain_stream(model: Model, depth: int, text: tuple[int, ...]) -> Tensor:
    """What the block below a depth gives in one ordinary forward pass of the whole model."""
    held: list[Any] = []
    handle = model.blocks[depth - 1].register_forward_hook(lambda _m, _a, output: held.append(output))
    try:
        with torch.inference_mode():
            model.lm(input_ids=torch.tensor([text]))
    finally:
        handle.remove()
    stream: Tensor = held[0][0] if isinstance(held[0], tuple | list) else held[0]
    return stream[0]


def off(model: Model, depth: int) -> float:
    """Largest difference of what `read_unit` gives from plain passes, of the stream's root mean square."""
    given = texts(1)
    queries = tuple(Query(n, text[:3] + text[PREFIX:], text, len(text) - PREFIX) for n, text in enumerate(given))
    unit = Unit(0, (), 0, queries, 3, PREFIX)
    packs = list(read_unit(model, depth, unit))
    worst = 0.0
    for name in ("alone", "context"):
        ours = torch.cat([getattr(pack, name) for pack in packs]).double()
        plain = torch.cat([plain_stream(model, depth, getattr(q, name))[-q.count :] for q in queries]).double()
        if ours.shape != plain.shape:
            return float("nan")
        worst = max(worst, float((ours - plain).abs().max() / plain.square().mean().sqrt()))
    return worst


def score_off(model: Model) -> float:
    """Largest difference of an option token's log-probability from a plain pass's."""
    trees = [Tree(text[:-4], (text[-4:], text[-3:], text[-4:-2] + text[-1:])) for text in texts(2)]
    scored = score_continuations(model, trees)
    worst = 0.0
    for tree, branches in zip(trees, scored, strict=True):
        for ids, branch in zip(tree.branches, branches, strict=True):
            with torch.inference_mode():
                logits = model.lm(input_ids=torch.tensor([[*tree.trunk, *ids]])).logits[0].double()
            logs = logits.log_softmax(-1)[len(tree.trunk) - 1 : -1]
            expected = logs.gather(1, torch.tensor(ids)[:, None])[:, 0].numpy()
            worst = max(worst, float(np.abs(expected - branch.logs).max()))
    return worst


def answers_equal(model: Model) -> bool:
    """Whether greedy answers to prompts of different lengths are those of plain passes, token by token."""
    prompts = texts(3)
    rendered = [" ".join(model.tokenizer.convert_ids_to_tokens(list(text))) for text in prompts]
    answers = generate(model, rendered, max_new_tokens=5)
    for text, answer in zip(prompts, answers, strict=True):
        ids = list(text)
        for token in answer.ids:
            with torch.inference_mode():
                logits = model.lm(input_ids=torch.tensor([ids])).logits[0, -1]
            if int(logits.argmax()) != token and float(logits.max() - logits[token]) > NATS:
                return False
            ids.append(token)
    return True


def trained_or_said(model: Model, family: str, *, lora: bool) -> str:
    """As `trained`, or what stopped it."""
    try:
        return trained(model, family, lora=lora)
    except Exception as error:  # any fault of a family's code is its line of the table
        return said(error)


def trained(model: Model, family: str, *, lora: bool) -> str:
    """Train a copy for a few steps, save it, load it as `mixplan` loads a trained model, and hold its logits."""
    from peft import get_peft_model

    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as place:
        base, out = Path(place) / "base", Path(place) / "trained"
        for folder in (base, out):
            folder.mkdir()
            model.tokenizer.save_pretrained(folder)
        model.lm.save_pretrained(base)
        copy = tiny_model(family).lm
        lm: Any = copy
        if lora:
            lm = get_peft_model(copy, adapter_config({"r": 2, "target_modules": "all-linear"}, copy))
        else:
            copy.requires_grad_(True)
        lm.train()
        steps = torch.optim.AdamW([p for p in lm.parameters() if p.requires_grad], lr=1e-2)
        for _ in range(3):
            tokens = torch.randint(6, 300, (2, 24))
            lm(input_ids=tokens, labels=tokens).loss.backward()
            steps.step()
            steps.zero_grad()
        lm.eval()
        lm.save_pretrained(out)
        given = torch.tensor([texts(4)[0]])
        with torch.inference_mode():
            expected, before = lm(input_ids=given).logits, model.lm(input_ids=given).logits
        spec = ModelSpec(name=str(base), dtype="float32", device="cpu", sae=SaeSpec(path="none"))
        loaded = load_trained(spec, out)
        with torch.inference_mode():
            logits = loaded.lm(input_ids=given).logits
        apart = float((logits - expected).abs().max() / expected.abs().max())
        if not float((expected - before).abs().max()) > 1e-4:
            return "training changed nothing"
        if apart > 1e-4:
            return f"off by {apart:.1g} after loading"
        nats = score_off(replace(loaded, name=f"trained {family}"))
        return "right" if nats <= NATS else f"scores off by {nats:.1g} nats"


def each(families: list[str], *, train: bool) -> Iterator[Result]:
    """Each family in a process of its own, ended after a while, so that one that crashes ends no other."""
    for family in families:
        read, write = os.pipe()
        sys.stdout.flush()
        child = os.fork()
        if not child:
            os.close(read)
            signal.alarm(SECONDS)
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            warnings.filterwarnings("ignore")
            os.write(write, json.dumps(asdict(check(family, train=train))).encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            told = pipe.read()
        os.waitpid(child, 0)
        yield Result(**json.loads(told)) if told else Result(family, crashed=f"ended, or took over {SECONDS} s")


def line(result: Result) -> str:
    """A result for whoever watches."""
    figures = " ".join(
        f"{name} {value:.1e}"
        for name, value in (("stream", result.stream), ("last", result.last), ("nats", result.nats))
        if value is not None
    )
    ways = f"{result.reading}/{result.scoring}/{result.answering}"
    training = f"full: {result.full} lora: {result.lora}" if result.full or result.lora else ""
    return f"{result.family:30} {result.verdict:15} {ways:24} {figures} {training} {result.refused}{result.crashed}"


HEAD = """# Which models mixplan reads

Made by `{command}`, in one run or family by family, with transformers {transformers}, torch {torch} and peft
{peft}: every causal LM class that transformers knows, built tiny and random from its config class (4 blocks of width
32; layers that see only so far see 16 tokens), in float32 on a CPU. The reference is a plain pass of the library's own
model over one text at a time.

- **Read**: the residual stream behind a shared prefix of {prefix} tokens, after two blocks and after the last one, is
  off by at most {right:g} of its root mean square.
- **Scored**: log-probabilities of options are off by at most {nats:g} nats. **Answered**: greedy answers to prompts of
  different lengths are those of plain passes.
- **parted**: texts are read together in one row, whose tokens attend to the shared prefix and to their own text apart,
  without a mask. **packed**: together under a mask. **unpacked**: one by one behind a copy of the model's own cache,
  which is slower. **whole**: each from its first token on, slower still. mixplan finds the way for every model it is
  given by a check on the model's own weights, and says so where it is not packed.
- **Trained**: in full and by LoRA on all linear layers for three steps, saved, loaded as a trained model is, and held
  against the logits before saving and plain scores after loading. Empty where the run did not train.

{totals}

| family | class | verdict | read | scored | answered | stream off | last block off | full | LoRA |
|---|---|---|---|---|---|---|---|---|---|
"""


def page(results: list[Result], command: str) -> str:
    """The table as Markdown, with the reasons of refusals beneath."""
    counts = Counter(one.verdict for one in results)
    right = counts["right"] + counts["right unpacked"]
    totals = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    full, lora = (sum(getattr(one, name) == "right" for one in results) for name in ("full", "lora"))
    tried = sum(bool(one.full or one.lora) for one in results)
    kinds = f"{len(results) - len(VARIANTS)} model types and {len(VARIANTS)} further settings"
    totals = (
        f"Of {len(results)}, {kinds}: {totals}; {right / len(results):.1%} right.\n"
        f"Of {tried} that were trained: {full} right in full, {lora} by LoRA."
    )
    head = HEAD.format(
        command=command, prefix=PREFIX, right=RIGHT, nats=NATS,
        totals=totals,
        **{name: version(name) for name in ("transformers", "torch", "peft")},
    )  # fmt: skip
    lines = [
        f"| {one.family} | {one.kind} | {one.verdict} | {one.reading} | {one.scoring} | {one.answering} "
        f"| {figure(one.stream)} | {figure(one.last)} | {short(one.full)} | {short(one.lora)} |"
        for one in results
    ]
    reasons = [f"- **{one.family}**: {one.refused or one.crashed}" for one in results if one.refused or one.crashed]
    reasons += [
        f"- **{one.family}**, trained {how}: {said}"
        for one in results
        for how, said in (("in full", one.full), ("by LoRA", one.lora))
        if said not in ("", "right")
    ]
    return head + "\n".join(lines) + "\n\n## Why not\n\n" + "\n".join(reasons) + "\n"


def figure(value: float | None) -> str:
    """A difference, in one digit."""
    return "" if value is None else f"{value:.0e}"


def short(said: str) -> str:
    """How a training went, in a word."""
    return said if said in ("", "right") else "no"


def main() -> None:
    """Parse arguments, run, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", help="model types; all when none is named")
    parser.add_argument("--train", action="store_true", help="also train each in full and by LoRA")
    parser.add_argument("--json", type=Path, help="file for the figures; families in it that are not run now stay")
    parser.add_argument("--page", type=Path, help="file for the table, in Markdown")
    given = parser.parse_args()
    torch.set_num_threads(1)
    results = {}
    if given.json and given.json.exists():
        results = {one["family"]: Result(**one) for one in json.loads(given.json.read_text())}
    with tempfile.TemporaryDirectory() as cache:
        os.environ["MIXPLAN_CACHE"] = cache
        for result in each(given.families or model_types(), train=given.train):
            sys.stdout.write(f"{line(result)}\n")
            sys.stdout.flush()
            results[result.family] = result
            if given.json:
                given.json.write_text(json.dumps([asdict(one) for one in results.values()], indent=1))
    every = [results[family] for family in sorted(results)]
    counts = Counter(one.verdict for one in every)
    sys.stdout.write(f"{dict(counts)} of {len(every)} with transformers {version('transformers')}\n")
    if given.page:
        given.page.parent.mkdir(exist_ok=True)
        given.page.write_text(page(every, "bin/families --train --page docs/models.md"))


if __name__ == "__main__":
    main()
