"""A plan counts tokens by the model's own tokenizer, the same once that is lost, or not at all."""

import json
from dataclasses import replace

import pytest
from small_plan import Silent, plan, recipe  # noqa: F401 - a fixture is used by its name
from transformers import AutoTokenizer

from mixplan.domains import Row
from mixplan.model import load_model
from mixplan.reading import tokenizer as kept_tokenizer
from mixplan.reading.tokenizer import keep_tokenizer, kept_counter, tokens_of
from mixplan.recipe import ModelSpec, SaeSpec
from mixplan.saved.write import timeless


@pytest.fixture
def model(tiny_model):
    return load_model(ModelSpec(name=str(tiny_model), dtype="float32", device="cpu", sae=SaeSpec(embedded=True)))


class Pool:
    """As much of a domain as is looked at."""

    pool = tuple(Row(f"r:{n}", str(n), (("user", f"what is {n}?"),), f"the answer is {n}") for n in range(3))


def test_the_plan_and_its_card_say_how_many_tokens(recipe, tmp_path, tiny_model):
    import datasets

    made, watcher = plan(recipe, tmp_path / "run")
    rows = datasets.load_dataset(str(tmp_path / "run" / "mixture"), split="train", cache_dir=str(tmp_path / "hf"))
    own = AutoTokenizer.from_pretrained(tiny_model)
    for part in made["mixture"]["parts"]:
        lengths = [len(own.apply_chat_template(row["prompt"] + row["completion"], return_dict=True)["input_ids"])
                   for row in rows if row["domain"] == part["name"]]  # fmt: skip
        assert (part["tokens"], part["longest_tokens"]) == (sum(lengths), max(lengths))
    longest = max(part["longest_tokens"] for part in made["mixture"]["parts"])
    short, _ = plan(recipe, tmp_path / "short", f"train.args={{max_length: {longest - 1}}}")
    assert any(f"longer than {longest - 1} tokens, where TRL cuts them" in text for text in short["warnings"])
    assert not any("longer than" in text for text in made["warnings"])
    assert watcher.said.count("loading " + str(tiny_model) + " for its tokenizer") == 0


def test_a_lost_tokenizer_is_kept_again_and_counts_the_same(recipe, tmp_path, own_cache, tiny_model):
    first, _ = plan(recipe, tmp_path / "first")
    (kept,) = (own_cache / "tokenizers").iterdir()
    kept.write_bytes(kept.read_bytes()[:-3])
    again, watcher = plan(recipe, tmp_path / "again")
    assert timeless(again) == timeless(first)
    assert f"loading {tiny_model} for its tokenizer" in watcher.said


def test_counts_that_would_differ_are_left_out(model, own_cache, monkeypatch):
    assert keep_tokenizer(model, [Pool]) is not None
    whole = kept_tokenizer.description

    def altered(tokenizer):
        return whole(tokenizer) | {"template": "{{ messages | length }}"}

    monkeypatch.setattr(kept_tokenizer, "description", altered)
    assert keep_tokenizer(model, [Pool]) is None
    assert kept_counter(None, None, [Pool], Silent()) is None


def test_a_kept_tokenizer_counts_as_the_model_does(model, own_cache):
    mark = keep_tokenizer(model, [Pool])
    counter = kept_counter(replace_recipe(model), mark, [Pool], Silent())
    for row in Pool.pool:
        prompt = [{"role": role, "content": content} for role, content in row.prompt]
        assert counter.count(prompt, row.answer) == tokens_of(model, row)
    assert json.loads((own_cache / "tokenizers" / f"{mark}.json").read_bytes()[:-64])["special"]["bos_token"] == "<s>"


def replace_recipe(model):
    class Loaded:
        class recipe:
            model = None

    Loaded.recipe.model = replace(model, name="tiny")
    return Loaded


def test_a_window_shorter_than_where_trl_cuts_rows_is_kept(model, own_cache):
    for window, expected in ((512, 512), (1024, None), (8192, None)):
        wide = replace(model, window=window)
        counter = kept_counter(replace_recipe(model), keep_tokenizer(wide, [Pool]), [Pool], Silent())
        assert counter.window == expected
