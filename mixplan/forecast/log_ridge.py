"""Predicts how far a domain moves from logarithms: how strong the job is, the domain's own effect, and free slopes.

The change y of domain d in run r, with covariates x (logarithms of scores), is

    log y_dr = a_r + u_d + b'(x_dr - level_r - level_d) + e_dr,    e ~ N(0, s²)

a_r says how strong a run was and is free, u_d how far a domain moves anyway and is shrunk by a ridge penalty,
sum of squares of e + penalty · sum of u_d². Levels are those of x over runs and domains, by least squares, so that the
slopes b know only what a score says of this run in this domain: a score that is larger in one domain than in others
everywhere, or that is divided by something of the domain alone, says nothing. A new run's strength is not known: it is
as the earlier targets' were, with their spread, or goes with the level of a covariate over its domains, by a straight
line. Targets left out choose the penalty (see `log_ridge_choices`).

A new logarithm is a t around its mean: the variances of the new run's strength, of the domain and of the fit are added
and their degrees of freedom pooled. The expected change is that of a log-normal around strengths as they were found
(no distribution of strengths is assumed for it).

Sources: A. E. Hoerl and R. W. Kennard (1970), Ridge regression, Technometrics 12; the variances of a ridge fit are
those of its random-effects form, G. K. Robinson (1991), That BLUP is a good thing, Statistical Science 6; levels taken
out of slopes, Y. Mundlak (1978), Econometrica 46; the expected value behind a logarithm, N. Duan (1983), Smearing
estimate, J. Am. Stat. Assoc. 78; pooled degrees of freedom, F. E. Satterthwaite (1946), Biometrics Bulletin 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mixplan.forecast.factors import Changes, Predicted

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

FEWEST_GROUPS = 2
"""Targets that a fit needs: one says nothing of how strengths differ."""
EXPONENT = 300.0
"""Logarithms are kept within, on either side, so that a change stays a finite number."""


@dataclass(frozen=True)
class Logs:
    """Logarithms of measured changes and of covariates.

    Attributes:
        changes: `[n]` of what was measured, which was above 0.
        covariates: `[n, k]` of what goes with it.
        domains: `[n]` domain names.
        runs: `[n]` number of the run.
        groups: `[n]` number of what the run was trained on, by which changes are left out together.
    """

    changes: Doubles
    covariates: Doubles
    domains: tuple[str, ...]
    runs: Integers
    groups: Integers

    @classmethod
    def of(cls, known: Changes) -> Logs:
        """Take changes with the logarithm of their score as the only covariate, without what did not move.

        Args:
            known: Whose scores are above 0.
        """
        moved = known.part(known.changes > 0)
        return cls(np.log(moved.changes), np.log(moved.scores)[:, None], moved.domains, moved.runs, moved.groups)

    def part(self, chosen: Flags) -> Logs:
        """Some of the changes."""
        names = tuple(name for name, keep in zip(self.domains, chosen, strict=True) if keep)
        return Logs(self.changes[chosen], self.covariates[chosen], names, self.runs[chosen], self.groups[chosen])


@dataclass(frozen=True)
class Form:
    """Which covariates say what.

    Attributes:
        slopes: Columns with a slope of their own.
        level: Column whose level over a run's domains says how strong the run is; None where none does.
    """

    slopes: tuple[int, ...] = (0,)
    level: int | None = None


@dataclass(frozen=True)
class PredictedLogs:
    """What to expect of the logarithms of changes.

    Attributes:
        mean: `[m]` the expected logarithm.
        spread: `[m]` of what a new run measures, a standard deviation.
        freedom: `[m]` degrees of freedom behind it.
        certain: `[m]` the standard deviation for a run of mean strength, without noise.
        change: `[m]` the expected change itself, in its own unit.
    """

    mean: Doubles
    spread: Doubles
    freedom: Doubles
    certain: Doubles
    change: Doubles

    def as_changes(self) -> Predicted:
        """The changes with 95 % intervals, in their own unit."""
        from scipy.special import stdtrit  # loaded where it is used: it takes a quarter of a second

        reach = stdtrit(self.freedom, 0.975)
        ends = (self.mean + side * reach * width for width in (self.spread, self.certain) for side in (-1, 1))
        low, high, factor_low, factor_high = (raised(end) for end in ends)
        return Predicted(np.minimum(self.change, high), low, high, factor_low, factor_high)


@dataclass(frozen=True)
class Layout:
    """Which strength, domain effect and slopes each change is a sum of.

    Attributes:
        form: Of the covariates.
        runs: `[r]` numbers of the runs.
        groups: `[r]` what each was trained on.
        names: Domains with an effect of their own.
        run_levels: `[r, k]` levels of covariates.
        domain_levels: `[d, k]` the same, their mean over domains 0.
        design: `[n, r + d + slopes]` 1 for the run, 1 for the domain, and what covariates say beyond their levels.
    """

    form: Form
    runs: tuple[int, ...]
    groups: tuple[int, ...]
    names: tuple[str, ...]
    run_levels: Doubles
    domain_levels: Doubles
    design: Doubles

    @classmethod
    def of(cls, known: Logs, form: Form) -> Layout:
        """Lay changes out."""
        runs, first, run = np.unique(known.runs, return_index=True, return_inverse=True)
        names, domain = np.unique(np.array(known.domains), return_inverse=True)
        of_runs = (run[:, None] == np.arange(len(runs))).astype(np.float64)
        of_domains = (domain[:, None] == np.arange(len(names))).astype(np.float64)
        run_levels, domain_levels = levels(known.covariates, of_runs, of_domains)
        apart = known.covariates - of_runs @ run_levels - of_domains @ domain_levels
        return cls(
            form,
            tuple(map(int, runs)),
            tuple(map(int, known.groups[first])),
            tuple(map(str, names)),
            run_levels,
            domain_levels,
            np.column_stack([of_runs, of_domains, apart[:, list(form.slopes)]]),
        )

    def rows(self, domains: Sequence[str], covariates: Doubles) -> tuple[Doubles, Flags, Doubles]:
        """A new run's domains.

        Args:
            domains: `[m]` names.
            covariates: `[m, k]`.

        Returns:
            `[m, r + d + slopes]` without any strength; `[m]` which domains were met; `[k]` the run's levels.
        """
        places = np.array([self.names.index(name) if name in self.names else -1 for name in domains], dtype=np.int64)
        met, behind = places >= 0, len(self.runs) + len(self.names)
        apart = covariates - np.where(met[:, None], self.domain_levels[places], 0.0)
        level = apart[met].mean(0) if met.any() else apart.mean(0)
        rows = np.zeros((len(places), self.design.shape[1]))
        rows[met, len(self.runs) + places[met]] = 1.0
        rows[:, behind:] = np.where(met[:, None], apart - level, 0.0)[:, list(self.form.slopes)]
        return rows, met, level

    def shrunk(self, penalty: float) -> Doubles:
        """`[r + d + slopes]` the penalty of each part of the solution."""
        found = np.zeros(self.design.shape[1])
        found[len(self.runs) : len(self.runs) + len(self.names)] = penalty
        return found

    def inverse(self, penalty: float) -> Doubles:
        """The solution's covariance over the noise's variance; a covariate that is alike everywhere has slope 0."""
        products = self.design.T @ self.design + np.diag(self.shrunk(penalty))
        return np.asarray(np.linalg.pinv(products, rcond=1e-12, hermitian=True), dtype=np.float64)


@dataclass(frozen=True)
class LogFit:
    """What earlier runs taught.

    Attributes:
        layout: Of runs and domains.
        penalty: Of domain effects.
        solution: `[r + d + slopes]` strengths, domain effects, slopes.
        covariance: `[r + d + slopes]` square, of these over the noise's variance.
        noise: Variance of a change's logarithm once all is known.
        freedom: Degrees of freedom behind it.
        along: Variance of what covariates say beyond their levels.
    """

    layout: Layout
    penalty: float
    solution: Doubles
    covariance: Doubles
    noise: float
    freedom: float
    along: float

    @property
    def strengths(self) -> Doubles:
        """`[r]` of the runs: the logarithm that a domain of mean effect moves by."""
        return self.solution[: len(self.layout.runs)]

    @property
    def effects(self) -> Doubles:
        """`[d]` of the domains."""
        return self.solution[len(self.layout.runs) : len(self.layout.runs) + len(self.layout.names)]

    @property
    def slopes(self) -> Doubles:
        """Of the covariates that have one."""
        return self.solution[len(self.layout.runs) + len(self.layout.names) :]

    @property
    def effect_variance(self) -> float:
        """How domains' effects scatter: their mean square, each with what the fit leaves open of it."""
        part = slice(len(self.layout.runs), len(self.layout.runs) + len(self.layout.names))
        return float(np.mean(np.square(self.effects) + self.noise * np.diag(self.covariance)[part]))

    def predict(self, domains: Sequence[str], covariates: Doubles, *, like: int | None = None) -> PredictedLogs:
        """Expect the logarithms of a new run's changes.

        Args:
            domains: `[m]` names; one that was never measured has the mean effect, and a wider interval.
            covariates: `[m, k]`.
            like: Number of a run that the new one is as strong as; None where its strength is not known.
        """
        rows, met, level = self.layout.rows(domains, covariates)
        strength = _Strength.of(self, level) if like is None else _Strength.known(self, like)
        rows[:, : len(self.layout.runs)] = strength.weights
        mean = rows @ self.solution
        # Of a domain never met it is not known either what its covariates say beyond their level there.
        own = np.where(met, 0.0, self.effect_variance + self.along)
        fitted = self.noise * np.einsum("mp,pq,mq->m", rows, self.covariance, rows)
        parts = [(strength.new + strength.mean, strength.freedom), (self.noise + fitted, self.freedom)]
        variance, freedom = pooled([*parts, (own, max(1.0, len(self.layout.names) - 1.0))])
        change = raised(mean + (self.noise + fitted + own) / 2) * strength.smear
        return PredictedLogs(mean, np.sqrt(variance), freedom, np.sqrt(strength.mean + fitted + own), change)


