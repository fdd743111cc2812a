"""Pushes one part of a run to the hub: gathers it, checks it, looks at the repository, and commits all at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import get_token, is_offline_mode

from mixplan.errors import RunError
from mixplan.push.data_set import gather_mixture
from mixplan.push.file_changes import MADE_BY_HUB, Offer, OfferedFile, compared, listed, refuse_replacing
from mixplan.push.files_to_send import Gathered
from mixplan.push.model_files import gather_model
from mixplan.push.page_files import gather_report
from mixplan.push.private import OwnPlaces, own_places, refuse_secrets
from mixplan.push.repository import Repository, commit, create, full_name, looked_at, signed_in
from mixplan.push.request import Stated
from mixplan.recipe import load_recipe
from mixplan.runs import quoted
from mixplan.saved import read_outcome, read_plan

WHAT = ("mixture", "model", "report")


@dataclass(frozen=True)
class PushRequest:
    """What `mixplan push` was asked.

    Attributes:
        run: The run folder.
        stated: The repository, and what cards say that no plan knows.
        what: One of `WHAT`.
        private: Whether a new repository is private.
        dry_run: Whether only to say what would go.
        replace: Whether files that are there already may be replaced, and stale ones deleted.
        publish_restricted: Whether a public repository may hold rows under a licence that restricts them.
    """

    run: Path
    stated: Stated
    what: str = "mixture"
    private: bool = False
    dry_run: bool = False
    replace: bool = False
    publish_restricted: bool = False

    @property
    def command(self) -> str:
        """The command that asks the same."""
        words = ["mixplan push", quoted(self.run), "--repo", self.stated.repo, "--what", self.what]
        words += [word for language in self.stated.languages for word in ("--language", language)]
        words += ["--license", self.stated.licence] if self.stated.licence else []
        words += ["--base-model", self.stated.base] if self.stated.base else []
        words += ["--private"] if self.private else []
        return " ".join(words)


def push_run(request: PushRequest, told: Callable[[Offer], None] | None = None) -> Offer:
    """Push one part of a run, or say what would go.

    All that can be refused is refused before anything is sent: the run's own state, tokens and paths of this machine in
    a text, a login, files that someone else put there, and restricted rows in a public repository.

    Args:
        request: What was asked.
        told: Called with what is about to be done, before anything is sent; not for a dry run.

    Returns:
        What was done, or would be.

    Raises:
        MixplanError: anything that the person can mend.
    """
    if request.what not in WHAT:
        raise RunError(f"--what: found '{request.what}', expected one of {', '.join(WHAT)}.")
    request = replace(request, stated=request.stated.checked())
    if request.dry_run and (is_offline_mode() or get_token() is None):
        why = "HF_HUB_OFFLINE is set" if is_offline_mode() else "no one is logged in: `hf auth login`, or set HF_TOKEN"
        name = full_name(request.stated.repo, "YOU")
        gathered = checked(replace(request, stated=replace(request.stated, repo=name)))
        files = tuple(OfferedFile(file.name, file.size, "unknown") for file in gathered.files)
        notes = (*gathered.notes, *gathered.restricted, f"The hub was not asked what it holds, as {why}.")
        return Offer(name, gathered.kind, Repository(name, gathered.kind).url, request.private, None, files, notes)
    user = signed_in()
    request = replace(request, stated=replace(request.stated, repo=full_name(request.stated.repo, user)))
    gathered = checked(request)
    repository = looked_at(request.stated.repo, gathered.kind)
    offer = offered(request, gathered, repository)
    if request.dry_run:
        return offer
    if not request.replace:
        refuse_replacing(offer, request.command)
    if gathered.restricted and not offer.private and not request.publish_restricted:
        raise RunError(
            f"{offer.url} is public, and {' '.join(gathered.restricted)} Nothing was sent. Push to a private "
            f"repository: `{request.command}{'' if request.private else ' --private'}`"
            f"{' with another --repo, as this one is public' if offer.exists else ''}; leave such rows out with "
            "`mixture.licences.exclude` and plan again; or, where you may publish them, add --publish-restricted."
        )
    if told is not None:
        told(offer)
    return sent(request, gathered, repository, offer)


def checked(request: PushRequest) -> Gathered:
    """What goes, with no token and no path of this machine in it.

    Raises:
        MixplanError: the run does not hold it whole, or a text has either.
    """
    run, stated = request.run, request.stated
    plan, loaded = read_plan(run), load_recipe(run / "recipe.yaml")
    places: OwnPlaces = own_places(run, plan)
    if request.what == "mixture":
        gathered = gather_mixture(run, loaded, plan, stated, places)
    else:
        outcome = read_outcome(run)
        if request.what == "report":
            gathered = gather_report(run, loaded, plan, outcome, stated, places)
        elif outcome is None:
            raise RunError(
                f"{run}: nothing was measured yet, so there is no model card to push with the model. Train and measure "
                f"with `mixplan train {quoted(run)}`, or measure a model in {run / 'model'} with "
                f"`mixplan eval {quoted(run)}`."
            )
        else:
            gathered = gather_model(run, loaded, (plan, outcome), stated, places)
    refuse_secrets(gathered.files, places, [get_token() or ""])
    return gathered


def offered(request: PushRequest, gathered: Gathered, repository: Repository) -> Offer:
    """What would be done to a repository."""
    notes = [*gathered.notes, *gathered.restricted]
    private = request.private if repository.private is None else repository.private
    if request.private and not private:
        raise RunError(
            f"{repository.url} is public already, and --private makes a new repository private, not an old one. "
            "Nothing was sent. Choose another --repo, or make it private in its settings."
        )
    others = sorted(set(repository.files) - {file.name for file in gathered.files} - set(MADE_BY_HUB))
    files = tuple(compared(gathered, repository))
    kept = [name for name in others if name not in {file.name for file in files}]
    if kept:
        notes.append(f"What else is in the repository stays: {listed(kept)}.")
    return Offer(repository.name, gathered.kind, repository.url, private, repository.exists, files, tuple(notes))


def sent(request: PushRequest, gathered: Gathered, repository: Repository, offer: Offer) -> Offer:
    """Send in one commit what is not there yet.

    Raises:
        RunError: nothing was committed; says what was left behind.
    """
    same, stale = set(offer.names("same")), offer.names("deletes")
    files = [file for file in gathered.files if file.name not in same]
    if not files and not stale:
        return offer
    if not repository.exists:
        create(repository, private=request.private)
        repository = looked_at(repository.name, repository.kind)
    message = f"{request.what} of {request.run.resolve().name} by mixplan"
    try:
        done = commit(repository, files, stale, message)
    except RunError as error:
        if (now := found_after(repository)) is None:
            text = (
                "Whether the commit was made is not known: the hub cannot be asked. A commit holds all files or none."
            )
        elif all(now.holds(file) for file in gathered.files) and not set(stale) & set(now.files):
            text = f"{error} All files are in the repository nevertheless."
            return replace(offer, commit=now.head, notes=(*offer.notes, text))
        elif offer.exists:
            text = "Nothing was committed: the repository is as it was."
        else:
            text = f"The new repository {offer.url} is empty; the same command fills it."
        raise RunError(f"{error} {text}") from error
    return replace(offer, commit=done)


def found_after(repository: Repository) -> Repository | None:
    """A repository after a commit that failed, or whose answer was lost; None where it cannot be seen."""
    try:
        return looked_at(repository.name, repository.kind)
    except RunError:
        return None
