"""Every recipe key is read: each is changed in turn, and what it changes is found in the artifacts of a plan.

The tables below name every leaf key of the recipe's models; a key without an entry fails the test. An artifact counts
as changed only by what was computed: copies of the recipe and hashes are left out of the comparison.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from keyed_rows import ID, RELEASES, lay_data, lay_dated, lay_snapshots, lay_strangers, lay_texts
from recipe_leaves import LATER_STAGES, PILOT, sections
from saved_hub import save_sparsify, tensors
from small_plan import HOOK, Silent

from mixplan import embedded
from mixplan.domains.cached_domains import opened
from mixplan.errors import MixplanError
from mixplan.plan import PlanRequest, make_plan
from mixplan.recipe import Recipe, SourceSpec, load_recipe

DOMAIN = "domains.fox"
NAMES = {"domains": [DOMAIN], "allocate.groups": ["allocate.groups.both"]}
LEAVES = list(dict(sections(Recipe, "", NAMES)))


@dataclass(frozen=True)
class Case:
    """How a key is changed and what that must show.

    Attributes:
        change: Overrides: the key's, and what must change with it for the recipe to stay valid.
        shows: The artifact that differs then.
        given: Overrides on both sides.
    """

    change: tuple[str, ...]
    shows: str
    given: tuple[str, ...] = ()


def case(change: str, shows: str, *given: str) -> Case:
    return Case((change,), shows, given)


def data_cases(data: str, given: tuple[str, ...], shows: str) -> dict[str, Case]:
    """The keys of a data section; `given` is what it needs to stand."""
    hub = (*given, f"{data}.file=null", f"{data}.hub=tests/first")
    generator = (*given, f"{data}.file=null", f"{data}.generator=chain_sum", f"{data}.limit=60")
    return {
        f"{data}.hub": case(f"{data}.hub=tests/second", shows, *hub),
        f"{data}.config": case(f"{data}.config=other", shows, *hub, f"{data}.config=default"),
        f"{data}.split": case(f"{data}.split=test", shows, *hub),
        f"{data}.revision": case(f"{data}.revision=v2", shows, *hub),
        f"{data}.file": case(f"{data}.file=other.jsonl", shows, *given),
        f"{data}.package": case(f"{data}.package=mixplan_rows", shows, *given),
        f"{data}.generator": case(f"{data}.generator=gcd", shows, *generator),
        f"{data}.options": case(f"{data}.options={{max_terms: 2}}", shows, *generator),
        f"{data}.where": case(f"{data}.where={{kind: odd}}", shows, *given),
        f"{data}.limit": case(f"{data}.limit=40", shows, *given),
    }


def domain_cases(domain: str, read: str) -> dict[str, Case]:
    """The keys of a target or domain; `read` is the artifact that shows what was read of it."""
    columns, form, shots = f"{domain}.columns", f"{domain}.format", f"{domain}.demonstrations"
    messages = (f"{columns}=null", f"{form}=messages", f"{columns}={{messages: chat}}")
    parts = (f"{columns}=null", f"{form}=prompt_completion", f"{columns}={{prompt: question, completion: answer}}")
    lists = (f"{columns}=null", f"{form}=choice", f"{columns}={{question: question, options: options, answer: letter}}")
    picks = (f"{columns}=null", f"{form}=choice", f"{domain}.labels=index0",
             f"{columns}={{question: question, options: options3, answer: pick}}")  # fmt: skip
    chats = (f"{columns}=null", f"{form}=messages", f"{columns}={{messages: chat3, role: role, content: content}}",
             f"{domain}.roles={{note: system}}")  # fmt: skip
    return {
        f"{domain}.labels": case(f"{domain}.labels=index1", read, *picks),
        f"{domain}.roles": case(f"{domain}.roles={{note: user}}", read, *chats),
        f"{domain}.turns": case(f"{domain}.turns=all", read, *chats),
        f"{domain}.turn_order": case(
            f"{domain}.turn_order=alternating", read, *chats, f"{domain}.roles={{note: user}}"
        ),
        f"{columns}.role": case(f"{columns}.role=by", read, *chats),
        f"{columns}.content": case(f"{columns}.content=says", read, *chats),
        f"{columns}.tools": case(f"{columns}.tools=tools", "mixture", *chats),
        **data_cases(f"{domain}.data", (), read),
        **data_cases(shots, (f"{shots}={{file: shots.jsonl}}",), read),
        form: Case(lists, read),
        f"{columns}.messages": case(f"{columns}.messages=chat2", read, *messages),
        f"{columns}.prompt": case(f"{columns}.prompt=question2", read, *parts),
        f"{columns}.completion": case(f"{columns}.completion=answer2", read, *parts),
        f"{columns}.system": case(f"{columns}.system=system", read),
        f"{columns}.question": case(f"{columns}.question=question2", read),
        f"{columns}.options": case(f"{columns}.options=options2", read, *lists),
        f"{columns}.answer": case(f"{columns}.answer=answer2", read),
        f"{columns}.rationale": case(f"{columns}.rationale=rationale", read),
        f"{domain}.split.evaluation": case(f"{domain}.split.evaluation=9", "row counts"),
        f"{domain}.split.query": case(f"{domain}.split.query=9", "row counts"),
        f"{domain}.split.demonstration": case(f"{domain}.split.demonstration=5", "row counts"),
        f"{domain}.split.apart": case(f"{domain}.split.apart=true", "row counts"),
        f"{domain}.group": case(f"{domain}.group=passage", "row counts"),
        f"{domain}.grader": case(f"{domain}.grader=number", "mixture", "train.method=grpo"),
        f"{domain}.licence": case(f"{domain}.licence=CC-BY-4.0", "data card"),
    }


DATED = "model.name=model4"
"""A model whose chat template prints the date, reads a setting, and which often ends its answers."""
ELSEWHERE = ("model.sae.path=null",)
REWARDED = ("train.rewards={format: 1.0}", "train.answer_format='[aeiou]'", "drift.rollouts.answer_tokens=4",
            "drift.demonstrations=1")  # fmt: skip
"""Rewards that a random model gets now and then."""
SAMPLED = ("drift.from=rollouts", *REWARDED)
IN_REGISTRY = (*ELSEWHERE, "model.name=gpt2", "model.sae.release=gpt2-small-res_scl-ajt", f"model.sae.id={ID}")
BOTH = "allocate.groups={both: {domains: [fox]}}"
CASES = {
    "model.name": case("model.name=model2", "drift"),
    "model.revision": case("model.revision=v2", "drift", "model.name=tests/model"),
    "model.dtype": case("model.dtype=bfloat16", "drift"),
    "model.chat_template_kwargs": case("model.chat_template_kwargs={style: brief}", "drift", DATED),
    "model.template_date": case("model.template_date='2031-02-03'", "drift", DATED),
    "model.trust_remote_code": case("model.trust_remote_code=true", "TRL config"),
    "model.sae.release": case("model.sae.release=gpt2-small-res_sce-ajt", "drift", *IN_REGISTRY),
    "model.sae.repo": Case(
        ("model.sae.release=null", "model.sae.repo=tests/saes", f"model.sae.id={ID}"), "drift", IN_REGISTRY
    ),
    "model.sae.id": case("model.sae.id=blocks.6.hook_resid_pre", "drift", *IN_REGISTRY),
    "model.sae.path": case("model.sae.path=sae2", "drift"),
    "model.sae.embedded": Case((*ELSEWHERE, "model.sae.embedded=true"), "drift"),
    "model.sae.hook_name": case("model.sae.hook_name=blocks.1.hook_resid_post", "drift"),
    "model.sae.format": case("model.sae.format=sparsify", "drift", "model.sae.path=both/layers.2"),
    **domain_cases("target", "drift"),
    **domain_cases(DOMAIN, "scores"),
    "drift.features": case("drift.features=5", "drift"),
    "drift.from": case("drift.from=rollouts", "drift", *REWARDED),
    "drift.rollouts.prompts": case("drift.rollouts.prompts=3", "drift", *SAMPLED),
    "drift.rollouts.samples": case("drift.rollouts.samples=9", "drift", *SAMPLED),
    "drift.rollouts.temperature": case("drift.rollouts.temperature=0.5", "drift", *SAMPLED),
    "drift.rollouts.answer_tokens": case("drift.rollouts.answer_tokens=5", "drift", *SAMPLED),
    "drift.checkpoint": case("drift.checkpoint=model3", "drift", "drift.from=checkpoint", "drift.checkpoint=model2"),
    "drift.demonstrations": case("drift.demonstrations=1", "drift"),
    "drift.draws": case("drift.draws=1", "drift"),
    "drift.query_tokens": case("drift.query_tokens=50", "drift"),
    "drift.most_tokens": case("drift.most_tokens=50", "drift", "drift.query_tokens=auto", "drift.most_tokens=90"),
    "sts.score": case("sts.score=act", "allocation"),
    "sts.demonstrations": case("sts.demonstrations=1", "scores"),
    "sts.draws": case("sts.draws=1", "scores"),
    "sts.query_tokens": case("sts.query_tokens=40", "scores"),
    "sts.most_tokens": case("sts.most_tokens=40", "scores", "sts.query_tokens=auto", "sts.most_tokens=90"),
    "sts.resamples": case("sts.resamples=101", "scores"),
    "sts.preview.rows": case("sts.preview.rows=2", "scores", "model.sae=none"),
    "sts.preview.answer_tokens": case("sts.preview.answer_tokens=3", "scores", "model.sae=none"),
    "sts.outside": case("sts.outside=false", "scores"),
    "budget.rows": case("budget.rows=10", "allocation"),
    "budget.tokens": Case(("budget.rows=null", "budget.tokens=200"), "allocation"),
    "budget.max_repeats": case("budget.max_repeats=2", "allocation", "budget.rows=50"),
    "allocate.objective": case("allocate.objective=min_max", "allocation"),
    "allocate.alpha": case("allocate.alpha=0.2", "allocation", "allocate.objective=alpha_fair"),
    "allocate.half_rows": case("allocate.half_rows=3.0", "allocation", "allocate.objective=diminishing"),
    "allocate.cautious": case("allocate.cautious=true", "allocation"),
    "allocate.prior": case("allocate.prior=size", "allocation", "allocate.prior_strength=0.9",
                           "allocate.prior=uniform"),
    "allocate.prior_strength": case("allocate.prior_strength=0.9", "allocation", "allocate.prior={fox: 1}"),
    "allocate.floors": case("allocate.floors={fox: 15}", "allocation"),
    "allocate.caps": case("allocate.caps={fox: 2}", "allocation"),
    "allocate.shares": case("allocate.shares={fox: 0.75}", "allocation"),
    "allocate.groups.both.domains": case("allocate.groups.both.domains=[doctor]", "allocation", BOTH,
                                         "allocate.groups.both.cap=3"),
    "allocate.groups.both.floor": case("allocate.groups.both.floor=19", "allocation", BOTH),
    "allocate.groups.both.cap": case("allocate.groups.both.cap=3", "allocation", BOTH),
    "mixture.target_rows": case("mixture.target_rows=5", "mixture"),
    "mixture.answers": case("mixture.answers=rationale", "mixture", f"{DOMAIN}.columns.rationale=rationale"),
    "mixture.target_answers": case("mixture.target_answers=own_voice", "data card", "mixture.answer_tokens=4"),
    "mixture.answer_tokens": case("mixture.answer_tokens=9", "mixture", "mixture.answers=self",
                                  "mixture.answer_tokens=4", "budget.rows=4", "mixture.cut_answers=keep"),
    "mixture.licences.exclude": case("mixture.licences.exclude=[non_commercial]", "row counts",
                                     f"{DOMAIN}.licence=CC BY-NC 4.0"),
    "mixture.cut_answers": case("mixture.cut_answers=drop", "mixture", "mixture.answers=self", DATED,
                                "mixture.answer_tokens=2", "budget.rows=8", "mixture.cut_answers=keep"),
    "train.method": case("train.method=grpo", "TRL config"),
    "train.args": case("train.args={learning_rate: 1.0e-3}", "TRL config"),
    "train.lora": case("train.lora={r: 4}", "TRL config"),
    "train.replay_kl.weight": case("train.replay_kl.weight=2.0", "data card", "train.replay_kl.weight=0.0"),
    "seed": case("seed=1", "drift"),
}  # fmt: skip
FAULTY = {f"{place}.{key}": name for place, name in (("target", "target"), (DOMAIN, "domain 'fox'"))
          for key in ("data", "demonstrations")}  # fmt: skip

REFUSED = {
    **{
        f"{data}.faulty_share": (
            f"{data}={{file: faulty.jsonl, faulty_share: 0.01}}",
            f"--set {data}={{file: faulty.jsonl, faulty_share: 0.01}}: {name}: "
            "HOME/faulty.jsonl, line 61: not JSON (Expecting property name enclosed in double quotes: line 1 column 2 "
            f"(char 1)). Write one JSON object a line. (1 of 61 rows are faulty. Set `{data.rpartition('.')[2]}"
            ".faulty_share: 0.017` in this section to leave them out.)",
        )
        for data, name in FAULTY.items()
    },
    "model.device": (
        "model.device=cuda:99",
        "model.device: 'cuda:99' cannot be used on this machine. Use `auto` or `cpu`.",
    ),
    "model.device_map": (
        "model.device_map={model: 'cuda:99'}",
        "model.device_map: 'cuda:99' cannot be used on this machine. Use `auto` or `cpu`.",
    ),
    "model.sae.accept": (
        "model.sae={path: stranger, accept: false}",
        "SAE 'stranger' was made for 'google/gemma-2-2b', but the recipe's model is 'model1', of architecture llama, "
        "not gemma2. Choose an SAE made for this model: `mixplan sae ls --model model1` lists them. To try this one "
        "all the same, set `model.sae.accept: true`.",
    ),
}
"""Keys whose other values no test machine is sure to have, or whose default refuses what they allow, with what is
said."""

FLOW = ("row counts", "drift", "scores", "allocation", "mixture", "data card", "TRL config")
"""Artifacts in the order in which they are made."""
FIRST = {
    "mixture.licences.exclude": "row counts",
    "drift": "drift",
    "sts": "scores",
    "budget": "allocation",
    "allocate": "allocation",
    "mixture": "mixture",
    "train": "mixture",
}
"""The first artifact that a section's keys may change; those before it must stay as they are."""


