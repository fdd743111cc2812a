"""Stands in for the hub on loopback: repositories in memory that are created, looked at and committed to."""

import base64
import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

TOKEN = "hf_" + "StandIn" * 5
USER = "ann"


@dataclass
class Repo:
    """One repository: its files by path, the paths that are in LFS, its visibility and its commits."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    large: set[str] = field(default_factory=set)
    commits: list[str] = field(default_factory=lambda: ["0" * 40])
    sdk: str | None = None


@dataclass
class Hub:
    """What the stand-in holds and was asked.

    Attributes:
        repos: By kind and name, such as `datasets/ann/rows`.
        fails: Answers in place of the real ones: by a word of the path, a status, or 0 for a connection that is cut
            before the request is done and -1 for one that is cut after it.
        large: Endings of files that go by LFS.
        asked: Every request, as `METHOD path`.
    """

    repos: dict[str, Repo] = field(default_factory=dict)
    fails: dict[str, int] = field(default_factory=dict)
    role: str = "write"
    large: tuple[str, ...] = ()
    objects: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    """Answers the requests that huggingface_hub makes for a push."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self, status: int, value: Any = None, **headers: str) -> None:
        data = json.dumps(value or {}).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        self.wfile.write(data)

    def cut(self) -> None:
        self.close_connection = True
        self.connection.close()

    def do_GET(self) -> None:
        self.serve("GET")

    def do_POST(self) -> None:
        self.serve("POST")

    def do_PUT(self) -> None:
        self.serve("PUT")

    def serve(self, method: str) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.asked.append(f"{method} {path}")
        status = next((code for word, code in self.hub.fails.items() if word in path), None)
        if status == 0:
            return self.cut()
        if status is not None and status > 0:
            return self.answer(status, {"error": f"refused with {status}"})
        if not path.startswith("/object") and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            message = {"X_Error_Message": "Invalid credentials in Authorization header"}
            return self.answer(401, {"error": "Invalid credentials in Authorization header"}, **message)
        with contextlib.suppress(BrokenPipeError):
            self.routed(method, path, body, cut=status == -1)
        return None

    def routed(self, method: str, path: str, body: bytes, *, cut: bool) -> None:
        parts = path.strip("/").split("/")
        if method == "PUT":
            self.hub.objects[parts[1]] = body
            return self.answer(200)
        if parts[-1] == "whoami-v2":
            return self.answer(200, {"name": USER, "auth": {"accessToken": {"role": self.hub.role}}})
        if parts[-1] == "validate-yaml":
            return self.answer(200)
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        if parts[-1] == "batch":
            return self.batch(json.loads(body))
        repo = self.hub.repos.get("/".join(parts[1:4]))
        if repo is None:
            return self.answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
        asked = parts[4] if len(parts) > 4 else ""
        if asked == "tree":
            return self.answer(200, [self.entry(repo, name) for name in repo.files])
        if asked == "preupload":
            return self.preupload(repo, json.loads(body))
        if asked == "commit":
            return self.commit(repo, body, cut=cut)
        return self.answer(200, {"id": "/".join(parts[2:4]), "sha": repo.commits[-1], "private": repo.private})

    def create(self, asked: dict[str, Any]) -> None:
        name = f"{asked.get('type') or 'model'}s/{asked.get('organization') or USER}/{asked['name']}"
        if name in self.hub.repos:
            return self.answer(409, {"error": "You already created this repo"})
        self.hub.repos[name] = Repo(asked.get("visibility") == "private", sdk=asked.get("sdk"))
        self.hub.repos[name].files[".gitattributes"] = b"*.safetensors filter=lfs\n"
        return self.answer(200, {"url": f"{self.hub.url}/{name.removeprefix('models/')}"})

    def batch(self, asked: dict[str, Any]) -> None:
        objects = []
        for entry in asked["objects"]:
            upload = {"upload": {"href": f"{self.hub.url}/object/{entry['oid']}"}}
            wanted = {} if entry["oid"] in self.hub.objects else {"actions": upload}
            objects.append({"oid": entry["oid"], "size": entry["size"], **wanted})
        self.answer(200, {"transfer": "basic", "objects": objects})

    def preupload(self, repo: Repo, asked: dict[str, Any]) -> None:
        modes = []
        for file in asked["files"]:
            mode = "lfs" if file["path"].endswith(self.hub.large or ("\0",)) else "regular"
            held = self.entry(repo, file["path"]) if file["path"] in repo.files else {}
            modes.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": held.get("oid")})
        self.answer(200, {"files": modes})

    def commit(self, repo: Repo, body: bytes, *, cut: bool) -> None:
        lines = [json.loads(line) for line in body.splitlines() if line]
        header = next(line["value"] for line in lines if line["key"] == "header")
        if header.get("parentCommit") not in (None, repo.commits[-1]):
            return self.answer(412, {"error": "A commit has happened since. Please refresh and try again."})
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                repo.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                repo.files[value["path"]] = self.hub.objects[value["oid"]]
                repo.large.add(value["path"])
            elif line["key"] == "deletedFile":
                del repo.files[value["path"]]
        repo.commits.append(hashlib.sha1(body).hexdigest())
        if cut:
            return self.cut()
        name = next(name for name, one in self.hub.repos.items() if one is repo).removeprefix("models/")
        url = f"{self.hub.url}/{name}/commit/{repo.commits[-1]}"
        return self.answer(200, {"commitUrl": url, "commitOid": repo.commits[-1]})

    def entry(self, repo: Repo, name: str) -> dict[str, Any]:
        data = repo.files[name]
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        value = {"type": "file", "path": name, "size": len(data), "oid": blob}
        if name in repo.large:
            value["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        return value


@contextlib.contextmanager
def serving(patch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub on loopback, and the hub's client pointed at it, with a token."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    patch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    patch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    patch.setattr("huggingface_hub.utils._http.time", SimpleNamespace(sleep=lambda seconds: None, time=time.time))
    patch.setenv("HF_TOKEN", TOKEN)
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
