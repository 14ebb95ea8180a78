"""Network, training and treatments, as a methods section tells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tailscope.report.arms import arm_audits
from tailscope.report.cited_for import architecture_sources, cited, is_known_treatment
from tailscope.report.conducted import (
    Conducted,
    conducted,
    counted,
    has_rows,
    joined,
    percent,
    settings_text,
    stated,
)
from tailscope.report.content import ReportContent
from tailscope.report.frames import TUNING_COLUMNS, filled, float_of, rows_of, text_of
from tailscope.report.methods_data import augmentation_text
from tailscope.report.numbers import plural, rate, setting

_LIBRARIES = {"timm": "timm", "torchvision": "torchvision", "truncated_densenet": "timm"}
_OWN_KEYS = ("name", "label", "lr")


def training_sentences(content: ReportContent) -> tuple[str, ...]:
    """Network, optimiser, schedule, selection, what the arms of a seed shared; nothing that is not on record."""
    done = conducted(content)
    if not has_rows(content.history):
        return tuple(filter(None, (_network(done),)))
    told = (_network(done), *_optimiser(done), augmentation_text(done), _selection(content), *_fairness(done))
    return tuple(filter(None, told))


def treatment_sentences(content: ReportContent) -> tuple[str, ...]:
    """Control and the treatments with their settings, what was searched for, and what the audit found."""
    done = conducted(content)
    sections = done.setting("treatments")
    if not isinstance(sections, list) or not sections:
        return ()
    named = [section for section in sections if isinstance(section, Mapping) and "name" in section]
    control = str(done.setting("compare", "control") or content.arms[0])
    others = [_treatment(section) for section in named if not _is_control(section, control)]
    base = [_treatment(section) for section in named if _is_control(section, control)]
    told = [f"Control was trained with {base[0]}."] if base else []
    if others:
        told.append(f"It was compared with {plural(len(others), 'treatment')}: {'; '.join(others)}.")
    if done.setting("compare", "second_control"):
        told.append("Control was trained once more with other seeds, as a check for false alarms (A/A).")
    return (*told, *_views(done), *_search(content, done), *_audit(content))


def _views(done: Conducted) -> tuple[str, ...]:
    """The label views, where they are a factor of the experiment."""
    views = done.setting("label_views")
    if not isinstance(views, list) or len(views) < 2:
        return ()
    named = [_view(view) for view in views if isinstance(view, Mapping)]
    return (
        f"Every arm was trained under {plural(len(named), 'label view')} ({'; '.join(named)}), which decide the labels "
        "of training and validation; images, split and test labels were the same, and so were the batches, but for "
        "samplers that draw by labels. The views were compared apart from the treatments: each with the first, and "
        "each treatment with control within every further view.",
    )


def _view(view: Mapping[str, Any]) -> str:
    """One view by what it states.

    >>> _view({"uncertain": {"edema": "ones"}, "label_readers": "any", "label": None})
    'uncertain: edema ones, label readers: any'
    """
    parts = []
    for key in ("uncertain", "unmentioned", "label_readers"):
        value = view.get(key)
        if isinstance(value, Mapping):
            value = ", ".join(f"{name} {policy}" for name, policy in value.items())
        parts += [f"{key.replace('_', ' ')}: {value}"] if value is not None else []
    return ", ".join(parts) or "as in the data settings"


def _network(done: Conducted) -> str:
    source, name = done.setting("model", "source"), done.setting("model", "name") or done.setting("model", "source")
    if source is None:
        return ""
    arguments = done.setting("model", "args")
    told = settings_text(arguments) if isinstance(arguments, Mapping) else ""
    size = counted(done.fact("model", "parameters"), "parameter")
    start = "pretrained weights" if done.setting("model", "pretrained") else "random initial weights"
    begun = "as given" if source == "checkpoint" else f"with {start}"
    library = f" of {cited('package', _LIBRARIES[source])}" if source in _LIBRARIES else ""
    brackets = f", {size}," if size else ""
    return f"The network was {name}{architecture_sources(str(name))}{told}{library}{brackets} {begun}."


def _optimiser(done: Conducted) -> tuple[str, ...]:
    of = done.setting("training")
    if not isinstance(of, Mapping) or "epochs" not in of:
        return ()
    decay = f", weight decay {setting(of['weight_decay'])}" if float_of(of.get("weight_decay")) > 0 else ""
    told = [
        f"It was trained for {plural(int(of['epochs']), 'epoch')} with {cited('optimizer', str(of['optimizer']))} in "
        f"batches of {of['batch_size']} (peak learning rate {rate(of['lr'])}{decay})."
    ]
    rises = f"rose linearly over the first {percent(of.get('warmup_fraction'))} of the steps and then "
    warm = rises if float_of(of.get("warmup_fraction")) > 0 else ""
    falls = {"cosine": "fell to zero along a cosine [@loshchilov2017]", "constant": "stayed constant"}
    told.append(f"The learning rate {warm}{falls.get(str(of.get('schedule')), str(of.get('schedule')))}.")
    if of.get("early_stop"):
        told.append(f"Training stopped early after {plural(int(of['early_stop']), 'epoch')} without a better score.")
    return tuple(told)


def _selection(content: ReportContent) -> str:
    runs = len({text_of(run) for run in filled(content.history, ("run",))["run"]})
    return (
        f"Of each of the {plural(runs, 'run')}, the first epoch with the highest mean AUROC over classes on the "
        "validation images was kept."
    )


def _fairness(done: Conducted) -> tuple[str, ...]:
    """What the arms of a seed shared, as far as the digests show it."""
    told = []
    if (same := _differing(done, "initial_weights")) is not None and not same:
        told.append("Within a seed, all arms began from the same initial weights.")
    if (others := _differing(done, "batch_order")) is not None:
        but = f", except {joined(others)}, which drew images in another way" if others else ""
        told.append(f"Within a seed, the arms saw the same images in the same order{but}.")
    return tuple(told)


def _differing(done: Conducted, what: str) -> list[str] | None:
    """Arms whose digest differs from the first arm's in some seed; None where it is not on record."""
    seeds = done.fact("fair_comparison", what)
    if not isinstance(seeds, Mapping) or not seeds:
        return None
    found: dict[str, None] = {}
    for digests in seeds.values():
        first = next(iter(digests.values()), None)
        found |= {str(arm): None for arm, digest in digests.items() if digest != first}
    return list(found)


