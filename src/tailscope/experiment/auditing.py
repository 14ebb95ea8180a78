"""The audit of a treatment: before training what it plans, after each epoch what was really done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tailscope.core import Progress, TrainingError, class_groups
from tailscope.experiment.config import ExperimentConfig
from tailscope.experiment.plan import Run
from tailscope.training import EpochDraws, EpochWatch, Job, predict, process_share
from tailscope.treatments import (
    ImbalanceTreatment,
    Meant,
    Mixing,
    TreatmentPlan,
    balance_audit,
    batch_audit,
    check_limit,
    counts_audit,
    draws_of,
    gradient_audit,
    judge,
    labels_audit,
    mixing_audit,
    problems_of,
    rebuilt_audit,
    sampling_audit,
    weights_audit,
    weights_of,
)

_IMAGES = 1024  # enough for stable shares of the gradient at a fraction of a second of forward passes
# What the published forms do wrong, and are asked for by name: the sampler that draws K images, the inverted weights.
_PUBLISHED_DEFECTS = {"images left out", "classes drawn", "direction of the sampler", "direction of the loss"}
REMEDY = (
    "Such an arm would be compared under a false name; correct its settings or its code, or name it in `audit.allow` "
    "to train it all the same"
)
_POSITIVES = 8  # of each class, so that no rare class goes unjudged
_PROCESSES = 2
# What an epoch's record leaves out, so that audit.json stays small; the planned draws have it.
_LONG = ("cooccurrence_expected", "cooccurrence_realised", "pairs", "draw_counts")


@dataclass(frozen=True, eq=False)
class Initial:
    """Logits of a fresh network on training images, the same for all arms of a seed.

    Args:
        logits: (M, K), on the CPU.
        targets: (M, K) in {0, 1, NaN}.
    """

    logits: torch.Tensor
    targets: torch.Tensor


def planned_audit(job: Job, treatment: ImbalanceTreatment, initial: Initial | None = None) -> dict[str, Any]:
    """What a treatment would do, without training: one epoch of draws, and the loss at initialisation.

    Draws and weights are those of the last stage, in which the treatment is complete.

    Args:
        job: The network is fresh.
        treatment: That made the job's plan.
        initial: From :func:`initial_logits` of a job with the same network; computed where it is None.

    Returns:
        What :func:`~tailscope.treatments.judge` takes, without its verdict.
    """
    data, rows, last = job.data, job.rows, job.stages[-1]
    targets = data.targets[rows]
    draws = job.draws(last.first)
    start = initial or initial_logits(job)
    return {
        "counts": counts_audit(data.counts, targets),
        "rebuilt": rebuilt_audit(treatment, job.plan, targets, data.classes, job.attributes),
        "weights": weights_audit(job.draw_weights(last.plan), last.plan, targets, job.attributes),
        "sampling": _planned_sampling(job, last.plan, draws.images),
        **_planned_mixing(job, last.plan, draws),
        **_balance(job, last.plan),
        "gradients": {
            "initial" if not stage.first else f"stage from epoch {stage.first + 1}": gradient_audit(
                stage.plan.loss, start.logits, start.targets, data.classes, class_groups(data.counts.prevalences),
                data.counts.prevalences,
            )
            for stage in _ends(job)
        },
        "limit": check_limit(treatment),
        "batch": batch_audit(last.plan.loss, start.logits, start.targets, job.settings.batch_size),
    }  # fmt: skip


def epoch_audit(job: Job, epoch: int, watch: EpochWatch) -> dict[str, Any]:
    """What one epoch really drew and fed to the loss, against the plan, the labels and the weights.

    Weights and labels are read anew from the data here, not from what training computed.
    """
    data, plan = job.data, job.stage(epoch).plan
    targets = data.targets[job.rows]
    weights = plan.draw_weights(targets, job.attributes)
    drawn = draws_of(watch.draws)
    sampling = sampling_audit(targets, weights, drawn, data.classes, meant=_meant(plan))
    record: dict[str, Any] = {"sampling": _short(sampling)}
    if plan.batch_transform is None:  # which may change labels on purpose
        record["labels"] = labels_audit(targets, watch.labelled, watch.fed, watch.marked, data.classes)
    if plan.mixing is not None:
        partners = weights_of(plan.mixing.partner_weights, targets, plan.mixing.attributes, job.attributes)
        record["partner"] = _short(_partner_sampling(job, plan.mixing, partners, draws_of(watch.partner_draws)))
        record["mixing"] = mixing_audit(weights, partners, watch.pairs, watch.own_pairs)
    return record


def is_allowed(config: ExperimentConfig, arm: str, judged: dict[str, Any]) -> bool:
    """Whether a failed audit was asked for by name: in ``audit.allow``, or as the known defects of a published form."""
    if config.treatment(arm).arm in config.audit.allow:  # of the second control, control
        return True
    failed = {check["check"] for check in judged["checks"] if check["verdict"] == "failed"}
    return config.treatment(arm).settings.get("variant") == "as_published" and failed <= _PUBLISHED_DEFECTS


def failure(arm: str, judged: dict[str, Any]) -> str:
    """What a failed audit found, in one line."""
    return f"audit of arm {arm!r} failed: " + "; ".join(problems_of(judged))


@dataclass(frozen=True)
class RunAudit:
    """The audit of one run, from before its training to its end.

    Args:
        job: The run's.
        config: The experiment's; ``audit.allow`` names arms that go on although they fail.
        run: The run.
        progress: Where problems of arms that go on are said.
    """

    job: Job
    config: ExperimentConfig
    run: Run
    progress: Progress

    def before_training(self) -> dict[str, Any]:
        """Audit what is planned.

        Raises:
            TrainingError: The treatment does not do what it says, and nobody asked for it by name.
        """
        planned = planned_audit(self.job, self.config.treatment(self.run.arm).build())
        self._act_on(judge(planned))
        return planned

    def after_epoch(self, epoch: int, watch: EpochWatch) -> dict[str, Any]:
        """Audit what was done; what joins the epoch's record.

        Raises:
            TrainingError: As before training.
        """
        record = epoch_audit(self.job, epoch, watch)
        self._act_on(judge({"epochs": [{"epoch": epoch + 1, **watch.summary(), **record}]}))
        return record

    def content(self, planned: dict[str, Any], epochs: list[dict[str, Any]]) -> dict[str, Any]:
        """The whole of ``audit.json``, verdict first."""
        whole = {**planned, "epochs": epochs}
        judged = judge(whole)
        return {**judged, "allowed": is_allowed(self.config, self.run.arm, judged), **whole}

    def _act_on(self, judged: dict[str, Any]) -> None:
        if judged["verdict"] != "failed":
            return
        line = failure(self.run.arm, judged)
        if not is_allowed(self.config, self.run.arm, judged):
            raise TrainingError(f"{line}. {REMEDY}")
        self.progress.say(f"{self.run.name}: {line}; it goes on, because it was asked for by name")


def initial_logits(job: Job) -> Initial:
    """Logits of the job's fresh network on training images, positives of every class among them."""
    targets = job.data.targets[job.rows]
    each = max(1, min(_POSITIVES, _IMAGES // targets.shape[1]))
    positives = [np.flatnonzero(targets[:, c] == 1)[:each] for c in range(targets.shape[1])]
    random = np.random.default_rng(0).permutation(job.rows.size)[:_IMAGES]
    some = job.rows[np.unique(np.concatenate([random, *positives]))]
    logits = torch.from_numpy(predict(job.network, job.data.pixels, some))
    return Initial(logits, torch.from_numpy(job.data.targets[some]))


def _planned_sampling(job: Job, plan: TreatmentPlan, images: NDArray[np.int64]) -> dict[str, Any]:
    targets, size = job.data.targets[job.rows], job.settings.batch_size
    shares = [process_share(images, rank, _PROCESSES, size) for rank in range(_PROCESSES)]
    return sampling_audit(targets, job.draw_weights(plan), images, job.data.classes, shares, _meant(plan))


def _planned_mixing(job: Job, plan: TreatmentPlan, draws: EpochDraws) -> dict[str, Any]:
    partners = job.partner_weights(plan)
    if plan.mixing is None or partners is None or draws.partners is None:
        return {}
    targets = job.data.targets[job.rows]
    own = int(np.sum(draws.images == draws.partners))
    return {
        "partner_weights": weights_audit(partners, plan, targets, job.attributes, partner=True),
        "partner": _partner_sampling(job, plan.mixing, partners, draws.partners),
        "mixing": mixing_audit(job.draw_weights(plan), partners, draws.images.size, own),
    }


def _partner_sampling(
    job: Job, mixing: Mixing, weights: NDArray[np.float64], drawn: NDArray[np.int64]
) -> dict[str, Any]:
    return sampling_audit(job.data.targets[job.rows], weights, drawn, job.data.classes, meant=_meant(mixing))


def _balance(job: Job, plan: TreatmentPlan) -> dict[str, Any]:
    """What a sampler that balances a further column does to it."""
    weights = job.draw_weights(plan)
    if weights is None or not plan.attributes:
        return {}
    name = plan.attributes[0]
    column = (name, job.attributes[name])
    return {"balance": balance_audit(job.data.targets[job.rows], weights, column, job.data.classes)}


def _meant(part: TreatmentPlan | Mixing) -> Meant:
    return Meant(leaves_out=part.leaves_out, by_labels=not part.attributes)


def _ends(job: Job) -> list[Any]:
    """The first and the last stage; one where they are the same."""
    return list(dict.fromkeys((job.stages[0], job.stages[-1])))


def _short(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in _LONG}
