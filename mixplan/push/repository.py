"""Asks a hub about a repository, creates it and commits to it, with the hub's refusals as one message and a remedy."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token, is_offline_mode
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.errors import HTTPError as ConnectionFailed  # type: ignore[attr-defined]  # its HTTP library's
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils._validators import validate_repo_id
from huggingface_hub.utils.tqdm import disable_progress_bars

from mixplan.errors import RunError
from mixplan.push.files_to_send import Outgoing

WRITE = "Make one with write access at {site}/settings/tokens, then `hf auth login` or set HF_TOKEN."
INVALID, FORBIDDEN, UNKNOWN, CONFLICT, MOVED, TOO_LARGE, MANY = 401, 403, 404, 409, 412, 413, 429
"""HTTP status codes that have a remedy of their own; a 401 says that the token is not valid."""


@dataclass(frozen=True)
class Repository:
    """A repository as the hub has it now.

    Attributes:
        name: `NAMESPACE/NAME`.
        kind: `dataset`, `model` or `space`.
        exists: Whether it is there.
        private: Whether only its members see it; None where it is not there.
        head: Its newest commit; None where it is not there or has none.
        files: Hash of each file by its path: SHA-256 of those in Git LFS, Git's own of all others.
    """

    name: str
    kind: str
    exists: bool = False
    private: bool | None = None
    head: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    def holds(self, file: Outgoing) -> bool:
        """Whether a file is there with this very content."""
        there = self.files.get(file.name)
        return there is not None and there in (file.git_hash, file.sha256)

    @property
    def url(self) -> str:
        """Its page."""
        place = {"dataset": "datasets/", "space": "spaces/", "model": ""}[self.kind]
        return f"{HfApi().endpoint}/{place}{self.name}"


def signed_in() -> str:
    """The user whose token is used, which the hub has confirmed.

    Raises:
        RunError: there is no token, it is not valid, may only read, or the hub cannot be reached.
    """
    with translated_hub("asking who is logged in"):
        if is_offline_mode():
            raise OfflineModeIsEnabled
        found = HfApi().whoami()
    role = found.get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        raise RunError(f"the token of {found['name']} may only read. Nothing was sent. {remedy()}")
    return str(found["name"])


def full_name(repo: str, user: str) -> str:
    """A repository's name with its namespace, the user's own where none is given.

    Raises:
        RunError: the hub takes no such name.
    """
    name = repo if "/" in repo else f"{user}/{repo}"
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise RunError(
            f"--repo {repo}: the hub takes no such name: {error} Give NAME, or NAMESPACE/NAME of letters, digits, `-`, "
            "`_` and `.`."
        ) from error
    return name


def looked_at(name: str, kind: str) -> Repository:
    """What the hub has under a name now.

    Raises:
        RunError: the hub cannot be reached, or does not let it be read.
    """
    api = HfApi()
    with translated_hub(f"looking at {name}"):
        try:
            info = api.repo_info(name, repo_type=kind)
        except RepositoryNotFoundError as error:
            if error.response.status_code == FORBIDDEN:
                raise
            return Repository(name, kind)
        tree = api.list_repo_tree(name, repo_type=kind, recursive=True) if info.sha else ()
        files = {one.path: one.lfs.sha256 if one.lfs else one.blob_id for one in tree if isinstance(one, RepoFile)}
    return Repository(name, kind, True, bool(info.private), info.sha, files)


def create(repository: Repository, *, private: bool) -> None:
    """Create an empty repository.

    Raises:
        RunError: the hub refuses it.
    """
    with translated_hub(f"creating {repository.name}"):
        HfApi().create_repo(
            repository.name,
            repo_type=repository.kind,
            private=private,
            space_sdk="static" if repository.kind == "space" else None,
        )


def commit(repository: Repository, files: Sequence[Outgoing], stale: Sequence[str], message: str) -> str:
    """Commit files in one commit; what is large is uploaded before it, and no one sees it until then.

    Args:
        repository: As it was looked at: the commit fails where someone has pushed since.
        files: What to add or replace.
        stale: Files to delete.
        message: Of the commit.

    Returns:
        The commit.

    Raises:
        RunError: nothing was committed, or the hub could not say whether it was.
    """
    operations = [CommitOperationAdd(path_in_repo=file.name, path_or_fileobj=given(file)) for file in files]
    removals = [CommitOperationDelete(path_in_repo=name) for name in stale]
    if not sys.stderr.isatty():
        disable_progress_bars()
    with translated_hub(f"committing to {repository.name}"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a card's form, which is no one's to mend here
        done = HfApi().create_commit(
            repository.name,
            [*removals, *operations],
            repo_type=repository.kind,
            commit_message=message,
            parent_commit=repository.head,
        )
    return done.oid


def given(file: Outgoing) -> bytes | str:
    """A file's content as the hub's client takes it."""
    return file.content if isinstance(file.content, bytes) else str(file.content)


@contextlib.contextmanager
def translated_hub(doing: str) -> Iterator[None]:
    """Turn what the hub and its client raise into one message with a remedy, without a token in it.

    Args:
        doing: What was done, for the message.

    Raises:
        RunError: in place of any of theirs.
    """
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise RunError(
            "the hub is switched off by HF_HUB_OFFLINE, so nothing can be pushed. Unset it and run the same command."
        ) from error
    except LocalTokenNotFoundError as error:
        raise RunError(f"no one is logged in to the hub, so nothing can be pushed. {remedy()}") from error
    except HfHubHTTPError as error:
        raise RunError(refusal(error.response.status_code, said(error), doing)) from error
    except (ConnectionFailed, OSError, RuntimeError) as error:
        raise RunError(
            f"{doing}: the connection to {HfApi().endpoint} failed ({type(error).__name__}). Check the network, or "
            "HF_ENDPOINT where a mirror is used, and run the same command again: it sends what is not there yet."
        ) from error
    except ValueError as error:
        raise RunError(
            f"{doing}: the hub's client refuses it: {without_token(' '.join(str(error).split()))}"
        ) from error


def refusal(status: int, text: str, doing: str) -> str:
    """Say what the hub refused, and what helps.

    Args:
        status: Its HTTP status.
        text: Its own words.
        doing: What was done.
    """
    helps = {
        INVALID: f"The token is not valid (any more). {remedy()}",
        FORBIDDEN: f"The token may not write there. Choose a namespace of your own with --repo, or another token. "
        f"{remedy()}",
        UNKNOWN: "Check the name, or ask its owner for access.",
        CONFLICT: "Someone has made or changed it in the meantime. Run the same command again: it looks anew.",
        MOVED: "Someone has pushed to it since it was looked at. Run the same command again: it looks anew.",
        TOO_LARGE: "A file is larger than the hub takes. Push to a namespace with more storage.",
        MANY: "Too many requests were made. Wait some minutes and run the same command again.",
    }
    other = "Run the same command again later: it sends what is not there yet."
    return f"{doing}: the hub answered {status}{f' ({text})' if text else ''}. {helps.get(status, other)}"


def said(error: HfHubHTTPError) -> str:
    """The server's own words, cut, and without a token."""
    return without_token(" ".join((error.server_message or "").split())[:200].rstrip("."))


def without_token(text: str) -> str:
    """A text without the token that is used."""
    token = get_token()
    return text.replace(token, "TOKEN") if token else text


def remedy() -> str:
    """How to log in."""
    return WRITE.format(site=HfApi().endpoint)
