"""What a treatment needs of the data, the network and the training, checked before any training."""

from __future__ import annotations

import numpy as np

from tailscope.core import ExperimentData, InputError
from tailscope.experiment.config import ExperimentConfig
from tailscope.models import Network, find_head
from tailscope.training import Job, batches, learning_rate
from tailscope.treatments import (
    TrainingFacts,
    TreatmentPlan,
    are_weights,
    missing_attributes,
    soft_problem,
    unmet_requirements,
)


def treatment_problems(config: ExperimentConfig, data: ExperimentData, arm: str, network: Network) -> list[str]:
    """What stands against an arm on a network like this one, one sentence each; empty if it can be trained."""
    try:
        plan = config.treatment(arm).build()(data.counts)
        if problems := missing_attributes(plan, data.attributes):
            return problems
        job = Job(network, plan, data, config.training_of(arm), config.seeds[0])
        if problems := _weight_problems(job):
            return problems
        if needs_head(plan):
            find_head(network.module, len(data.classes))
        soft = None if data.soft is None else soft_problem(plan, len(data.classes))
        return [*([soft] if soft else []), *unmet_requirements(plan, _facts(job))]
    except InputError as error:
        return [str(error)]


def _weight_problems(job: Job) -> list[str]:
    """Draw weights that are none: of another number than the images, negative, not finite, or all 0."""
    found = [
        (whose, weights)
        for stage in job.stages
        for whose, weights in (
            ("draw weights", job.draw_weights(stage.plan)),
            ("partners' draw weights", job.partner_weights(stage.plan)),
        )
        if weights is not None and not are_weights(weights, job.rows.size)
    ]
    return [
        f"its {whose} must be {job.rows.size} finite numbers, one per image, 0 or more and not all 0; got "
        f"{weights.size} from {weights.min():g} to {weights.max():g}: correct the sampler's `sample_weights`"
        for whose, weights in found[:1]
    ]


def needs_head(plan: TreatmentPlan) -> bool:
    """Whether a stage trains the head alone, or a step after training reads it."""
    step = plan.after_training
    return any(part.trains == "fresh_head" for _, part in plan.stages) or (step is not None and "head" in step.reads)


def _facts(job: Job) -> TrainingFacts:
    settings, size = job.settings, job.rows.size
    steps = len(batches(np.arange(size), settings.batch_size)) * settings.epochs
    rates = [learning_rate(settings, step, steps) for step in range(steps)]
    return TrainingFacts(
        class_counts=job.data.counts,
        targets=job.data.targets[job.rows],
        draw_weights=job.draw_weights(job.stages[0].plan),
        batch_size=settings.batch_size,
        optimizer=settings.optimizer,
        lr=settings.lr,
        steps=steps,
        mean_lr_share=float(np.mean(rates)) / settings.lr,
        attributes=job.attributes,
    )