def _is_control(section: Mapping[str, Any], control: str) -> bool:
    """Whether an arm is control; without a label, an arm is called by its name and its stated settings."""
    if section.get("label"):
        return bool(section["label"] == control)
    name = str(section["name"])
    own = [f"{key}={value}" for key, value in section.items() if key not in _OWN_KEYS and not _is_treatment(value)]
    return control == name or (control.startswith(f"{name} (") and all(text in control for text in own))


def _treatment(section: Mapping[str, Any]) -> str:
    """One arm in words, with its settings, and the treatments inside it with theirs."""
    own = {key: value for key, value in section.items() if key not in _OWN_KEYS}
    inner = {key: value for key, value in own.items() if _is_treatment(value)}
    plain = {key: value for key, value in own.items() if key not in inner}
    if section.get("lr"):
        plain["learning_rate"] = float(section["lr"])
    label = f"“{section['label']}”, " if section.get("label") else ""
    parts = [f"{key.replace('_', ' ')} {_treatment(_as_section(value))}" for key, value in inner.items()]
    around = f" of {joined(parts)}" if parts else ""
    return f"{label}{cited('treatment', str(section['name']))}{settings_text(plain)}{around}"


def _is_treatment(value: Any) -> bool:
    name = value.get("name") if isinstance(value, Mapping) else value
    return isinstance(name, str) and is_known_treatment(name)


def _as_section(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {"name": str(value)}


def _search(content: ReportContent, done: Conducted) -> tuple[str, ...]:
    rows = rows_of(filled(content.tuning, TUNING_COLUMNS))
    if not rows:
        return ()
    trials = [sum(text_of(row["arm"]) == arm for row in rows) for arm in dict.fromkeys(text_of(r["arm"]) for r in rows)]
    each = f"{trials[0]} trials" if len(set(trials)) == 1 else f"{min(trials)} to {max(trials)} trials"
    with_parameter = any(text_of(row["parameter"]) for row in rows)
    what = "Learning rate and main parameter" if with_parameter else "The learning rate"
    seed = done.setting("tune", "seed")
    apart = f", with seed {stated(seed)}, which no run had" if seed is not None else ""
    return (f"{what} of each arm {'were' if with_parameter else 'was'} chosen among {each} by the AUROC on validation "
            f"images{apart}.",)  # fmt: skip


def _audit(content: ReportContent) -> tuple[str, ...]:
    audits = arm_audits(content.audit, content.arms)
    known = [audit for audit in audits if audit.verdict]
    if not known:
        return ()
    failed = [audit.arm for audit in known if audit.verdict == "failed"]
    told = f"the audit of {joined(failed)} failed" if failed else "none failed"
    return (
        "Before and during training, every arm was audited for whether it draws, weighs and pulls as it states; "
        f"{told}.",
    )