SCORES = ("sts", "outside_shift", "preview_kl", "behind_answers_raw")


def artifacts(run: Path) -> dict[str, Any]:
    """What a plan computed, by artifact, without copies of the recipe and without hashes."""
    plan = json.loads((run / "plan.json").read_text())
    opened = {"target": plan["target"], **plan["domains"]}
    allocation = plan["allocation"]
    settings = yaml.safe_load((run / plan["mixture"]["config"]).read_text())
    scores = {name: {key: one[key] for key in one if key.startswith(SCORES)}
              for name, one in plan["domains"].items()}  # fmt: skip
    return {
        "row counts": {name: [one["rows"], one["read_rows"], one["dropped"]] for name, one in opened.items()},
        # Each feature's passage is found in what is read for the scores.
        "drift": {name: part for name, part in (plan["drift"] or {}).items() if name != "examples"},
        "scores": [scores, plan["ranking"]],
        "allocation": {key: allocation[key] for key in allocation if key not in ("max_repeats", "objective", "ratios")},
        "mixture": [pq.read_table(path).to_pylist() for path in sorted((run / "mixture").glob("*.parquet"))],
        "data card": (run / "mixture" / "README.md").read_text().partition("Content hash")[0],
        "TRL config": settings,
    }


TAUGHT = domain_cases("target", "drift") | {
    f"target.{key}.faulty_share": case(f"target.{key}={{file: faulty.jsonl, faulty_share: 0.05}}", "drift")
    for key in ("data", "demonstrations")
}
"""The keys of a target's own section, which each of its sources has too."""


