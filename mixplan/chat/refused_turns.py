"""Says what to change in rows whose turns a chat template refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Roles = Sequence[str]

MOVED = (
    "set `roles: {system: user}` and `turn_order: alternating` in the domain's section, which puts its text at the "
    "beginning of the first user turn."
)
ALTERNATING = (
    "It takes turns that alternate: set `turn_order: alternating` in the domain's section, which joins neighbouring "
    "turns of one role and leaves out answers before the first question."
)
SYSTEM = {
    True: "It takes them without the system turn: remove `system` from the domain's columns.",
    False: f"It takes them without the system turn: {MOVED}",
    None: "It takes them without the system turn: remove `system` from the domain's columns where the text comes from "
    f"there; where it is a turn of `messages` or `prompt`, {MOVED}",
}
"""What to do with a system turn, by whether it comes from `columns.system`."""


TOOL = (
    "It takes no turns of tools: leave such rows out with `roles: {tool: leave_out}` in the domain's section, or "
    "choose a model whose chat template takes them."
)


def remedy_for_turns(roles: Roles, accepts: Callable[[list[str]], bool], *, system_column: bool | None = None) -> str:
    """Name the change that makes the template take a conversation, tried on the template itself.

    Args:
        roles: Of the turns, in order.
        accepts: Whether the template takes turns of some roles.
        system_column: Whether system turns come from `columns.system`, or stand among the turns; None when unknown.

    Returns:
        Whole sentences.
    """
    if accepts(list(roles)):
        return "It takes turns of these roles, so it is their text that it refuses: take the row out of the data."
    if "tool" in roles and accepts(["user", "assistant"]) and not accepts(["user", "assistant", "tool", "assistant"]):
        return TOOL
    for mended, sentence in repairs(list(roles), SYSTEM[system_column]):
        if mended != list(roles) and mended and accepts(mended):
            return sentence
    return (
        "It takes none of the usual orders of turns either. Choose a model whose chat template takes these turns, or "
        "write each row as one question and one answer."
    )


def repairs(roles: list[str], system: str) -> list[tuple[list[str], str]]:
    """The roles after each change and after changes together, the smallest first, with what to do.

    Args:
        roles: Of the turns.
        system: What to do with a system turn.
    """
    bare = without_system(roles)
    both = system if "turn_order" in system else f"{system} {ALTERNATING}"
    return [(bare, system), (alternated(roles), ALTERNATING), (alternated(bare), both)]


def alternated(roles: list[str]) -> list[str]:
    """The roles as `turn_order: alternating` leaves them."""
    return joined_turns(from_first_user(roles))


def without_system(roles: list[str]) -> list[str]:
    """The roles without system turns."""
    return [role for role in roles if role != "system"]


def from_first_user(roles: list[str]) -> list[str]:
    """The roles without what stands before the first user turn, system turns apart."""
    start = roles.index("user") if "user" in roles else 0
    return [role for number, role in enumerate(roles) if number >= start or role == "system"]


def joined_turns(roles: list[str]) -> list[str]:
    """The roles with neighbours of one role joined."""
    return [role for number, role in enumerate(roles) if number == 0 or role != roles[number - 1]]