@dataclass(frozen=True)
class _Strength:
    """How strong a new run is: a weighted sum of earlier runs' strengths, and what that leaves open.

    Attributes:
        weights: `[r]` of the earlier runs.
        new: Variance of a new target's strength.
        mean: Variance of what is expected of it, apart from the noise in earlier strengths.
        freedom: Degrees of freedom behind both.
        smear: Mean over targets of how many times as strong they were as is expected of them.
    """

    weights: Doubles
    new: float
    mean: float
    freedom: float
    smear: float

    @classmethod
    def known(cls, fit: LogFit, run: int) -> _Strength:
        """As strong as an earlier run."""
        return cls((np.array(fit.layout.runs) == run).astype(np.float64), 0.0, 0.0, 1.0, 1.0)

    @classmethod
    def of(cls, fit: LogFit, level: Doubles) -> _Strength:
        """As strong as targets were, or as a covariate's level says.

        Args:
            fit: What earlier runs taught.
            level: `[k]` of the new run.
        """
        groups = np.unique(fit.layout.groups)
        share = (np.array(fit.layout.groups) == groups[:, None]).astype(np.float64)
        share /= share.sum(1, keepdims=True)
        strengths, column = share @ fit.strengths, fit.layout.form.level
        line, new = np.ones((len(groups), 1)), np.ones(1)
        if column is not None and len(groups) > FEWEST_GROUPS:
            found = share @ fit.layout.run_levels[:, column]
            if np.ptp(found) > 1e-9 * max(1.0, float(np.abs(found).max())):
                line = np.column_stack([line, found - found.mean()])
                new = np.array([1.0, level[column] - found.mean()])
        inverse = np.linalg.inv(line.T @ line)
        rest = strengths - line @ (inverse @ (line.T @ strengths))
        freedom = len(groups) - line.shape[1]
        variance = float(rest @ rest) / freedom
        weights = (line @ (inverse @ new)) @ share
        return cls(weights, variance, variance * float(new @ inverse @ new), freedom, float(raised(rest).mean()))


