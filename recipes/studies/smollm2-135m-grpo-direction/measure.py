"""Trains GRPO jobs with two seeds each and reads which features they and their pilots moved, and what predicts that.

    python recipes/studies/smollm2-135m-grpo-direction/measure.py RUN jobs TARGET...
    python recipes/studies/smollm2-135m-grpo-direction/measure.py RUN read TARGET...
    python recipes/studies/smollm2-135m-grpo-direction/measure.py RUN data TARGET...

`jobs` trains and reads without pilots, `read` all; `data` writes data.json of these targets. One thread, nothing
downloaded. What is done is kept in RUN, so that the same command goes on where it was stopped.
"""

from __future__ import annotations

import json
import resource
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from answer_tree import Group
from policy import Policy, take_steps
from predictors import Doubles, predictions
from readings import PROMPTS, STEP, as_mixture, read_rewards, rollouts_of, sampled, step_along
from safetensors.torch import load_file, save_file

from mixplan.drift import drift_dimensions
from mixplan.drift.rollouts import draw_pairs
from mixplan.features.contrast import plan_contrast
from mixplan.features.profile import Profile
from mixplan.features.queries import without_demonstrations
from mixplan.model import chat_template, give_back_memory, load_trained
from mixplan.plan.untrained import ReadBy
from mixplan.plan.write import write_mixture
from mixplan.reading import Watcher
from mixplan.reading.tokenizer import keep_tokenizer
from mixplan.runs import content_hash, write_json
from mixplan.study.asked.spec import load_study
from mixplan.study.jobs import Bench

HERE = Path(__file__).resolve().parent
OLD = HERE.parent / "smollm2-135m-grpo" / "study.yaml"
DEVELOPMENT = ("sums", "leap_years")
"""Targets that were read before anything was registered; letters and divisors, the old study's others, were not."""
SEEDS = (0, 1)
TWICE = ("leap_years",)
"""Targets of which both seeds are whole jobs; of the others the second is a pilot alone, for want of time."""
OTHER_SEED = 2
"""Of adapters and answers that stand for no training."""
PILOT, JOB = 10, 34
"""Steps."""
KEPT = (PILOT, 20, JOB)
"""Steps after which a job's adapter is kept: of a pilot, of a longer one, and of the job."""


class Printed(Watcher):
    """Prints what is said, with the time."""

    def say(self, text: str) -> None:
        """Print a sentence."""
        print(time.strftime("%H:%M:%S"), text, flush=True)

    def stage(self, name: str, total: int, unit: str) -> None:
        """Print what begins."""
        self.say(f"{name}: {total} {unit}")

    def advance(self, amount: int) -> None:
        """Print nothing."""


