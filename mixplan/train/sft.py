"""Makes TRL's SFT trainer of a job, with what it has prepared and what the optimiser reads of each domain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from mixplan.chat.tool_calls import parted_tools
from mixplan.errors import TrainError
from mixplan.train.consumption import Consumption, PreparedRow, batches, read_back, trainable_tokens
from mixplan.train.job import Job
from mixplan.train.pieces import divisible, merge_means, only_predicting, pieces, predicted
from mixplan.train.replay_kl import REPLAY, ReplayKl, final_states, is_replay, replay_kl_of
from mixplan.train.rows_read import Piece, Seen, packed_rows, whole_rows
from mixplan.train.settings import defaults, model_arguments, sft_length
from mixplan.train.trainable_model import adapter, untrained_model

POSITION = "mixture_position"
"""The column with a row's position in the mixture."""
NUMBER = "row_number"
"""The column with the number of one of the trainer's own rows, which a batch carries to the optimiser's step."""


class Numbered:
    """A collator that also gives the numbers of its rows."""

    def __init__(self, collate: Any) -> None:
        self.collate = collate

    def __call__(self, rows: list[PreparedRow], *rest: Any) -> PreparedRow:
        """Collate rows by TRL's own collator, their numbers beside them."""
        numbers = [row.pop(NUMBER) for row in rows]
        return {**self.collate(rows, *rest), NUMBER: torch.tensor(numbers)}


class CountedTrainer(SFTTrainer):
    """TRL's trainer, which knows what each of its rows holds of the mixture and counts what the optimiser reads.

    Attributes:
        unpacked: Its prepared rows before they were packed; None where they are not packed.
        seen: What the optimiser has read.
        holds: For each of its rows, the rows of the mixture in it.
        replay_kl: The loss term at domain rows; None where the recipe asks for none.
    """

    unpacked: Dataset | None = None
    origins: Dataset | None = None
    seen: Seen
    holds: list[list[Piece]]
    replay_kl: ReplayKl | None = None

    def _prepare_dataset(self, dataset: Any, tokenizer: Any, args: Any, packing: bool, *rest: Any) -> Any:
        """Prepare rows by TRL; packed ones name no row, so they are packed a second time with their positions."""
        if not packing:
            return super()._prepare_dataset(dataset, tokenizer, args, packing, *rest)
        self.unpacked = super()._prepare_dataset(dataset, tokenizer, args, False, *rest)
        placed = self.unpacked.map(lambda row: {"labels": [row[POSITION]] * len(row["labels"])})
        self.origins = super()._prepare_dataset(placed, tokenizer, args, True, *rest)
        return super()._prepare_dataset(self.unpacked, tokenizer, args, True, *rest)

    def number_rows(self, domains: Sequence[str]) -> None:
        """Number the prepared rows, and note what each holds.

        Args:
            domains: Domain of each row of the mixture, by position.
        """
        labels = (row["labels"] for row in batches(self.train_dataset, "labels"))
        if self.origins is None:
            places = (row[POSITION] for row in batches(self.train_dataset, POSITION))
            self.holds = whole_rows(labels, places)
        else:
            self.holds = packed_rows(labels, (row["labels"] for row in batches(self.origins, "labels")))
        self.seen = Seen(domains)
        prepared: Any = self.train_dataset
        self.train_dataset = prepared.add_column(NUMBER, list(range(len(prepared))))
        self.data_collator = Numbered(self.data_collator)

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()  # type: ignore[no-untyped-call]  # as transformers leaves it
        columns: Any = self._signature_columns
        self._signature_columns: Any = list(dict.fromkeys([*columns, NUMBER]))

    def training_step(self, model: Any, inputs: PreparedRow, num_items_in_batch: Any = None) -> Any:
        """One batch forwards and backwards, in pieces where its gradients are the same, its rows counted."""
        numbers = inputs.pop(NUMBER).tolist()
        for number in numbers:
            self.seen.read(self.holds[number])
        parted = divisible(self, inputs, num_items_in_batch)
        if self.replay_kl is not None:
            self.replay_kl.check(self.model, inputs)
            replay = torch.tensor([is_replay(self.seen.domains[self.holds[number][0][0]]) for number in numbers])
            ids = inputs["input_ids"]
            inputs[REPLAY] = replay.to(ids.device)[:, None].expand(ids.shape)
        loss = (
            self.in_pieces(model, inputs, num_items_in_batch)
            if parted
            else super().training_step(  # type: ignore[no-untyped-call]  # as TRL leaves it
                model, inputs, num_items_in_batch
            )
        )
        if self.replay_kl is not None and (mean := self.replay_kl.taken()) is not None:
            self._metrics["train"]["replay_kl"].append(mean)
        return loss

    def in_pieces(self, model: Any, inputs: PreparedRow, num_items_in_batch: Any) -> Any:
        """One batch forwards and backwards, piece by piece."""
        whole: Any = self.model
        backbone = (whole.get_base_model() if isinstance(whole, PeftModel) else whole).base_model
        losses, counts = [], []
        for piece in pieces(inputs):
            with only_predicting(backbone, piece) as read:
                loss = super().training_step(model, read, num_items_in_batch)  # type: ignore[no-untyped-call]  # as above
            losses.append(loss)
            counts.append(int(predicted(piece["labels"]).sum()))
        merge_means(self._metrics["train"], counts)
        return torch.stack(losses).sum()

    def compute_loss(
        self, model: Any, inputs: PreparedRow, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """TRL's loss, with the divergence from the untrained model at domain rows where the recipe asks for it."""
        replay = inputs.pop(REPLAY, None)
        if self.replay_kl is None or replay is None:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)  # type: ignore[no-untyped-call]  # as above
        with final_states(self.model) as seen:
            loss = super().compute_loss(model, inputs, False, num_items_in_batch)  # type: ignore[no-untyped-call]  # as above
        return loss + self.replay_kl.term(self.model, inputs, replay, seen[-1], num_items_in_batch)


