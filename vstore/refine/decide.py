"""The decision: does a candidate serve from now on, or does the store keep what it has? A pure function of evidence.

Without judgements: is there something to learn, from a model that can read the queries? Did the candidate learn what
it was taught (a teacher whose scores or queries were mixed up teaches nothing that fits)? Does that hold for queries it
has never seen? Is its step no longer than its evidence (half of it must not be closer to the teacher)? Whatever cannot
be answered counts as no. Where nothing was learned, there is only one question of these: is this a store in which that
helps? With judged queries: do they lose? That is a no. Do enough of them gain beyond chance? That is
a yes, whatever the rest says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from vstore import config
from vstore.metrics import paired_randomisation_test

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatSeries = NDArray[np.float64]

SEED = 2007  # of the randomisation, so that equal evidence gives equal decisions


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What is known of a candidate.

    Divergences from the teacher, by query, (n,): of the base model and of the candidate for the queries it learned
    from (`taught_...`); for the held-out ones also of what serves now and of the candidate at half its step (None where
    a step cannot be halved). `crossfitted` are those of the queries it learned from, each by a candidate that was
    trained alike without it, at the whole step and at half of it (None where that takes too long). For one that adds
    judgements to another candidate, all these are the other's. One that is `untaught` learned from none of the queries.

    `gains` are the changes of NDCG@10 of held-out judged queries, `may_not_lose` says whether they must not be below 0
    at all; `changed` counts the held-out queries whose results change, out of those `compared`.
    """

    taught_base: FloatSeries
    taught_candidate: FloatSeries
    base: FloatSeries
    serving: FloatSeries
    candidate: FloatSeries
    halfway: FloatSeries | None = None
    crossfitted: tuple[FloatSeries, FloatSeries] | None = None
    untaught: bool = False
    gains: tuple[float, ...] = ()
    may_not_lose: bool = False
    changed: int = 0
    compared: int = 0