def fit_logs(known: Logs, form: Form, *, penalty: float) -> LogFit:
    """Fit strengths, domain effects and slopes.

    Args:
        known: Of at least `FEWEST_GROUPS` targets, more changes than targets and slopes.
        form: Of the covariates.
        penalty: Of domain effects, above 0.
    """
    layout = Layout.of(known, form)
    covariance, design = layout.inverse(penalty), layout.design
    solution = covariance @ (design.T @ known.changes)
    rest = known.changes - design @ solution
    freedom = max(1.0, len(rest) - float(np.einsum("pq,np,nq->", covariance, design, design)))
    levelled = len(layout.runs) + len(layout.names)
    along = float(np.square(design[:, levelled:] @ solution[levelled:]).sum())
    return LogFit(
        layout,
        penalty,
        solution,
        covariance,
        float(rest @ rest) / freedom,
        freedom,
        along / max(1, len(rest) - levelled + 1),
    )


def levels(covariates: Doubles, of_runs: Doubles, of_domains: Doubles) -> tuple[Doubles, Doubles]:
    """Levels of covariates over runs and over domains, by least squares.

    Args:
        covariates: `[n, k]`.
        of_runs: `[n, r]` 1 where a change is of a run, else 0.
        of_domains: `[n, d]` the same of domains.

    Returns:
        `[r, k]` and `[d, k]`, the latter with a mean of 0 over domains.
    """
    found = np.linalg.lstsq(np.column_stack([of_runs, of_domains]), covariates, rcond=None)[0]
    runs, domains = found[: of_runs.shape[1]], found[of_runs.shape[1] :]
    middle = domains.mean(0)
    return runs + middle, domains - middle


def pooled(parts: Sequence[tuple[Doubles | float, float]]) -> tuple[Doubles, Doubles]:
    """The sum of variances that are estimated independently, with its degrees of freedom.

    Args:
        parts: Each `[m]` or a number, with its degrees of freedom.
    """
    total = sum((np.asarray(variance, dtype=np.float64) for variance, _ in parts), np.zeros(1))
    total = np.maximum(total, 1e-300)
    uncertain = sum((np.square(variance / total) / freedom for variance, freedom in parts), np.zeros(1))
    return total, 1 / uncertain


def raised(logs: Doubles) -> Doubles:
    """Exponentials that are finite."""
    return np.asarray(np.exp(np.clip(logs, -EXPONENT, EXPONENT)), dtype=np.float64)
