"""Make one run: network, training, predictions, and the record that proves the comparison fair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from tailscope.core import (
    ExperimentData,
    Progress,
    child_seed,
    copy_file,
    digest,
    read_json,
    write_json,
    write_table,
)
from tailscope.experiment.adjusting import fitted_adjustment
from tailscope.experiment.auditing import RunAudit, is_allowed
from tailscope.experiment.config import ExperimentConfig
from tailscope.experiment.folder import ExperimentFolder
from tailscope.experiment.plan import Run, run_hash
from tailscope.experiment.provenance import hardware, versions
from tailscope.experiment.twins import finished_twin
from tailscope.models import MODELS, Network, read_weights, write_weights
from tailscope.training import Job, chosen_accelerator, fit, predict_adjusted, remove_state, write_tensors
from tailscope.training.kept import due_epochs, require_epoch, require_kept
from tailscope.treatments import AffineLogits

CHECKPOINTS = "checkpoints"  # in the folder of a run: the state of its training, and the epochs that it keeps

_PREDICTED = ("val", "test")


def fresh_network(config: ExperimentConfig, data: ExperimentData, seed: int) -> Network:
    """The network of a seed before training: the same weights in every arm; torch's generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(child_seed(seed, "weights"))
        return MODELS.build(config.model.source, **config.model.settings)(len(data.classes), data.pixels.shape[-1])


def weights_digest(network: Network) -> str:
    """Digest of all parameters and buffers."""
    state = network.module.state_dict()
    return digest(*(part for name in sorted(state) for part in (name, state[name].cpu().numpy())))


def trained_network(folder: ExperimentFolder, config: ExperimentConfig, data: ExperimentData, run: Run) -> Network:
    """The network of a finished run, in eval mode, on the accelerator where there is one."""
    return _network_of(config, data, run, folder.run(run.name) / "weights.safetensors")


def kept_network(
    folder: ExperimentFolder, config: ExperimentConfig, data: ExperimentData, run: Run, epoch: int
) -> Network:
    """The network of a run as it was after an epoch, counted from 1; otherwise as :func:`trained_network`.

    Raises:
        InputError: The weights of that epoch were not kept.
    """
    return _network_of(config, data, run, require_epoch(folder.run(run.name) / CHECKPOINTS, epoch))


def _network_of(config: ExperimentConfig, data: ExperimentData, run: Run, weights: Path) -> Network:
    network = fresh_network(config, data, run.seed)
    network.module.load_state_dict(read_weights(weights)[0])
    network.module.to(chosen_accelerator("auto")).to(memory_format=torch.channels_last).eval()
    return network


def kept_of(folder: ExperimentFolder, config: ExperimentConfig, run: Run) -> tuple[int, ...]:
    """The epochs, counted from 1, that a finished run has kept and the configuration asks for."""
    return due_epochs(config.training.keep_checkpoints, read_record(folder, run)["epochs"], is_over=True)


def require_checkpoints(folder: ExperimentFolder, config: ExperimentConfig) -> None:
    """Refuse to ask for epochs that a finished run of one of the arms has not kept.

    Raises:
        MismatchError: It would have to be trained again.
    """
    if not config.training.keep_checkpoints:
        return
    for path in sorted(folder.path.glob("runs/*/run.json")):
        record = read_json(path)
        if (
            record["arm"] in (*config.arms, config.second_control, *config.viewed)
            and record["seed"] in config.every_seed
        ):
            kept = path.parent / CHECKPOINTS
            require_kept(config.training.keep_checkpoints, record["epochs"], path.parent, kept, is_over=True)


def make_run(
    folder: ExperimentFolder, config: ExperimentConfig, data: ExperimentData, run: Run, progress: Progress
) -> None:
    """Train, predict and record one run, or take it up where it was left.

    A treatment that only adjusts the logits of another arm takes the weights of that arm's finished run of the same
    seed; trained again, they would come out the same bit for bit.

    Raises:
        TrainingError: Training failed, or the audit found that the treatment does not do what it promises.
    """
    place = folder.run(run.name)
    network = fresh_network(config, data, run.seed)
    initial = weights_digest(network)
    plan = config.treatment(run.arm).build()(data.counts)
    job = Job(network, plan, data, config.training_of(run.arm), run.seed)
    network.module.to(chosen_accelerator("auto")).to(memory_format=torch.channels_last)
    twin = finished_twin(folder, config, data, run, plan)
    fitted = _adopted(folder, config, job, run, twin) if twin else _trained(folder, config, job, run, progress)
    adjustment = fitted_adjustment(job)
    write_table(folder.predictions(run.name), _predictions(run, job, adjustment))
    proof = {"initial_weights": initial, "batch_order": job.order_digest(), **fitted}
    _write_record(folder, config, run, job, {**proof, "adjustment": adjustment and adjustment.as_dict()})
    remove_state(place / CHECKPOINTS)


