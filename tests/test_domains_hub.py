"""Hub data sets through `datasets`' real code: from the hub cache, and from a stand-in for the hub on loopback."""

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlparse

import httpx
import httpx2
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from datasets.exceptions import DataFilesNotFoundError, DatasetGenerationError, DatasetNotFoundError

from mixplan.domains import count_rows, read_rows
from mixplan.domains.hub import explain, open_hub
from mixplan.errors import DataError
from mixplan.recipe import ColumnsSpec, DataSpec, DomainSpec

COMMIT = "c" * 40
CARD = b"""---
configs:
- config_name: default
  data_files:
  - {split: test, path: data/test-*}
  - {split: validation, path: data/validation-*}
---
"""


def table(name: str, rows: int, worked: bool) -> bytes:
    records = [
        {
            "question_id": index,
            "question": f"{name} question {index}?",
            "options": ["yes", "no", "maybe"],
            "answer": "ABC"[index % 3],
            "answer_index": index % 3,
            "cot_content": "A: Let's think. The answer is so." if worked else "",
            "category": "law" if index % 2 else "math",
        }
        for index in range(rows)
    ]
    data = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(records), data)
    return data.getvalue()


FILES = {
    "README.md": CARD,
    "data/test-00000-of-00001.parquet": table("test", 12, worked=False),
    "data/validation-00000-of-00001.parquet": table("validation", 4, worked=True),
}


def lay_in_hub_cache(home: Path, name: str, files: dict[str, bytes]) -> None:
    """Put a data set where the hub's client keeps what it has downloaded."""
    root = home / "hub" / f"datasets--{name.replace('/', '--')}"
    for path, data in files.items():
        file = root / "snapshots" / COMMIT / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    (root / "refs").mkdir(exist_ok=True)
    (root / "refs" / "main").write_text(COMMIT)


@pytest.fixture(scope="module", autouse=True)
def cached():
    lay_in_hub_cache(Path(os.environ["HF_HOME"]), "TIGER-Lab/MMLU-Pro", FILES)


def mmlu_pro(**changes) -> DataSpec:
    return DataSpec(**{"hub": "TIGER-Lab/MMLU-Pro", "split": "test", **changes})


@pytest.mark.parametrize("revision", [None, "main", COMMIT])
def test_the_hub_cache_is_read_offline(tmp_path, revision):
    columns = ColumnsSpec(question="question", options="options", answer="answer", rationale="cot_content")
    data = mmlu_pro(where={"category": "law"}, revision=revision)
    rows = list(read_rows(DomainSpec(data=data, format="choice", columns=columns), folder=tmp_path, seed=0))
    assert [row.id for row in rows] == [f"test:{index}" for index in range(1, 12, 2)]
    assert [row.gold for row in rows] == [index % 3 for index in range(1, 12, 2)]
    assert rows[0].prompt == (("user", "test question 1?\n\nA. yes\nB. no\nC. maybe"),)
    worked = DomainSpec(data=mmlu_pro(split="validation"), format="choice", columns=columns)
    assert next(read_rows(worked, folder=tmp_path, seed=0)).rationale == "Let's think. The answer is so.\n\nA. yes"


def test_a_local_folder_of_that_name_is_not_taken_for_the_hub(tmp_path, monkeypatch):
    (tmp_path / "TIGER-Lab" / "MMLU-Pro").mkdir(parents=True)
    (tmp_path / "TIGER-Lab" / "MMLU-Pro" / "test.jsonl").write_text('{"question": "not from the hub"}\n')
    monkeypatch.chdir(tmp_path)
    assert open_hub(mmlu_pro()).count == 12


def test_counting_downloads_nothing(tmp_path):
    assert count_rows(mmlu_pro(), tmp_path) is None


@pytest.mark.parametrize("broken", [True, False])
def test_a_copy_that_lacks_rows_names_the_download_that_helps(tmp_path, monkeypatch, broken):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    held = tmp_path / "datasets--my--rows"
    (held / "refs").mkdir(parents=True)
    (held / "refs/main").write_text("abc")
    rows = held / "snapshots/abc/data/train-00000-of-00001.parquet"
    rows.parent.mkdir(parents=True)
    if broken:
        rows.symlink_to("../../../blobs/never-fetched")
    with pytest.raises(DataError) as refused:
        open_hub(DataSpec(hub="my/rows"))
    lacks = "1 of 1 files are missing" if broken else "no file of rows"
    assert str(refused.value) == (
        f"hub data set my/rows (split train): only in part in a local cache ({lacks}), and the hub is switched off by "
        "HF_HUB_OFFLINE. Unset it, or fetch the data once with: hf download my/rows --repo-type dataset"
    )


