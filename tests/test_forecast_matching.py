"""Whose factor is whose: domains and targets are the same by what they hold, whatever they are called."""

from mixplan.domains.content_sketch import Content
from mixplan.forecast.matching import Planned, groups_of, recognise
from mixplan.forecast.measured_run import Found, Run


def content(first, last):
    return Content(None, last - first, tuple(f"{number:012x}" for number in range(first, last)))


LAW, CODE, POEMS, OTHER = (content(start, start + 40) for start in (0, 100, 200, 300))


def run(name, target=None, **domains):
    found = {key: Found({"sts_icl": 1.0}, None, 0.1, content=value) for key, value in domains.items()}
    return Run(name, name * 64, found, target=target)


def test_content_under_another_name_keeps_its_factor():
    found = recognise([run("a", justice=content(5, 45), code=CODE)], Planned(domains={"law": LAW, "code": CODE}))
    assert list(found.runs[0].domains) == ["law", "code"]
    assert found.renamed == (("law", "justice"),)
    assert found.lines() == ["Recognised by content under another name: law (there justice)."]


def test_other_content_under_the_same_name_does_not_inherit_its_factor():
    found = recognise([run("a", law=OTHER), run("b", law=content(302, 342))], Planned(domains={"law": LAW}))
    assert [list(one.domains) for one in found.runs] == [["law of a"], ["law of a"]]  # the two are one domain
    assert found.other == ("law",)
    assert found.lines() == [
        "Earlier runs measured other content under the name law, so that nothing they say of it is used for this "
        "plan's."
    ]


def test_swapped_names_are_told_apart():
    found = recognise([run("a", law=CODE, code=LAW)], Planned(domains={"law": LAW, "code": CODE}))
    assert {name: part.content for name, part in found.runs[0].domains.items()} == {"code": CODE, "law": LAW}


def test_runs_among_themselves_are_matched_by_content_too():
    found = recognise([run("a", x=POEMS), run("b", y=POEMS), run("c", x=OTHER)], Planned(domains={"law": LAW}))
    assert [list(one.domains) for one in found.runs] == [["x"], ["x"], ["x of c"]]


def test_without_sketches_names_decide_and_that_is_said():
    found = recognise([run("a", law=None, sums=None)], Planned(domains={"law": LAW}))
    assert list(found.runs[0].domains) == ["law", "sums"]
    assert found.lines() == ["1 run was saved without sketches of their data: their domains are matched by name."]
    assert recognise([run("a", law=None)], Planned()).lines() == []


def test_runs_of_one_target_are_one_group_and_this_plans_own_are_found():
    runs = [run("a", LAW), run("b", content(3, 43)), run("c", CODE), run("d"), run("e")]
    assert groups_of(runs) == (0, 0, 1, 2, 3)
    assert recognise(runs, Planned(target=LAW)).own == (0, 1)
    assert recognise(runs, Planned()).own == ()


def test_no_domain_of_a_run_is_lost_where_two_hold_the_same():
    found = recognise([run("a", one=LAW, two=LAW)], Planned(domains={"law": LAW}))
    assert list(found.runs[0].domains) == ["law", "two"]
