"""The check of each way of reading: what it lets pass, what it catches, and that it is made once."""

import pytest
import torch
from evaluated import loaded

from mixplan.errors import ModelError
from mixplan.evaluate.packing import scoring_way
from mixplan.features import forward
from mixplan.features.forward import reading_way
from mixplan.model import attention
from mixplan.model.answers import generation_way
from mixplan.model.prefix_attention import parts_of
from mixplan.model.selfcheck import FITS_BELOW, LONGEST_PREFIX, Checked, samples, slower


def passes_of(model):
    """Counts the model's passes from here on."""
    seen = []
    model.blocks[0].register_forward_pre_hook(lambda *_: seen.append(1))
    return seen


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_model_with_windows_is_packed_in_every_type(build_model, tmp_path, dtype):
    model = loaded(build_model("gemma3", tmp_path / "m"), dtype=dtype)
    for checked in (reading_way(model, 3), reading_way(model, 4), scoring_way(model), generation_way(model)):
        assert checked.way == "packed"
        assert checked.error <= checked.tolerance
        assert checked.failed == ()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("window", [64, LONGEST_PREFIX + 100])
def test_a_mask_that_forgets_the_window_is_caught_also_where_it_is_too_long_to_cross(
    build_model, tmp_path, monkeypatch, dtype, window
):
    model = loaded(
        build_model("gemma3", tmp_path / "m", sliding_window=window, max_position_embeddings=2048), dtype=dtype
    )
    monkeypatch.setattr(attention, "narrowed", lambda config, kind, allowed, places, seen: allowed)
    checked = reading_way(model, 3)
    assert checked.way == "unpacked"
    assert checked.failed[0].startswith("packed: off by")
    assert float(checked.failed[0].rpartition(" ")[2]) > 0.1


def test_texts_cross_the_longest_window_that_can_be_crossed(build_model, tmp_path):
    short = loaded(build_model("gemma3", tmp_path / "a"))
    (only,) = samples(short)
    assert only.prefix > 64
    assert only.window is None
    long = loaded(build_model("gemma3", tmp_path / "b", sliding_window=1000, max_position_embeddings=4096))
    first, second = samples(long)
    assert (first.window, second.window) == (None, 12)
    assert second.prefix > second.window
    assert all(len(text) > sample.prefix for sample in (only, first, second) for text in sample.texts)


def test_a_check_is_made_once_a_model_and_depth(tiny_model):
    model = loaded(tiny_model)
    first = reading_way(model, 2)
    seen = passes_of(model)
    assert reading_way(model, 2) == first
    assert seen == []
    reading_way(model, 3)
    assert len(seen) > 0


def test_plain_attention_is_parted_and_windows_are_not_even_tried(build_model, tmp_path, tiny_model):
    plain, windows = loaded(tiny_model), loaded(build_model("gemma2", tmp_path / "windows", sliding_window=16))
    for model, way in ((plain, "parted"), (windows, "packed")):
        checked = reading_way(model, 2)
        assert (checked.way, checked.failed) == (way, ())


def test_a_layer_that_asks_for_more_than_plain_attention_is_packed(tiny_model, monkeypatch):
    monkeypatch.setattr("mixplan.model.prefix_attention.UNSUPPORTED", ("position_ids",))
    checked = reading_way(loaded(tiny_model), 2)
    assert checked.way == "packed"
    assert checked.failed == ("parted: NotImplementedError: attention in parts has no position_ids",)


def test_attention_that_forgets_the_beginning_is_caught(tiny_model, monkeypatch):
    monkeypatch.setattr(forward, "parts_of", lambda lengths, prefix, device: parts_of(lengths, 0, device))
    checked = reading_way(loaded(tiny_model), 2)
    assert checked.way == "packed"
    assert checked.failed[0].startswith("parted: ")


def test_a_crash_of_a_way_makes_room_for_the_next(tiny_model, monkeypatch):
    model = loaded(tiny_model)
    right = forward.read_packed

    def crashing(*args, parts):
        if args[4]:
            raise IndexError("list index out of range")
        return right(*args, parts=parts)

    monkeypatch.setattr(forward, "read_packed", crashing)
    checked = reading_way(model, 2)
    assert checked.way == "unpacked"
    assert checked.failed == tuple(f"{way}: IndexError: list index out of range" for way in ("parted", "packed"))
    assert slower(model, checked, "read") == (
        f"{model.name} is read one text at a time behind a copy of its own cache: packed together, texts of "
        "LlamaForCausalLM do not give what plain passes give, as a check on its own weights found. The figures are "
        "right; it takes longer."
    )
    assert slower(model, Checked("packed", 0.0, FITS_BELOW["float32"]), "read") is None


def test_numbers_that_are_none_pass_in_no_way(tiny_model):
    model = loaded(tiny_model)
    with torch.no_grad():
        next(model.blocks[1].parameters()).fill_(float("nan"))
    with pytest.raises(ModelError) as caught:
        reading_way(model, 3)
    assert "residual stream after 3 blocks" in str(caught.value)


def test_a_model_that_sees_what_follows_is_refused(tiny_model, monkeypatch):
    model = loaded(tiny_model)
    embedding = model.lm.get_input_embeddings()
    embedding.register_forward_hook(lambda _module, _args, output: output + output.mean(1, keepdim=True))
    with pytest.raises(ModelError, match="a token of LlamaForCausalLM sees the tokens that follow it"):
        reading_way(model, 2)


def test_several_streams_side_by_side_are_refused(tiny_model):
    model = loaded(tiny_model)
    model.blocks[1].register_forward_hook(lambda _module, _args, output: output[None])
    with pytest.raises(ModelError, match=r"what passes between the blocks of LlamaForCausalLM is of shape \(1, 1, "):
        reading_way(model, 2)


def test_a_change_between_blocks_is_refused(tiny_model):
    model = loaded(tiny_model)
    model.blocks[2].register_forward_pre_hook(
        lambda _module, args, given: ((args[0] * 2, *args[1:]), given), with_kwargs=True, prepend=True
    )
    with pytest.raises(ModelError, match="between blocks 2 and 3 of LlamaForCausalLM something changes what passes"):
        reading_way(model, 2)