@pytest.fixture(scope="module")
def home(tmp_path_factory, build_model, tiny_sae) -> Path:
    """A folder with a recipe, its data, and everything that the cases name."""
    folder = tmp_path_factory.mktemp("keys")
    spec = {"format": "question_answer", "columns": {"question": "question", "answer": "answer"},
            "split": {"evaluation": 8, "query": 8, "demonstration": 6}}  # fmt: skip
    value = {
        "model": {"name": "model1", "dtype": "float32", "device": "cpu", "sae": {"path": "sae1"}},
        "target": {"data": {"file": "sum.jsonl"}, **spec},
        "domains": {name: {"data": {"file": f"{name}.jsonl"}, **spec} for name in ("fox", "doctor")},
        "drift": {"features": 10, "demonstrations": 2, "draws": 2, "query_tokens": 60},
        "sts": {"demonstrations": 2, "draws": 2, "query_tokens": 50, "resamples": 100},
        "budget": {"rows": 20},
        "mixture": {"target_rows": 8},
    }
    (folder / "keys.yaml").write_text(yaml.safe_dump(value, sort_keys=False))
    lay_texts(folder)
    build_model("llama", folder / "model3", seed=3)
    build_model("llama", folder / "gpt2")  # the name alone makes it the model of the releases below
    lay_dated(build_model("llama", folder / "model4", seed=4))
    for seed in (1, 2):
        build_model("llama", folder / f"model{seed}", seed=seed)
        tiny_sae("jumprelu", 32, 96, HOOK, folder / f"sae{seed}", seed=seed)
    for seed, snapshot in enumerate(lay_snapshots("models", "tests/model").values()):
        build_model("llama", snapshot, seed=seed)
    for seed, (name, inside) in enumerate([*RELEASES.values(), ("tests/saes", (ID,))]):
        snapshot = lay_snapshots("models", name)["main"]
        for number, path in enumerate(inside):
            tiny_sae("standard", 32, 96, f"blocks.{2 - number}.hook_resid_pre", snapshot / path, seed=seed)
    lay_strangers(folder)
    tiny_sae("standard", 32, 96, HOOK, folder / "both" / "layers.2", seed=7)
    own = json.loads((folder / "both" / "layers.2" / "cfg.json").read_text())
    save_sparsify(folder / "both" / "layers.2", 8, tensors(32, 96, seed=8), **own)
    lay_data("tests/first")
    lay_data("tests/second")
    return folder


