"""The change that is named for refused turns is one that the template takes."""

import pytest

from mixplan.chat.refused_turns import MOVED, remedy_for_turns


def alternating(roles):
    return bool(roles) and all(role == ("user", "assistant")[n % 2] for n, role in enumerate(roles))


def after_system(roles):
    return alternating(roles[1:] if roles[:1] == ["system"] else roles)


SYSTEM = "It takes them without the system turn"
ALTERNATING = "set `turn_order: alternating`"


@pytest.mark.parametrize(
    ("roles", "accepts", "sentences"),
    [
        ("system user assistant", alternating, [SYSTEM]),
        ("assistant user assistant", alternating, [ALTERNATING]),
        ("system assistant user assistant", after_system, [ALTERNATING]),
        ("user user assistant", alternating, [ALTERNATING]),
        ("system user user assistant", after_system, [ALTERNATING]),
        ("system user user assistant", alternating, [SYSTEM, ALTERNATING]),
        ("system assistant user user assistant", alternating, [SYSTEM, ALTERNATING]),
    ],
)
def test_the_smallest_change_that_is_taken_is_named(roles, accepts, sentences):
    said = remedy_for_turns(roles.split(), accepts, system_column=True)
    assert [one for one in (SYSTEM, ALTERNATING) if one in said] == sentences


@pytest.mark.parametrize(
    ("column", "words"),
    [(True, "remove `system` from the domain's columns."),
     (False, MOVED)],
)  # fmt: skip
def test_a_system_turn_is_removed_where_it_comes_from(column, words):
    assert remedy_for_turns(["system", "user"], alternating, system_column=column) == f"{SYSTEM}: {words}"


def test_a_template_that_takes_nothing_and_a_text_that_is_refused():
    assert "takes none of the usual orders" in remedy_for_turns(["user"], lambda _: False)
    assert "it is their text" in remedy_for_turns(["user"], lambda _: True)
