"""A folder's state tells other weights of the same size from those that stood there."""

import os

from mixplan.reading.identity import folder_state

LARGE = (1 << 24) + 8
"""Bytes beyond which a file's content is not read."""


def weights(path, value):
    """A file that holds one value far from its beginning, with the time that an archive would give it."""
    with open(path, "wb") as file:
        file.seek(LARGE - 1)
        file.write(value)
    os.utime(path, ns=(0, 10**18))


def test_large_weights_that_were_replaced_under_their_own_time_are_others(tmp_path):
    file = tmp_path / "model.safetensors"
    weights(file, b"1")
    first = folder_state(tmp_path)
    assert folder_state(tmp_path) == first
    weights(file, b"2")
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (LARGE, 10**18)
    assert folder_state(tmp_path) != first


def test_a_named_template_that_was_edited_is_another_state(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    before = folder_state(tmp_path)
    folder = tmp_path / "additional_chat_templates"
    folder.mkdir()
    assert folder_state(tmp_path) == before
    (folder / "tool_use.jinja").write_text("{{ tools }}")
    first = folder_state(tmp_path)
    (folder / "tool_use.jinja").write_text("{{ tools | tojson }}")
    assert before != first != folder_state(tmp_path)