@pytest.fixture(scope="module")
def planned(home) -> Callable[..., dict[str, Any]]:
    """The artifacts of the recipe with overrides; each plan is made once, with what was read before it kept."""
    done: dict[tuple[str, ...], dict[str, Any]] = {}

    def plan(*overrides: str) -> dict[str, Any]:
        if overrides not in done:
            run = home / "runs" / str(len(done))
            make_plan(PlanRequest(home / "keys.yaml", overrides, None, run), watcher=Silent())
            done[overrides] = artifacts(run)
        return done[overrides]

    return plan


@pytest.fixture(autouse=True)
def surroundings(home, monkeypatch):
    """One cache for all cases, the rows' package installed, and a tiny SAE in the embedded one's place."""
    monkeypatch.setenv("MIXPLAN_CACHE", str(home / "cache"))
    monkeypatch.syspath_prepend(home / "site")
    monkeypatch.setattr(embedded, "sae_folder", lambda: home / "sae2")
    monkeypatch.chdir(home)


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [name for name in FLOW if before[name] != after[name]]


def test_every_key_has_its_case():
    assert sorted([*CASES, *REFUSED, *LATER_STAGES, *PILOT]) == sorted(LEAVES)


@pytest.mark.parametrize("key", CASES)
def test_a_key_shows_in_its_artifact_and_in_none_before_its_stage(key, planned):
    one = CASES[key]
    found = changed(planned(*one.given), planned(*one.given, *one.change))
    assert one.shows in found
    first = FIRST.get(key) or FIRST.get(key.partition(".")[0], FLOW[0])
    assert [name for name in found if FLOW.index(name) < FLOW.index(first)] == []


