"""Names unknown keys, wrong types and values beyond their bounds, each with what was expected."""

import pytest
from wrong_recipes import BASE, COUNT, assert_refused

AT_LEAST_1 = "a whole number of at least 1"
NAME = "at most 100 letters, digits, `_`, `.` or `-`, the first a letter or digit"

KEYS = {
    "unknown section": (
        ("budget:", "bugdet: {}\nbudget:"),
        "recipe.yaml:17: bugdet: unknown key. Did you mean 'budget'?",
    ),
    "unknown key": (
        ("{rows: 100}", "{rows: 100, max_repeat: 2}"),
        "recipe.yaml:17: budget.max_repeat: unknown key. Did you mean 'max_repeats'?",
    ),
    "unknown key, none near": (
        ("{rows: 100}", "{rows: 100, zzz: 2}"),
        "recipe.yaml:17: budget.zzz: unknown key. Known: 'max_repeats', 'rows', 'tokens'.",
    ),
    "misspelled shorthand": (
        ("  name: embedded", "  name: embedded\n  confg: tiny"),
        "recipe.yaml:3: model.confg: unknown key. Did you mean 'config'?",
    ),
    "missing section": (("budget: {rows: 100}\n", ""), "recipe.yaml:1: budget: missing. Expected a mapping."),
    "missing key": (
        ("    format: choice\n", ""),
        "recipe.yaml:9: domains.law.format: missing. Expected one of 'messages', 'prompt_completion', "
        "'question_answer', 'choice'.",
    ),
    "text for a number": (
        ("rows: 100", "rows: many"),
        f"recipe.yaml:17: budget.rows: found the text 'many', expected {COUNT} or 'auto' or a list, each item {COUNT}.",
    ),
    "number with separators": (
        ("budget:", "drift: {query_tokens: 20_000}\nbudget:"),
        f"recipe.yaml:17: drift.query_tokens: found the text '20_000', expected {AT_LEAST_1} or 'auto'.",
    ),
    "fraction for a count": (
        ("budget:", "drift: {features: 2.5}\nbudget:"),
        f"recipe.yaml:17: drift.features: found the number 2.5, expected {AT_LEAST_1}.",
    ),
    "zero": (
        ("budget:", "drift: {features: 0}\nbudget:"),
        f"recipe.yaml:17: drift.features: found the number 0, expected {AT_LEAST_1}.",
    ),
    "bool for a number": (
        ("budget:", "seed: true\nbudget:"),
        "recipe.yaml:17: seed: found true, expected a whole number from 0 to 2147483647.",
    ),
    "seed too large": (
        ("budget:", "seed: 2147483648\nbudget:"),
        "recipe.yaml:17: seed: found the number 2147483648, expected a whole number from 0 to 2147483647.",
    ),
    "no SAE": (
        ("  name: embedded\n  sae: {embedded: true}\n", "  name: embedded\n"),
        "recipe.yaml:1: model.sae: missing. Expected a mapping or 'none'. The embedded model has one: "
        "`sae: {embedded: true}`.",
    ),
    "no SAE of a model that has some": (
        ("  name: embedded\n  sae: {embedded: true}\n", "  name: meta-llama/Llama-3.1-8B-Instruct\n"),
        "recipe.yaml:1: model.sae: missing. Expected a mapping or 'none'. SAELens has 72 for this model, such as "
        "`sae: {release: llama_scope_lxr_8x, id: l20r_8x}`. `mixplan sae ls --model meta-llama/Llama-3.1-8B-Instruct` "
        "lists them; `sae: none` plans without one.",
    ),
    "no SAE of a model that has none": (
        ("  name: embedded\n  sae: {embedded: true}\n", "  name: acme/support-v2\n"),
        "recipe.yaml:1: model.sae: missing. Expected a mapping or 'none'. SAELens's table has none for this model. "
        "`sae: none` plans without one; `mixplan sae train` trains one; `mixplan sae ls` lists the models that have "
        "one.",
    ),
    "an SAE section that names nothing": (
        ("{embedded: true}", "{hook_name: blocks.1.hook_resid_post}"),
        "recipe.yaml:3: model.sae: expected exactly one of release, repo, path, embedded, found none. The embedded "
        "model has one: `sae: {embedded: true}`.",
    ),
    "yes is text": (
        ("{embedded: true}", "{embedded: yes}"),
        "recipe.yaml:3: model.sae.embedded: found the text 'yes', expected true or false.",
    ),
    "number for text": (("name: embedded", "name: 7"), "recipe.yaml:2: model.name: found the number 7, expected text."),
    "nothing for text": (("name: embedded", "name:"), "recipe.yaml:2: model.name: found nothing, expected text."),
    "text for a section": (
        ("{rows: 100}", "'100'"),
        "recipe.yaml:17: budget: found the text '100', expected a mapping.",
    ),
    "list for a section": (("{rows: 100}", "[100]"), "recipe.yaml:17: budget: found a list, expected a mapping."),
    "number for the budget": (
        ("{rows: 100}", "100"),
        "recipe.yaml:17: budget: found the number 100, expected a mapping. Write `budget: {rows: 100}`.",
    ),
    "text for the embedded SAE": (
        ("sae: {embedded: true}", "sae: embedded"),
        "recipe.yaml:3: model.sae: found the text 'embedded', expected a mapping or 'none'. "
        "Write `sae: {embedded: true}`.",
    ),
    "list of rewards": (
        ("{rows: 100}", "{rows: 100}\ntrain: {method: grpo, rewards: ['mine:short', format]}"),
        "recipe.yaml:18: train.rewards: found a list, expected a mapping. "
        'Write `rewards: {"mine:short": 1.0, "format": 1.0}`.',
    ),
    "wrong choice": (
        ("budget:", "sts: {score: act_icl}\nbudget:"),
        "recipe.yaml:17: sts.score: found the text 'act_icl', expected one of 'icl', 'act', 'preview', 'stream'.",
    ),
    "wrong item": (
        ("rows: 100", "rows: [0, ten]"),
        f"recipe.yaml:17: budget.rows.1: found the text 'ten', expected {COUNT}.",
    ),
    "share above 1": (
        ("budget:", "allocate: {shares: {law: 1.5}}\nbudget:"),
        "recipe.yaml:17: allocate.shares.law: found the number 1.5, expected a number from 0 to 1.",
    ),
    "half_rows of 0": (
        ("budget:", "allocate: {half_rows: 0}\nbudget:"),
        "recipe.yaml:17: allocate.half_rows: found the number 0, expected a number above 0 and up to 1e+09.",
    ),
    "unknown prior": (
        ("budget:", "allocate: {prior: sizes}\nbudget:"),
        "recipe.yaml:17: allocate.prior: found the text 'sizes', expected one of 'uniform', 'size' or a mapping.",
    ),
    "no domains": (
        (BASE[BASE.index("  law:") : BASE.index("budget:")], "  {}\n"),
        "recipe.yaml:8: domains: found a mapping, expected a mapping with at least one entry.",
    ),
    "domain's name": (
        ("  sums:", '  "a/b":'),
        f"recipe.yaml:13: domains: 'a/b' is not a usable name. Expected {NAME}.",
    ),
    "long text": (
        ("budget:", "sts: {score: " + "x" * 60 + "}\nbudget:"),
        f"recipe.yaml:17: sts.score: found the text '{'x' * 37}...', expected one of 'icl', 'act', "
        "'preview', 'stream'.",
    ),
}


@pytest.mark.parametrize("case", KEYS)
def test_each_mistake_has_its_message_and_exit_code_1(case, tmp_path, monkeypatch, capsys):
    assert_refused(tmp_path, KEYS[case], monkeypatch, capsys)