def trl_config(job: Job, run: Path) -> SFTConfig:
    """TRL's config of the job; making it also joins the job's other processes."""
    return SFTConfig(**{**defaults(job, run), "completion_only_loss": True, "max_length": sft_length(job)})


def trl_trainer(
    job: Job,
    config: SFTConfig,
    rows: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    callback: TrainerCallback,
    lm: PreTrainedModel | None = None,
) -> CountedTrainer:
    """TRL's trainer, its rows prepared; of the job's model, loaded, where none is given."""
    lm = lm or untrained_model(job, model_arguments(job))
    near = replay_kl_of(job, lm)
    trainer = CountedTrainer(
        model=lm,
        args=config,
        train_dataset=rows.add_column(POSITION, list(range(len(rows)))),
        processing_class=tokenizer,
        callbacks=[callback],
        peft_config=adapter(job, lm),
    )
    trainer.replay_kl = near
    trainer.number_rows(rows["domain"])
    return trainer


def cycle_steps(config: SFTConfig) -> int:  # noqa: ARG001 - as for GRPO
    """Optimiser steps between places where a checkpoint loses nothing: every one."""
    return 1


def consumed(job: Job, trainer: CountedTrainer, rows: Dataset, tokenizer: PreTrainedTokenizerBase) -> Consumption:
    """Count what the trainer has prepared, and hold it against the plan.

    Raises:
        TrainError: it is not what was planned.
    """

    def length(messages: list[dict[str, str]], awaiting: bool) -> int:
        tools, said = parted_tools([(turn["role"], turn["content"]) for turn in messages])
        text = tokenizer.apply_chat_template(
            messages[-len(said) :], tools=tools, tokenize=False, add_generation_prompt=awaiting
        )
        return len(tokenizer(str(text), add_special_tokens=False)["input_ids"])

    prepared = trainer.train_dataset if trainer.unpacked is None else trainer.unpacked
    limit: int | None = vars(trainer.args)["max_length"]
    found = read_back(rows, prepared, planned=job.planned_rows, limit=limit, length=length)
    counted = sum(entry.trainable_tokens or 0 for entry in found.domains.values())
    if trainer.unpacked is not None and (packed := trainable_tokens(trainer.train_dataset)) != counted:
        raise TrainError(
            f"training: the rows hold {counted} trainable tokens, but {packed} after packing. "
            "Set train.args.packing_strategy to bfd, or leave packing out."
        )
    return found