def test_the_keys_of_a_source_are_those_of_a_target_and_its_amount():
    leaves = {name.removeprefix("source.") for name, _ in sections(SourceSpec, "source", {})}
    of_target = {name.removeprefix("target.") for name in LEAVES if name.startswith("target.")}
    assert leaves == of_target | {"rows"}
    assert {name.removeprefix("target.") for name in TAUGHT} == of_target


@pytest.mark.parametrize("key", TAUGHT)
def test_a_key_of_a_source_is_read_as_the_target_s_own(key, home):
    """With the key given, a source opens to the very rows, and with the very counts, that the target opens to."""
    one = TAUGHT[key]
    written = yaml.safe_load((home / "keys.yaml").read_text())["target"]
    whole = f"target={json.dumps({'sources': {'one': {**written, 'split': written['split']}}})}"
    sets = [*one.given, *one.change]
    alone, _ = opened(load_recipe(home / "keys.yaml", sets))
    at_source = [text.replace("target.", "target.sources.one.", 1) if text.startswith("target.") else text
                 for text in sets]  # fmt: skip
    joined, _ = opened(load_recipe(home / "keys.yaml", ["mixture.target_rows=null", whole, *at_source]))
    (source,) = joined.sources
    kept = ("evaluation", "query", "demonstration", "pool", "grader", "dropped", "changed", "labels", "group")
    assert {name: getattr(source, name) for name in kept} == {name: getattr(alone, name) for name in kept}
    assert dict(source.spec) == {**dict(alone.spec), "rows": None}


@pytest.mark.parametrize("key", REFUSED)
def test_a_value_that_this_machine_lacks_is_refused(key, planned, home):
    override, message = REFUSED[key]
    with pytest.raises(MixplanError) as caught:
        planned(override)
    assert str(caught.value) == message.replace("HOME", str(home))


def test_an_accepted_sae_must_explain_something(planned):
    planned("model.sae={path: stranger, accept: true}")
    with pytest.raises(MixplanError, match=r"because `model\.sae\.accept` is true\. .* It does not: on "):
        planned("model.sae={path: stranger_at_random, accept: true}")


@pytest.mark.parametrize("key", LATER_STAGES)
def test_a_later_stages_key_leaves_the_plan_as_it_is(key, planned):
    assert changed(planned(), planned(LATER_STAGES[key])) == []
