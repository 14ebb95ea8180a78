"""Ages as published: years, or DICOM age strings, impossible ones included."""

from __future__ import annotations

import math
import re
from functools import cache

from tailscope.core.errors import DataError

_OLDEST_YEARS = 120  # NIH's release of 2017 holds ages up to 414, RSNA's headers up to 155
_YEARS_PER = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


@cache
def parse_age(text: str) -> float:
    """Age in years from ``58``, or from a DICOM age string; NaN for blank and for more than 120 years.

    Raises:
        DataError: The text is neither.

    Example:
        >>> parse_age("58"), parse_age("058Y"), parse_age("006M"), parse_age("155")
        (58.0, 58.0, 0.5, nan)
    """
    text = text.strip()
    if not text:
        return math.nan
    match = re.fullmatch(r"(\d+(?:\.\d*)?)([YMWD]?)", text.upper())
    if match is None:
        raise DataError(f"age {text!r} cannot be read; expected years (58) or a DICOM age (058Y, 006M)")
    years = float(match[1]) * _YEARS_PER[match[2] or "Y"]
    return years if years <= _OLDEST_YEARS else math.nan
