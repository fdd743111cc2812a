"""SAE training on a tiny model: every kind, resuming to the same bytes, exclusion, the card, and refusals in full."""

import json

import numpy as np
import pytest
import torch
import yaml
from tokenizers.processors import TemplateProcessing
from typer.testing import CliRunner

from mixplan.cli import app
from mixplan.errors import DataError, MixplanError, RecipeError, RunError
from mixplan.model import load_model
from mixplan.recipe import ModelSpec, SaeSpec
from mixplan.sae import load_sae
from mixplan.sae.corpus import build_corpus
from mixplan.sae.make import make_sae
from mixplan.sae.spec import load_training
from mixplan.sae.train import read_activations, train_sae, without_sinks


@pytest.fixture
def config(tmp_path, tiny_model):
    rng = np.random.default_rng(0)
    words = [
        "the",
        "quick",
        "brown",
        "fox",
        "jumps",
        "over",
        "lazy",
        "dog",
        "patient",
        "fever",
        "doctor",
        "sum",
        "answer",
        "option",
    ]
    texts = [{"text": " ".join(rng.choice(words, 40)) + f" {n}"} for n in range(150)]
    chats = [{"q": " ".join(rng.choice(words, 9)) + f" {n}?", "a": " ".join(rng.choice(words, 4))} for n in range(150)]
    for name, rows in (("text", texts), ("chat", chats), ("held", chats[:20])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    value = {
        "model": str(tiny_model),
        "dtype": "float32",
        "device": "cpu",
        "hook_name": "blocks.1.hook_resid_post",
        "context_tokens": 32,
        "batch_contexts": 8,
        "buffer_contexts": 24,
        "heldout_tokens": 300,
        "corpus": {
            "prose": {"tokens": 1500, "texts": [{"data": {"file": "text.jsonl"}, "text": "text", "licence": "MIT"}]},
            "chat": {
                "tokens": 800,
                "chats": [
                    {
                        "data": {"file": "chat.jsonl"},
                        "question": "q",
                        "answer": "a",
                        "turns": 2,
                        "licence": "Apache-2.0",
                    }
                ],
            },
        },
        "exclude": [{"data": {"file": "held.jsonl"}, "text": "q"}],
        "trainer": {"kind": "batchtopk", "d_sae": 64, "k": 4, "batch_tokens": 128, "learning_rate": 0.01},
    }
    path = tmp_path / "sae.yaml"
    path.write_text(yaml.safe_dump(value))
    return path


def opened(config):
    spec = load_training(config)
    model = load_model(ModelSpec(name=spec.model, dtype="float32", device="cpu", sae=SaeSpec(embedded=True)))
    return spec, model, build_corpus(spec, model.tokenizer, config.parent)


def change(config, **changes):
    value = yaml.safe_load(config.read_text())
    for key, new in changes.items():
        section, _, name = key.partition("__")
        if name:
            value[section][name] = new
        else:
            value[section] = new
    config.write_text(yaml.safe_dump(value))


def test_the_command_trains_an_sae_that_fits_and_its_card_says_how_well(config, tmp_path):
    change(config, trainer__passes=8)
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["sae", "train", str(config), "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    card = json.loads((out / "card.json").read_text())
    model = load_model(ModelSpec(name=card["model"], dtype="float32", device="cpu", sae=SaeSpec(embedded=True)))
    sae = load_sae(SaeSpec(path=str(out)), model)
    assert (sae.kind, sae.d_sae, sae.depth) == ("jumprelu", 64, 2)
    assert set(card["heldout"]) == {"prose", "chat", "all"}
    assert card["heldout"]["all"]["fvu"] < 0.7
    assert card["corpus"]["excluded"] == 20
    assert card["corpus"]["licences"] == ["Apache-2.0", "MIT"]
    text = (out / "README.md").read_text()
    assert f"trained with SAELens on {card['tokens']:,} tokens" in text


@pytest.mark.parametrize("kind", ["batchtopk", "topk", "standard", "jumprelu", "gated"])
def test_stopped_after_any_buffer_it_goes_on_to_the_same_weights(config, tmp_path, kind):
    change(config, trainer__kind=kind)
    spec, model, corpus = opened(config)
    whole = train_sae(spec, model, corpus, depth=2, folder=tmp_path / "whole", report=lambda *_: None)

    class StopError(Exception):
        pass

    def stop(done, total, figures):
        raise StopError

    for _ in range(2):
        with pytest.raises(StopError):
            train_sae(spec, model, corpus, depth=2, folder=tmp_path / "parts", report=stop)
    parts = train_sae(spec, model, corpus, depth=2, folder=tmp_path / "parts", report=lambda *_: None)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], value, rtol=0, atol=0)


@pytest.mark.parametrize("k", [8, 32])
def test_a_short_batchtopk_training_keeps_its_l0(config, tmp_path, k):
    """After about 100 steps; SAELens's running threshold alone leaves an L0 of 18.6 for k = 8, of 47.6 for k = 32."""
    change(config, trainer__k=k, trainer__d_sae=256, trainer__passes=6, heldout_tokens=600)
    spec, model, corpus = opened(config)
    out = tmp_path / "out"
    make_sae(spec, model, corpus, out, command="", report=lambda *_: None)
    sae = load_sae(SaeSpec(path=str(out)), model)
    for contexts, within in ((corpus.train, 0.01), (np.concatenate(list(corpus.heldout.values())), 0.1)):
        acts = without_sinks(read_activations(model, 2, contexts, 8))
        l0 = float((sae.encode(acts) > 0).sum(1).double().mean())
        assert l0 == pytest.approx(k, rel=within)