@dataclass(frozen=True, slots=True)
class Check:
    """One question to the evidence, with its figures and its answer; some answers decide without the others."""

    name: str
    passed: bool
    sentence: str
    figures: dict[str, float] = field(default_factory=dict)
    decides: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        return {"name": self.name, "passed": self.passed, "sentence": self.sentence, "figures": self.figures}


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the candidate serves, in a sentence for a person, and what was asked on the way to it."""

    promote: bool
    sentence: str
    checks: tuple[Check, ...] = ()


def decide(evidence: Evidence) -> Decision:
    """Promote when enough judged queries gain, else only when every other question is answered with yes.

    The sentence names what decided: the gain, or the first question that is not.
    """
    checks = []
    for check in _checks(evidence):
        checks.append(check)
        if check.decides:
            return Decision(True, f"promoted: {check.sentence}", tuple(checks))
        if not check.passed:
            return Decision(False, f"kept what serves: {check.sentence}", tuple(checks))
    telling = ("without a map", "generalises", "judged")
    figures = "; ".join(check.sentence for check in checks if check.name in telling)
    return Decision(True, f"promoted: {figures}", tuple(checks))


def _checks(evidence: Evidence) -> Iterator[Check]:
    """The questions in the order they are asked; nothing is computed after the first answer that decides."""
    yield _enough(evidence)
    yield _differs(evidence)
    if evidence.gains:
        yield _judged(evidence)
    if evidence.untaught:
        yield _helped(evidence)
        return
    yield _teachable(evidence)
    yield _learned(evidence)
    yield _generalises(evidence)
    if evidence.halfway is not None:
        yield _measured_step(evidence, evidence.halfway)
    yield _improves(evidence)


def _enough(evidence: Evidence) -> Check:
    learned, held_out = len(evidence.taught_base), len(evidence.base)
    if evidence.untaught:
        found, wanted = learned + held_out, config.GATE_TRAIN + config.GATE_HELD_OUT
        sentence = f"{found} queries found something; it takes at least {wanted}"
        return Check("enough", found >= wanted, sentence, {"queries": found})
    sentence = (
        f"{learned} queries to learn from and {held_out} held-out ones found something; it takes at least "
        f"{config.GATE_TRAIN} and {config.GATE_HELD_OUT}"
    )
    passed = learned >= config.GATE_TRAIN and held_out >= config.GATE_HELD_OUT
    return Check("enough", passed, sentence, {"taught": learned, "held_out": held_out})


def _differs(evidence: Evidence) -> Check:
    sentence = f"of {evidence.compared} held-out queries {evidence.changed} get other results than now"
    return Check("differs", evidence.changed > 0, sentence, {"changed": evidence.changed})


def _teachable(evidence: Evidence) -> Check:
    distance = float(evidence.base.mean())
    near, far = config.GATE_NEAR, config.GATE_FAR
    sentence = f"the model alone ranks {distance:.2f} nats from the teacher, and learns from {near:g} to {far:g}"
    if distance < near:
        sentence += "; nearer there is nothing to learn but noise"
    elif distance > far:
        sentence += "; farther it can hardly read these queries, or what they look for"
    return Check("teachable", near <= distance <= far, sentence, {"distance": distance})


def _helped(evidence: Evidence) -> Check:
    """Whether a step that learned nothing helps in a store like this: all that is known of it comes from others."""
    distance = float(np.append(evidence.base, evidence.taught_base).mean())
    near, far = config.GATE_NEAR_UNTAUGHT, config.GATE_FAR
    sentence = (
        f"the model alone ranks {distance:.2f} nats from the teacher, and from {near:g} to {far:g} it helps to look a "
        "second time, near what came first; no map was learned"
    )
    return Check("without a map", near <= distance <= far, sentence, {"distance": distance})


def _learned(evidence: Evidence) -> Check:
    fit = reduction(evidence.taught_base, evidence.taught_candidate)
    wanted = max(config.GATE_FIT, config.GATE_FIT_FEW / math.sqrt(len(evidence.taught_base)))
    sentence = (
        f"on the {len(evidence.taught_base)} queries it learned from it takes away {fit:.0%} of the distance to the "
        f"teacher, where real lessons let it take {wanted:.0%} or more"
    )
    return Check("learned", fit >= wanted, sentence, {"fit": fit, "wanted": wanted})


def _generalises(evidence: Evidence) -> Check:
    """By held-out queries, and by those of the training side that others like it were trained without.

    The latter are evidence for the training, not for this candidate, so held-out ones alone are a veto.
    """
    before, after, also = evidence.base, evidence.candidate, ""
    against = better(after, before)
    if evidence.crossfitted is not None:
        whole, _ = evidence.crossfitted
        before, after = np.append(before, evidence.taught_base), np.append(after, whole)
        also = f", {len(whole)} of them by others like it,"
    share, p = reduction(before, after), better(before, after)
    verb = "takes away" if share > 0 else "adds"
    sentence = (
        f"on {len(before)} queries never seen{also} it {verb} {abs(share):.1%} of the distance to the teacher "
        f"(p = {p:.2g})"
    )
    passed = share >= config.GATE_MIN_REDUCTION and p < config.GATE_P
    if passed and against < config.GATE_P:
        passed = False
        sentence += f", but not on the {len(evidence.base)} held-out ones among them (p = {against:.2g})"
    return Check("generalises", passed, sentence, {"reduction": share, "p": p, "against": against})


def _measured_step(evidence: Evidence, halfway: FloatSeries) -> Check:
    whole = evidence.candidate
    if evidence.crossfitted is not None:
        whole, halfway = (np.append(*pair) for pair in zip((whole, halfway), evidence.crossfitted, strict=True))
    lost = float(whole.mean() - halfway.mean())
    if lost < 0.0:
        return Check("step", True, "half its step would be farther from the teacher", {"whole_minus_half": lost})
    sentence = "half its step would be closer to the teacher than the whole one: it goes too far"
    return Check("step", False, sentence, {"whole_minus_half": lost})


def _improves(evidence: Evidence) -> Check:
    """Against what serves now, which may be an adapter from an earlier night."""
    share = reduction(evidence.serving, evidence.candidate)
    sentence = f"against what serves now it takes away {share:.1%} of the distance to the teacher"
    worth = share >= config.GATE_MIN_REDUCTION
    if not worth:
        sentence += f", and less than {config.GATE_MIN_REDUCTION:.0%} is not worth a switch"
    return Check("improves", worth, sentence, {"reduction": share})


def _judged(evidence: Evidence) -> Check:
    """Judged queries decide when enough of them gain beyond chance; they are a veto when they lose.

    What judgements taught, or would be given up for, must not lose at all; else a loss may be taken for chance.
    """
    gains = evidence.gains
    mean, error = float(np.mean(gains)), standard_error(gains)
    p = better(np.zeros(len(gains)), -np.array(gains))
    sentence = f"{len(gains)} held-out judged queries change by {mean:+.4f} NDCG@10 (p = {p:.2g})"
    decides = len(gains) >= config.GATE_JUDGED and mean >= config.GATE_JUDGED_GAIN and p < config.GATE_JUDGED_P
    passed = mean + (0.0 if evidence.may_not_lose else config.GATE_DOUBT * error) >= -config.TIE_TOLERANCE
    figures = {"queries": len(gains), "gain": mean, "standard_error": error, "p": p}
    return Check("judged", passed, sentence, figures, decides)


def reduction(before: FloatSeries, after: FloatSeries) -> float:
    """The share of the mean divergence that is gone; 0 where there was none."""
    mean = float(before.mean()) if len(before) else 0.0
    return 1.0 - float(after.mean()) / mean if mean > 0.0 else 0.0


def better(before: FloatSeries, after: FloatSeries) -> float:
    """One-sided p-value that values fell by chance."""
    p = paired_randomisation_test(list(before), list(after), resamples=config.GATE_RESAMPLES, seed=SEED)
    return p / 2 if after.mean() < before.mean() else 1.0 - p / 2


def standard_error(gains: Sequence[float]) -> float:
    """Of the mean gain in NDCG@10; BALANCE_PRIOR further queries lend a few their spread, for they may be alike."""
    n, prior = len(gains), config.BALANCE_PRIOR
    variance = (float(np.var(gains)) * n + config.BALANCE_SPREAD**2 * prior) / (n + prior)
    return math.sqrt(variance / n)
