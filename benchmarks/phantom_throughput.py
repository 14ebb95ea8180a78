"""Images per second of processor time that the phantom makes on one core, pixels and masks together.

Run as ``NUMBA_NUM_THREADS=1 OMP_NUM_THREADS=1 python benchmarks/phantom_throughput.py``.
"""

from __future__ import annotations

from time import process_time

import numpy as np

from tailscope.data.phantom import label_rows
from tailscope.data.phantom_plan import PREVALENCE, SetPlan, plan_set
from tailscope.data.phantom_rendering import RenderSettings, render_masks, render_phantoms


def main() -> None:
    plan = SetPlan(sizes=(400, 100, 100), seed=0, prevalence=PREVALENCE, minimum=1, per_patient=(1, 3))
    rows = label_rows(plan_set(plan))
    for size, count in ((64, 600), (128, 200), (256, 60)):
        settings = RenderSettings(size=size)
        render_phantoms(settings, range(12), np.ones((12, rows.shape[1]), dtype=bool))
        start = process_time()
        render_phantoms(settings, range(count), rows[:count])
        both = count / (process_time() - start)
        start = process_time()
        for index in range(count):
            render_masks(settings, index, rows[index])
        masks = count / (process_time() - start)
        print(f"{size:4d} px: {both:6.0f} images/s with masks, {masks:6.0f} images/s masks alone")


if __name__ == "__main__":
    main()
