"""What became of a domain's rows, in one line, and what of that a reader is warned of."""

import json
from pathlib import Path

from small_domains import WITH_PASSAGE, domain, passage_rows, questions, recipe, save

from mixplan.domains import account, open_domains, row_warnings
from mixplan.domains.cached_domains import opened as opened_recipe
from mixplan.recipe import ColumnsSpec, DataSpec, SplitSpec, load_recipe


def opened(folder: Path, target, domains):
    return open_domains(recipe(target, domains), folder=folder)


def test_every_row_is_accounted_for(tmp_path):
    save(tmp_path, "target", [*questions("target", 30), "Target question 3", {"q": "r", "a": None}])
    save(tmp_path, "law", [*questions("law", 20), "target question 1"])
    save(tmp_path, "worked", questions("worked", 4))
    apart = SplitSpec(evaluation=2, query=3, demonstration=2, apart=True)
    target, domains = opened(
        tmp_path,
        domain("target", data=DataSpec(file="target.jsonl", limit=31), split=SplitSpec(evaluation=5)),
        {
            "law": domain("law", split=apart),
            "shown": domain("law", demonstrations=DataSpec(file="worked.jsonl"), demonstration=3),
        },
    )
    told = account(target)
    assert told.startswith("31 of 32 rows (data.limit): evaluation 5, pool ")
    assert target.read_rows == 31 == len(target.rows) + sum(target.dropped.values())
    assert account(domains["law"]).partition(";")[0] == (
        f"21 rows: evaluation 2, query 3, demonstration 2, pool {len(domains['law'].pool)}"
    )
    assert account(domains["shown"]).startswith(
        f"21 rows: evaluation 2, pool {len(domains['shown'].pool)}, of which query 3; demonstration 3 of their own data"
    )
    limited, *twice = row_warnings(target, domains)
    assert limited == (
        "target: 31 of its 32 rows were read, as `target.data.limit` has it; the others are not trained on. "
        "Set `target.data.limit: 32` to take them all."
    )
    # Both domains are of one file.
    assert [(text.partition(":")[0], " rows of law too" in text) for text in twice if "target" not in text] == [
        ("shown", True)
    ]


def test_rows_that_two_pools_hold_are_told(tmp_path):
    save(tmp_path, "target", questions("target", 30))
    save(tmp_path, "law", [*questions("law", 30), *questions("target", 12)])
    save(tmp_path, "art", [*questions("art", 30), *questions("law", 15)])
    target, domains = opened(tmp_path, domain("target"), {"law": domain("law"), "art": domain("art")})
    pools = {one.name: {row.key for row in one.pool} for one in (target, *domains.values())}
    both = {(name, other): len(pools[name] & pools[other]) for name, other in (("law", "target"), ("art", "law"))}
    assert min(both.values()) > 0
    assert list(row_warnings(target, domains)) == [
        f"{name}: {count} of its {len(pools[name])} pool rows are pool rows of {other} too, so a mixture may train a "
        "row twice. Leave them out of one of the two, as by its `data.where`."
        for (name, other), count in both.items()
    ]


def test_what_was_left_out_and_what_is_shared_is_told(tmp_path):
    save(tmp_path, "target", [*questions("target", 20), *questions("target", 3)])
    save(tmp_path, "law", passage_rows(60, 20))
    target, domains = opened(
        tmp_path, domain("target"), {"law": domain("law", columns=WITH_PASSAGE, split=SplitSpec())}
    )
    assert account(target) == (
        "23 rows: evaluation 2, pool 18, of which query 3 and demonstration 2; 3 left out: 3 duplicate"
    )
    assert account(domains["law"]).endswith("; evaluation rows that share their passage: 9 with pool rows of law")
    assert list(row_warnings(target, domains)) == [
        "law: 9 of its 9 evaluation rows share their `passage` with its own pool's rows, so training on these may "
        "raise what is measured. Name the column of the passage as `domains.law.group`, or set it to false if "
        "`passage` is none."
    ]


def test_rows_of_a_named_column_that_cannot_stay_together_are_told_with_what_helps(tmp_path):
    save(tmp_path, "target", questions("target", 20))
    columns, split = ColumnsSpec(question="q", answer="a"), SplitSpec(evaluation=20)
    for sizes, remedy in (
        ([60, 3, 3], "Set `domains.law.split.evaluation` to 6"),
        ([66], "Add rows of other ids"),
    ):
        numbers = [number for number, size in enumerate(sizes) for _ in range(size)]
        save(tmp_path, "law", [{"q": f"q{n}", "a": "yes", "id": number} for n, number in enumerate(numbers)])
        law = domain("law", columns=columns, split=split, group="id")
        target, domains = opened(tmp_path, domain("target"), {"law": law})
        count = domains["law"].shared["law"]
        assert list(row_warnings(target, domains)) == [
            f"law: {count} of its 20 evaluation rows share their `id` with its own pool's rows, so training on these "
            f"may raise what is measured. {remedy}, so that each id is on one side, or set `domains.law.group` to "
            "false."
        ]


def test_how_answers_of_choices_were_read_is_told(tmp_path):
    rows = [{"q": f"q{number}", "o": ["x", "y", "z"], "a": 1 + number % 3} for number in range(30)]
    save(tmp_path, "target", rows)
    save(tmp_path, "law", questions("law", 20))
    columns = ColumnsSpec(question="q", options="o", answer="a")
    target, _ = opened(tmp_path, domain("target", format="choice", columns=columns), {"law": domain("law")})
    assert account(target).endswith("; each answer is an index from 1")
    assert target.labels == "index1"
    said = domain("target", format="choice", columns=columns, labels="index1")
    assert "each answer" not in account(opened(tmp_path, said, {"law": domain("law")})[0])


def test_a_role_that_no_message_has_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "cache"))
    turns = [{"role": "agent", "content": "Say"}, {"role": "gpt", "content": "So"}]
    rows = [{"messages": [{**turns[0], "content": f"Say {number}"}, turns[1]]} for number in range(30)]
    (tmp_path / "chats.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    section = "data: {file: chats.jsonl}, format: messages, columns: {messages: messages}"
    (tmp_path / "recipe.yaml").write_text(
        "model: {name: embedded, sae: {embedded: true}}\n"
        f"target: {{{section}, roles: {{agent: user, bot: user}}}}\n"
        f"domains: {{law: {{{section}, roles: {{agent: user}}}}}}\nbudget: {{rows: 5}}\n"
    )
    loaded = load_recipe(tmp_path / "recipe.yaml")
    for _ in range(2):  # as read, and as kept
        told, twice = row_warnings(*opened_recipe(loaded))
        assert told == "target: `target.roles` names 'bot', which no message read has. Correct or remove it."
        assert twice.startswith("law: 26 of its 26 pool rows are pool rows of target too")