OFFLINE = "not in a local cache, and the hub is switched off by HF_HUB_OFFLINE. Unset it, or fetch the data once with: "


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            mmlu_pro(split="tests"),
            "hub data set TIGER-Lab/MMLU-Pro (split tests): no split 'tests'. Did you mean 'test'? Set `split`.",
        ),
        (
            mmlu_pro(split=None),
            "hub data set TIGER-Lab/MMLU-Pro (split train): no split 'train'. "
            "Known: 'test', 'validation'. Set `split`.",
        ),
        (
            mmlu_pro(config="defalt"),
            "hub data set TIGER-Lab/MMLU-Pro (defalt, split test): no configuration 'defalt'. Did you mean 'default'? "
            "Set `config`.",
        ),
        (
            DataSpec(hub="GAIR/LIMO-v2"),  # which no other test lays into the cache
            f"hub data set GAIR/LIMO-v2 (split train): {OFFLINE}hf download GAIR/LIMO-v2 --repo-type dataset",
        ),
        (
            mmlu_pro(revision="v2"),
            "hub data set TIGER-Lab/MMLU-Pro (split test, revision v2): "
            f"{OFFLINE}hf download TIGER-Lab/MMLU-Pro --repo-type dataset --revision v2",
        ),
        (
            DataSpec(hub="json"),
            "hub data set json (split train): not a hub id. Write it as on the hub: organisation/name.",
        ),
        (
            DataSpec(hub="../../etc"),
            "hub data set ../../etc (split train): not a hub id. Write it as on the hub: organisation/name.",
        ),
    ],
)
def test_wrong_names_offline(spec, message):
    with pytest.raises(DataError) as caught:
        open_hub(spec)
    assert str(caught.value) == message


def test_a_missing_column_names_those_that_are_there(tmp_path):
    columns = ColumnsSpec(question="problem", options="options", answer="answer")
    with pytest.raises(DataError) as caught:
        list(read_rows(DomainSpec(data=mmlu_pro(), format="choice", columns=columns), folder=tmp_path, seed=0))
    assert str(caught.value) == (
        "hub data set TIGER-Lab/MMLU-Pro (split test): no column 'problem'; it has answer, answer_index, category, "
        "cot_content, options, question, question_id."
    )


def test_a_damaged_file_in_the_cache():
    lay_in_hub_cache(Path(os.environ["HF_HOME"]), "org/damaged", {"test.parquet": b"PAR1 and then nothing"})
    with pytest.raises(DataError) as caught:
        open_hub(DataSpec(hub="org/damaged", split="test"))
    assert str(caught.value) == (
        "hub data set org/damaged (split test): its files cannot be read (Parquet magic bytes not found in footer. "
        "Either the file is corrupted or this is not a parquet file). "
        "Choose another `revision`, or download and mend the file."
    )


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            httpx.ConnectError("Connection refused"),
            "the hub cannot be reached (Connection refused). Check the network, or HF_ENDPOINT if it is set.",
        ),
        (
            httpx2.ReadError("peer closed connection"),
            "the hub cannot be reached (peer closed connection). Check the network, or HF_ENDPOINT if it is set.",
        ),
        (
            ConnectionError("Couldn't reach 'a/b' on the Hub (timeout)"),
            "the hub cannot be reached (Couldn't reach 'a/b' on the Hub (timeout)). "
            "Check the network, or HF_ENDPOINT if it is set.",
        ),
        (
            DatasetNotFoundError("Dataset 'a/b' is a gated dataset on the Hub."),
            "gated. Ask for access at https://huggingface.co/datasets/a/b and log in once with: hf auth login",
        ),
        (
            DatasetNotFoundError("Dataset 'a/b' doesn't exist on the Hub or cannot be accessed."),
            "the hub has none of that name, or it is private. Check `hub`, or log in once with: hf auth login",
        ),
        (
            DatasetNotFoundError("Revision 'r' doesn't exist for dataset 'a/b' on the Hub."),
            "no revision 'r'. Set `revision` to a commit, tag or branch, or remove it.",
        ),
        (
            DataFilesNotFoundError("No (supported) data files found in a/b"),
            "it holds no file that `datasets` reads. Choose a `revision` with Parquet, JSON or CSV files.",
        ),
        (
            DatasetGenerationError("An error occurred"),
            "its files cannot be read (An error occurred). Choose another `revision`, or download and mend the file.",
        ),
        (
            OSError(28, "No space left on device"),
            "the disk is full. Free some space, or point HF_HOME to another disk.",
        ),
        (
            ValueError("Config name is missing.\nPlease pick one among the available configs: ['en', 'de']\nExample"),
            "it has several configurations. Set `config` to one of: en, de.",
        ),
        (
            RuntimeError("Dataset scripts are no longer supported, but found b.py"),
            "it needs a loading script, which `datasets` no longer runs. Set `revision: refs/convert/parquet`.",
        ),
        (ValueError("something else."), "cannot be loaded (something else)."),
    ],
)
def test_each_failure_says_what_to_do(error, message):
    assert explain(error, DataSpec(hub="a/b", revision="r"), offline=False) == message