def bench_in(run: Path) -> Bench:
    """The study smollm2-135m-grpo with this study's new targets beside its own, read in float32."""
    study = yaml.safe_load(OLD.read_text(encoding="utf-8"))
    new = HERE / "new_targets.yaml"
    if new.is_file():
        study["targets"] |= yaml.safe_load(new.read_text(encoding="utf-8"))["targets"]
    run.mkdir(parents=True, exist_ok=True)
    (run / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    write_json(run / "compute.json", {"dtype": "float32"})
    return Bench(load_study(run / "study.yaml"), run, Printed())


def mixture_rows(bench: Bench, name: str) -> list[dict[str, Any]]:
    """The rows that the target's jobs train on, as its plan would have them."""
    taught, place = bench.taught(name), bench.run / "targets" / name
    if not list(place.glob("mixture/*.parquet")):
        model = bench.model
        tokenizer = keep_tokenizer(model, (taught.target, *taught.domains.values()))
        template = content_hash(chat_template(model).source)
        read_by = ReadBy((model.weights, model.dtype, model.settings, template), tokenizer)
        none = dict.fromkeys(taught.domains, 0)
        write_mixture(taught.loaded, place, taught.target, taught.domains, none, read_by, bench.watcher)
    table = pd.concat(map(pd.read_parquet, sorted(place.glob("mixture/*.parquet"))))
    return [{**row, "prompt": [dict(turn) for turn in row["prompt"]]} for row in table.to_dict("records")]


def trained(bench: Bench, name: str, seed: int) -> Path:
    """A job's folder with an adapter for each of `KEPT`; trained now where it is not done."""
    folder = bench.run / "jobs" / f"{name}-{seed}"
    if (folder / "job.json").is_file():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    began, rows = spent(), mixture_rows(bench, name)
    policy = Policy(bench.study.recipes[name], seed=seed)
    kept = [step for step in KEPT if step == PILOT or seed in whole_seeds(name)]
    rewards = take_steps(
        policy, rows, folder, seed=seed, keep=kept, say=lambda text: bench.watcher.say(f"{name} {seed} {text}")
    )
    write_json(folder / "job.json", {"rewards": rewards, "processor_seconds": round(spent() - began, 1)})
    return folder


def arrays_of(bench: Bench, name: str) -> Path:
    """A target's file of everything that was read of it; what is not there yet and can be is read now.

    It holds `icl`, `activation`, `fired`, `rollouts` and `untrained/NAME` of the target, and of each of its jobs
    `SEED/actual` and what its pilot, which has the other seed, tells where it is trained: `SEED/pilot`,
    `SEED/pilot/NAME` and so on.
    """
    place = bench.run / "read" / f"{name}.npz"
    found = dict(np.load(place)) if place.is_file() else {}
    lacking = [
        seed
        for seed in whole_seeds(name)
        if f"{seed}/pilot" not in found and (f"{seed}/actual" not in found or pilot_of(bench, name, seed).is_dir())
    ]
    if not lacking:
        return place
    began, before = spent(), float(found.get("processor_seconds", 0.0))
    found = found or read_untrained(bench, name)
    for seed in lacking:
        found |= {f"{seed}/{key}": value for key, value in read_job(bench, name, seed).items()}
    found["processor_seconds"] = np.array(before + spent() - began)
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_suffix(".part.npz")
    np.savez(part, **found)  # type: ignore[arg-type]
    part.replace(place)
    return place


def pilot_of(bench: Bench, name: str, seed: int) -> Path:
    """The adapter of the pilot that predicts a job: of the other seed."""
    other = next(one for one in SEEDS if one != seed)
    return bench.run / "jobs" / f"{name}-{other}" / f"step-{PILOT}"


def read_untrained(bench: Bench, name: str) -> dict[str, Doubles]:
    """What is known of a target without training, and controls of the step along the reward's gradient."""
    target, spec = bench.taught(name).target, bench.study.spec.reading
    own = bench.profile(bench.reading(target, target, tokens=spec.target_tokens).units)
    policy = Policy(bench.study.recipes[name], seed=OTHER_SEED)
    folder = bench.run / "steps" / name
    found, groups, given = at_policy(bench, name, policy, folder, pilot=False)
    found |= controls(bench, name, groups, given)
    read = {
        "icl": own.shift / own.tokens,
        "activation": own.act / own.tokens,
        "fired": own.fired.astype(np.float64),
    }
    multiply_change(folder, folder.with_name(f"{name}-far"), JOB / STEP)
    found["step_far"] = moved(bench, name, folder.with_name(f"{name}-far"))
    decode = policy.model.tokenizer.decode
    said = [[str(decode(list(one), skip_special_tokens=True)).strip() for one in group.answers] for group in groups]
    rows = target.demonstration[:PROMPTS]
    pairs = draw_pairs(
        rollouts_of(rows, said, given), shots=spec.demonstrations, draws=spec.draws, seed=SEEDS[0], spec=spec.rollouts
    )
    behind = plan_contrast(bench.model, target.query, pairs, tokens=spec.target_tokens).units
    read["rollouts"] = mean_shift(bench.profile(behind))
    return read | {f"untrained/{key}": value for key, value in found.items()}


def controls(bench: Bench, name: str, groups: list[Group], given: Doubles) -> dict[str, Doubles]:
    """The untrained policy's step again: with each prompt's rewards dealt anew to its answers, and with signs drawn."""
    target, found = bench.taught(name).target, {}
    dealt = np.random.default_rng(0).permuted(given, axis=1)
    for kind in ("dealt", "drawn"):
        policy, folder = Policy(bench.study.recipes[name], seed=OTHER_SEED), bench.run / "steps" / f"{name}-{kind}"
        if kind == "dealt":
            read_rewards(policy, bench.sae, target.demonstration[:PROMPTS], groups, dealt, pilot=False)
        else:
            draw = torch.Generator().manual_seed(0)
            for key, value in policy.adapter.items():
                zero = "lora_A" in key  # as at the untrained policy, where A has no gradient
                value.grad = torch.zeros_like(value) if zero else torch.randn(value.shape, generator=draw)
        step_along(policy, folder)
        found[f"step_{kind}"] = moved(bench, name, folder)
    return found


def read_job(bench: Bench, name: str, seed: int) -> dict[str, Doubles]:
    """What a job moved, and what a pilot under the other seed tells of it, where one is trained."""
    job, pilot = bench.run / "jobs" / f"{name}-{seed}", pilot_of(bench, name, seed)
    found = {"actual": moved(bench, name, job / f"step-{JOB}"), "own_10": moved(bench, name, job / f"step-{PILOT}")}
    if not pilot.is_dir():
        return found
    found["pilot"] = moved(bench, name, pilot)
    longer = bench.run / "steps" / f"{pilot.parent.name}-longer"
    multiply_change(pilot, longer, JOB / PILOT)
    found["pilot_longer"] = moved(bench, name, longer)
    found["own_20"] = moved(bench, name, job / "step-20")
    for later in (pilot.with_name(f"step-{step}") for step in KEPT[1:]):
        if later.is_dir():
            found[later.name.replace("step-", "pilot_")] = moved(bench, name, later)
    policy = Policy(bench.study.recipes[name], seed=OTHER_SEED, adapter=pilot)
    more, _, _ = at_policy(bench, name, policy, bench.run / "steps" / pilot.parent.name, pilot=True)
    return found | {f"pilot/{key}": value for key, value in more.items()}


def at_policy(
    bench: Bench, name: str, policy: Policy, folder: Path, *, pilot: bool
) -> tuple[dict[str, Doubles], list[Group], Doubles]:
    """What sampled answers tell at a policy, these answers, and their rewards."""
    target, reading = bench.taught(name).target, bench.study.spec.reading
    rows = target.demonstration[:PROMPTS]
    groups, given = sampled(policy, as_mixture(target, rows), longest=reading.rollouts.answer_tokens)
    bench.watcher.say(f"{name}: answers at {'a pilot' if pilot else 'the untrained model'}, reward {given.mean():.3f}")
    found = read_rewards(policy, bench.sae, rows, groups, given, pilot=pilot)
    step_along(policy, folder)
    found["step"] = moved(bench, name, folder)
    found["reward"] = np.array(given.mean())
    return found, groups, given


def moved(bench: Bench, name: str, adapter: Path) -> Doubles:
    """`[d_sae]` mean squared change that an adapter brings to the target's question tokens."""
    taught = bench.taught(name)
    tokens = bench.study.spec.reading.target_tokens
    units = tuple(map(without_demonstrations, bench.reading(taught.target, taught.target, tokens=tokens).units))
    model = load_trained(bench.spec, adapter, folder=taught.loaded.folder(("model", "name")))
    profile = bench.profile(units, model)
    del model
    give_back_memory()
    bench.watcher.say(f"{name}: {adapter.parent.name}/{adapter.name} read on {profile.tokens} tokens")
    return mean_shift(profile)


def mean_shift(profile: Profile) -> Doubles:
    """`[d_sae]` mean squared change a token."""
    return profile.shift / profile.tokens


def multiply_change(adapter: Path, folder: Path, factor: float) -> None:
    """Save an adapter again with its change of every weight multiplied."""
    shutil.copytree(adapter, folder, dirs_exist_ok=True)
    file = folder / "adapter_model.safetensors"
    tensors = load_file(file)
    save_file({name: value * factor if "lora_B" in name else value for name, value in tensors.items()}, file)


def write_data(bench: Bench, names: list[str]) -> None:
    """Write what the judgement needs: features that training moves, features that are predicted, and what it cost."""
    count, made = bench.study.whole.recipe.drift.features, {}
    for name in names:
        read = {key: np.asarray(value) for key, value in np.load(arrays_of(bench, name)).items()}
        jobs = {str(seed): job_data(read, seed, count) for seed in SEEDS if f"{seed}/actual" in read}
        folders = sorted((bench.run / "jobs").glob(f"{name}-?"))
        made[name] = {
            "development": name in DEVELOPMENT,
            "jobs": jobs,
            "reward_untrained": float(read["untrained/reward"]),
            "trainings": {folder.name[-1]: json.loads((folder / "job.json").read_bytes()) for folder in folders},
            "reading_processor_seconds": round(float(read["processor_seconds"]), 1),
        }
    write_json(HERE / "data.json", {"version": 1, "features": count, "targets": made})


def job_data(read: dict[str, Doubles], seed: int, count: int) -> dict[str, Any]:
    """What data.json has of a job, of everything that was read of its target."""
    mine = {key.removeprefix(f"{seed}/"): value for key, value in read.items() if key.startswith(f"{seed}/")}
    actual = mine.pop("actual")
    shared = {key: value for key, value in read.items() if key[0] not in "0123456789"}
    # Untrained answers are read through the untrained model already.
    unread = ("fired", "untrained/answers_untrained")
    arrays = {key: value for key, value in (shared | mine).items() if value.ndim and key not in unread}
    return {
        "actual": drift_dimensions(actual, count=count).tolist(),
        "live": int(((read["fired"] > 0) | (actual > 0)).sum()),
        "predicted": {key: value.tolist() for key, value in predictions(arrays, count=count).items()},
        "reward_of_pilot": float(mine["pilot/reward"]) if "pilot/reward" in mine else None,
    }


def whole_seeds(name: str) -> tuple[int, ...]:
    """Seeds of a target's whole jobs."""
    return SEEDS if name in TWICE else SEEDS[:1]


def spent() -> float:
    """Processor seconds of this process and of those that it ended."""
    parts = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in parts)


def main() -> None:
    """Train or read the targets that are named, or write what was found."""
    run, what, names = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    torch.set_num_threads(1)
    bench = bench_in(run)
    if what == "data":
        write_data(bench, names)
        return
    for name in names:
        for seed in SEEDS if what == "read" else whole_seeds(name):
            trained(bench, name, seed)
        arrays_of(bench, name)


if __name__ == "__main__":
    main()
