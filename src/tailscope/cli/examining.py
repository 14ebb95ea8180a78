"""``tailscope doctor``: environment, devices, versions, what is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

from tailscope.cli.tables import wide_console
from tailscope.experiment import hardware, versions

_LOW_DISK_GB = 10


def print_examination() -> None:
    """Print what this machine offers."""
    console = wide_console()
    console.print("Versions", style="bold")
    for name, number in versions().items():
        console.print(f"  {name}: {number}", highlight=False, style="red" if number == "not installed" else None)
    console.print("Hardware", style="bold")
    facts = hardware()
    for name, value in facts.items():
        console.print(f"  {name.replace('_', ' ')}: {_plain(value)}", highlight=False)
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    console.print(f"  free disk here: {free:.0f} GB", highlight=False)
    if free < _LOW_DISK_GB:
        console.print(f"  less than {_LOW_DISK_GB} GB are free; a large data set's cache will not fit", style="yellow")
    if not facts["accelerators"]:
        console.print("  no accelerator: training runs on the CPU; small networks and images are fine there")


def _plain(value: object) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)