class StandIn(BaseHTTPRequestHandler):
    """The few answers of the hub that reading a data set asks for."""

    def log_message(self, *args):
        pass

    def answer(self, code: int, body: bytes = b"{}", **headers: str) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlparse(self.path).path)
        if found := re.match(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.*)", path):
            name, revision, file = found.groups()
            if name == "org/gated":
                return self.answer(403, X_Error_Code="GatedRepo", X_Error_Message="gated")
            if name != "org/set":
                return self.answer(404, X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
            if revision not in ("main", COMMIT):
                return self.answer(404, X_Error_Code="RevisionNotFound", X_Error_Message="Invalid rev id")
            if file not in FILES:
                return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
            return self.answer(
                200, FILES[file], ETag=f'"{hashlib.sha1(FILES[file]).hexdigest()}"', X_Repo_Commit=COMMIT
            )
        if path.startswith("/api/datasets/org/set/tree/"):
            inside = path.split("/", 7)[7] if path.count("/") > 6 else ""
            return self.answer(200, json.dumps(self.listing(inside)).encode())
        if path.startswith("/api/datasets/org/set"):
            siblings = [{"rfilename": file} for file in FILES]
            return self.answer(200, json.dumps({"id": "org/set", "sha": COMMIT, "siblings": siblings}).encode())
        return self.answer(404)

    def listing(self, inside: str) -> list[dict]:
        found = {}
        for file, data in FILES.items():
            folder = file.rpartition("/")[0]
            if folder == inside:
                found[file] = {"type": "file", "path": file, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            elif not inside:
                found[folder] = {"type": "directory", "path": folder, "size": 0, "oid": "0" * 40}
        return list(found.values())


ASK = """
import json, sys
from mixplan.domains.hub import open_hub
from mixplan.errors import DataError
from mixplan.recipe import DataSpec
said = []
for asked in json.loads(sys.argv[1]):
    try:
        said.append(open_hub(DataSpec(**asked)).count)
    except DataError as error:
        said.append(str(error))
print(json.dumps([*said, "torch" in sys.modules]))
"""


def test_a_hub_on_loopback(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment |= {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}",
        "HF_HOME": str(tmp_path),
        "HF_HUB_OFFLINE": "0",
    }
    asked = [
        {"hub": "org/set", "split": "test"},
        {"hub": "org/set", "split": "validation", "revision": COMMIT},
        {"hub": "org/set", "split": "test", "revision": "v9"},
        {"hub": "org/none"},
        {"hub": "org/gated"},
    ]

    def ask() -> list:
        command = [sys.executable, "-c", ASK, json.dumps(asked)]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return json.loads(result.stdout)

    try:
        assert ask() == [
            12,
            4,
            "hub data set org/set (split test, revision v9): no revision 'v9'. "
            "Set `revision` to a commit, tag or branch, or remove it.",
            "hub data set org/none (split train): the hub has none of that name, or it is private. "
            "Check `hub`, or log in once with: hf auth login",
            "hub data set org/gated (split train): gated. "
            "Ask for access at https://huggingface.co/datasets/org/gated and log in once with: hf auth login",
            False,
        ]
    finally:
        server.shutdown()
        server.server_close()
    environment["HF_HUB_OFFLINE"] = "1"
    asked[2:] = []
    assert ask() == [12, 4, False]
