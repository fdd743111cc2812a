"""Reads each prompt once for all measures that ask for it, and returns its scores and final states."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mixplan.domains import Row
from mixplan.evaluate.packing import Ids, Tree, passes
from mixplan.evaluate.scoring import Scored, check_head, score_states
from mixplan.model import Model

Asked = Sequence[tuple[Row, Tree]]
"""What a measure asks: for each of its rows, the prompt with the continuations that it needs."""

_Place = tuple[str, Ids, Ids, bool]
"""A row's id, its prompt's tokens, a continuation's tokens, and whether its states are wanted instead of its scores."""


def read_together(
    model: Model,
    scored: Sequence[Asked],
    followed: Asked = (),
    *,
    advance: Callable[[int], None],
    pack_tokens: int | None = None,
    depth: int | None = None,
) -> tuple[list[list[tuple[Scored, ...]]], list[tuple[Tensor, ...]]]:
    """Read what several measures ask of the same rows.

    A row's continuations behind the same prompt tokens share one tree, and one that two measures ask for stands there
    once. Where an answer's first characters merge with the prompt's last ones, that measure's prompt is another one
    and has a tree of its own.

    Args:
        model: The model.
        scored: For each measure, rows with continuations whose tokens are scored.
        followed: Rows with continuations whose final states are wanted.
        advance: Told of rows once their first tree is read.
        pack_tokens: Longest packed pass; the device's own when None.
        depth: Also the stream after so many blocks, for `followed`.

    Returns:
        For each of `scored`, for each of its rows, each continuation's scores; and for each row of `followed`, each
        continuation's final states, `[tokens, d_model]` in the model's type on the CPU. With a depth the stream at
        the same tokens stands behind each state, `[tokens, 2 * d_model]`.

    Raises:
        ModelError: the model's output head is of no kind that mixplan knows.
    """
    check_head(model)
    trees, places, first = merged([*((one, False) for one in scored), (followed, True)])
    scores: dict[_Place, Scored] = {}
    kept: dict[_Place, Tensor] = {}
    done = 0
    with torch.inference_mode():
        for part, states, _ in passes(model, trees, pack_tokens, depth=depth):
            here = [place for group in places[done : done + len(part)] for place in group]
            cuts = states.split([len(ids) for _, _, ids, _ in here])
            sorted_out(model, here, cuts, scores, kept, width=states.shape[1] // (1 if depth is None else 2))
            advance(sum(first[done : done + len(part)]))
            done += len(part)
    answers = [
        [tuple(scores[row.id, tree.trunk, ids, False] for ids in tree.branches) for row, tree in one] for one in scored
    ]
    return answers, [tuple(kept[row.id, tree.trunk, ids, True] for ids in tree.branches) for row, tree in followed]


def merged(asked: Sequence[tuple[Asked, bool]]) -> tuple[list[Tree], list[list[_Place]], list[bool]]:
    """Trees that hold all that is asked once.

    Returns:
        The trees; for each tree, each of its branches' places; and whether the tree is its row's first.
    """
    groups: dict[tuple[str, Ids], dict[_Place, None]] = {}
    for pairs, wants_states in asked:
        for row, tree in pairs:
            group = groups.setdefault((row.id, tree.trunk), {})
            group.update(dict.fromkeys((row.id, tree.trunk, ids, wants_states) for ids in tree.branches))
    trees = [Tree(trunk, tuple(ids for _, _, ids, _ in group)) for (_, trunk), group in groups.items()]
    first_trunk = dict(reversed(groups))
    first = [first_trunk[name] == trunk for name, trunk in groups]
    return trees, [list(group) for group in groups.values()], first


def sorted_out(
    model: Model,
    places: Sequence[_Place],
    cuts: Sequence[Tensor],
    scores: dict[_Place, Scored],
    kept: dict[_Place, Tensor],
    *,
    width: int,
) -> None:
    """Score one pass's continuations by the first `width` columns, or keep their states."""
    wanted = [(place, cut) for place, cut in zip(places, cuts, strict=True) if not place[3]]
    if wanted:
        states = torch.cat([cut[:, :width] for _, cut in wanted])
        found = score_states(model, states, [place[2] for place, _ in wanted])
        scores.update(zip([place for place, _ in wanted], found, strict=True))
    # Copied, so that the rest of the pass's states goes.
    kept.update({place: cut.to("cpu", copy=True) for place, cut in zip(places, cuts, strict=True) if place[3]})
