"""Who conducts?

Comes in: a configuration. Goes out: an experiment folder with runs, evidence, findings and the report. May import:
every room but ``cli``. The only room that brings the others together.
"""

from tailscope.experiment.conducting import read_configuration, rewrite_report, run
from tailscope.experiment.config import ExperimentConfig
from tailscope.experiment.demo import demo_configuration
from tailscope.experiment.dry_run import DryRun, dry_run
from tailscope.experiment.exporting import export
from tailscope.experiment.previewing import ArmAudit, preview_audits
from tailscope.experiment.provenance import hardware, versions
from tailscope.experiment.querying import query
from tailscope.experiment.reading import load_config, schema, validate_config
from tailscope.experiment.result import ExperimentResult

__all__ = [
    "ArmAudit",
    "DryRun",
    "ExperimentConfig",
    "ExperimentResult",
    "demo_configuration",
    "dry_run",
    "export",
    "hardware",
    "load_config",
    "preview_audits",
    "query",
    "read_configuration",
    "rewrite_report",
    "run",
    "schema",
    "validate_config",
    "versions",
]