def test_kept_activations_serve_another_training_and_damaged_ones_are_set_aside(config, tmp_path):
    change(config, keep_activations=True)
    spec, model, corpus = opened(config)
    first = train_sae(spec, model, corpus, depth=2, folder=tmp_path / "a", report=lambda *_: None)
    kept = sorted((tmp_path / "a" / "activations").glob("*.safetensors"))
    assert len(kept) == -(-len(corpus.train) // 24) + 1  # and those that the threshold is set on
    kept[0].write_bytes(b"damaged")
    (tmp_path / "a" / "checkpoint.safetensors").unlink()
    again = train_sae(spec, model, corpus, depth=2, folder=tmp_path / "a", report=lambda *_: None)
    torch.testing.assert_close(again.W_enc, first.W_enc, rtol=0, atol=0)
    assert kept[0].with_name(kept[0].name + ".aside").read_bytes() == b"damaged"


def test_a_checkpoint_of_another_training_is_refused(config, tmp_path):
    spec, model, corpus = opened(config)
    train_sae(spec, model, corpus, depth=2, folder=tmp_path / "a", report=lambda *_: None)
    change(config, seed=1)
    other = load_training(config)
    with pytest.raises(RunError) as caught:
        train_sae(other, model, corpus, depth=2, folder=tmp_path / "a", report=lambda *_: None)
    assert str(caught.value) == (
        f"{tmp_path / 'a' / 'checkpoint.safetensors'} belongs to another training (other settings, model or corpus). "
        "Choose another --out folder, or delete this one to start anew."
    )


def test_train_tokens_stop_early(config, tmp_path):
    change(config, train_tokens=700)
    spec, model, corpus = opened(config)
    told = []
    train_sae(
        spec, model, corpus, depth=2, folder=tmp_path / "a", report=lambda done, total, _: told.append((done, total))
    )
    assert told[-1][1] == -(-700 // 31) * 31


def test_the_corpus_holds_out_documents_and_keeps_its_shares(config):
    _, _, corpus = opened(config)
    train = {tuple(row) for row in corpus.train.tolist()}
    for contexts in corpus.heldout.values():
        assert contexts.shape[1] == 32
        assert not train & {tuple(row) for row in contexts.tolist()}
    assert len(corpus.train) == -(-1500 // 31) + -(-800 // 31)
    _, _, again = opened(config)
    assert again.fingerprint == corpus.fingerprint


def test_contexts_begin_as_texts_do_that_the_model_reads(config, tmp_path):
    """With the token that a tokenizer puts before every text, as readings have it."""
    spec, model, corpus = opened(config)
    start = model.tokenizer.bos_token_id
    trained = train_sae(spec, model, corpus, depth=2, folder=tmp_path / "sae", report=lambda *_: None)
    assert trained.cfg.metadata.prepend_bos is True
    model.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="$A", special_tokens=[])
    plain = build_corpus(spec, model.tokenizer, config.parent)
    assert not (plain.train[:, 0] == start).all()
    assert not (corpus.train[:, 1:] == start).any()  # nor twice where a chat template writes it
    for contexts, without in (
        (corpus.train, plain.train),
        *zip(corpus.heldout.values(), plain.heldout.values(), strict=True),
    ):
        assert contexts.shape[1] == 32
        assert (contexts[:, 0] == start).all()
        assert len(contexts) == len(without)
    assert corpus.fingerprint != plain.fingerprint
    # Nothing of the documents is lost: the first kind's contexts, their start taken off, are one stream.
    text = np.concatenate(corpus.heldout["prose"][:, 1:])
    assert text.tolist() == np.concatenate(plain.heldout["prose"])[: len(text)].tolist()


def test_a_tokenizer_without_an_end_is_refused_before_anything_is_read(config):
    spec, model, _ = opened(config)
    model.tokenizer.eos_token = None
    with pytest.raises(DataError, match="has no token that ends a text"):
        build_corpus(spec, model.tokenizer, config.parent / "nowhere")


def test_sinks_are_left_out():
    acts = torch.ones(9, 4)
    acts[3] *= 100
    assert len(without_sinks(acts)) == 8


def test_refusals(config):
    change(
        config,
        corpus__prose={"tokens": 10**6, "texts": [{"data": {"file": "text.jsonl"}, "text": "text", "licence": "x"}]},
    )
    with pytest.raises(DataError) as caught:
        opened(config)
    words = str(caught.value).split()
    assert words[0] == "corpus.prose:"
    assert str(caught.value).endswith("but 1000000 are asked for. Lower `corpus.prose.tokens`, or add data.")
    change(config, trainer__learning_rat=1.0)
    with pytest.raises(RecipeError) as caught:
        load_training(config)
    line = next(n for n, text in enumerate(config.read_text().splitlines(), 1) if "learning_rat:" in text)
    assert str(caught.value) == (f"{config}:{line}: trainer.learning_rat: unknown key. Did you mean 'learning_rate'?")
    with pytest.raises(MixplanError):
        load_training(config.with_name("missing.yaml"))