def predict_elsewhere(folder: ExperimentFolder, config: ExperimentConfig, data: ExperimentData, run: Run) -> None:
    """Write what a finished run predicts for the test images of another data set; validation stays as it was.

    Args:
        folder: Of the other test.
        config: The experiment's configuration.
        data: Training and validation of the experiment, with the other test split.
        run: A finished run of the experiment.
    """
    here = ExperimentFolder(folder.trained or folder.path)
    before = pd.read_parquet(here.predictions(run.name))
    rows = data.rows("test")
    plan = config.treatment(run.arm).build()(data.counts)
    logits = predict_adjusted(trained_network(folder, config, data, run), plan, data.pixels, rows)
    step = read_record(folder, run)["adjustment"]
    if step is not None:
        logits = AffineLogits(tuple(step["scale"]), tuple(step["shift"]))(logits).astype(np.float32)
    tested = _long(run.name, data, "test", rows, logits)
    write_table(folder.predictions(run.name), pd.concat([before[before["split"] == "val"], tested], ignore_index=True))


def _trained(
    folder: ExperimentFolder, config: ExperimentConfig, job: Job, run: Run, progress: Progress
) -> dict[str, Any]:
    """Train under the eyes of the audit, and write what came of it; facts for the record."""
    place = folder.run(run.name)
    audit = RunAudit(job, config, run, progress)
    planned = audit.before_training()
    total = config.training.epochs * job.rows.size
    with progress.task(f"{run.name}: training", total) as advance:
        state = fit(
            job, place / CHECKPOINTS, advance, lambda line: progress.say(f"{run.name}: {line}"), audit.after_epoch
        )
    write_json(place / "audit.json", audit.content(planned, state.audit))
    history = pd.DataFrame(state.history).assign(run=run.name, arm=run.arm, seed=run.seed)
    write_table(place / "history.parquet", history)
    write_weights(place / "weights.safetensors", job.network.module, job.network.preprocessing)
    if any(True for _, part in job.plan.stages for _ in part.loss.parameters()):
        write_tensors(place / "treatment.safetensors", state.best_loss)
    return {"selected_epoch": state.best.epoch, "selected_score": state.best.score, "epochs": state.epoch}


def _adopted(folder: ExperimentFolder, config: ExperimentConfig, job: Job, run: Run, twin: Run) -> dict[str, Any]:
    """Take over what the twin's training left; facts for the record."""
    place, source = folder.run(run.name), folder.run(twin.name)
    place.mkdir(parents=True, exist_ok=True)
    for path in (*source.glob("*.safetensors"), *(source / CHECKPOINTS).glob("epoch-*.safetensors")):
        copy_file(path, place / path.relative_to(source))
    audit = read_json(source / "audit.json")
    write_json(
        place / "audit.json",
        {**audit, "allowed": is_allowed(config, run.arm, audit), "weights_from": twin.name},
    )
    history = pd.read_parquet(source / "history.parquet").assign(run=run.name, arm=run.arm)
    write_table(place / "history.parquet", history)
    job.network.module.load_state_dict(read_weights(place / "weights.safetensors")[0])
    record = read_json(source / "run.json")
    return {"weights_from": twin.name, **{key: record[key] for key in ("selected_epoch", "selected_score", "epochs")}}


def _predictions(run: Run, job: Job, adjustment: AffineLogits | None) -> pd.DataFrame:
    data = job.data
    tables = []
    for split in _PREDICTED:
        rows = data.rows(split)
        logits = predict_adjusted(job.network, job.plan, data.pixels, rows)
        if adjustment is not None:
            logits = adjustment(logits).astype(np.float32)
        tables.append(_long(run.name, data, split, rows, logits))
    return pd.concat(tables, ignore_index=True)


def _long(
    run: str, data: ExperimentData, split: str, rows: NDArray[np.int64], logits: NDArray[np.float32]
) -> pd.DataFrame:
    count = len(data.classes)
    return pd.DataFrame(
        {
            "run": run,
            "image_id": np.repeat(data.image_ids[rows], count),
            "split": split,
            "class": np.tile(np.array(data.classes), rows.size),
            "logit": logits.ravel(),
            "target": data.targets[rows].ravel(),
        }
    )


def _write_record(
    folder: ExperimentFolder, config: ExperimentConfig, run: Run, job: Job, facts: dict[str, Any]
) -> None:
    data, treatment = job.data, config.treatment(run.arm)
    record = {
        "run": run.name,
        "arm": run.arm,
        "seed": run.seed,
        "origin": "trained",
        "hash": run_hash(config, data, run.arm, run.seed),
        "model": job.network.source,
        "classes": list(data.classes),
        "preprocessing": job.network.preprocessing.as_dict(),
        "treatment": {"name": treatment.name, "settings": treatment.settings},
        "layers": {
            lens: getattr(config.lenses, lens).layer
            for lens in ("alignment", "dissection", "representation")
            if getattr(config.lenses, lens) is not None
        },
        "lr": job.settings.lr,
        **facts,
        "versions": versions(),
        "hardware": hardware(),
    }
    write_json(folder.run(run.name) / "run.json", record)


def read_record(folder: ExperimentFolder, run: Run) -> dict[str, Any]:
    """What ``run.json`` holds."""
    record: dict[str, Any] = read_json(folder.run(run.name) / "run.json")
    return record


def test_logits(folder: ExperimentFolder, run: str, data_classes: tuple[str, ...]) -> NDArray[np.float32]:
    """(N, K) logits of the test split, in the order of the data's rows."""
    table = pd.read_parquet(folder.predictions(run), columns=["split", "logit"])
    logits = table.loc[table["split"] == "test", "logit"].to_numpy(dtype=np.float32)
    return logits.reshape(-1, len(data_classes))
