"""Numbers as text, one way for the whole page: 0.862, −0.012, 4,000, p < 0.001, and – where there is none."""

from __future__ import annotations

import math
from typing import Any

from tailscope.report.frames import float_of

NONE = "–"


def decimal(value: Any, digits: int = 3) -> str:
    """A number with a fixed number of digits and a true minus sign.

    >>> decimal(0.86249), decimal(-0.5, 2), decimal(None)
    ('0.862', '−0.50', '–')
    """
    number = float_of(value)
    if not math.isfinite(number):
        return NONE
    text = f"{number:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def signed(value: Any, digits: int = 3) -> str:
    """A difference: the sign is always shown, except of zero.

    >>> signed(0.0123), signed(-0.0123), signed(0.0)
    ('+0.012', '−0.012', '0.000')
    """
    text = decimal(value, digits)
    return f"+{text}" if float_of(value) > 0 and text.strip("0.") else text


def interval(lo: Any, hi: Any, *, is_difference: bool = False) -> str:
    """An interval in brackets, or nothing where an end is missing.

    >>> interval(0.84, 0.88), interval(None, 0.88)
    ('[0.840, 0.880]', '')
    """
    show = signed if is_difference else decimal
    both = math.isfinite(float_of(lo)) and math.isfinite(float_of(hi))
    return f"[{show(lo)}, {show(hi)}]" if both else ""


def count(value: Any) -> str:
    """A whole number with thousands separators.

    >>> count(4000.0), count(float("nan"))
    ('4,000', '–')
    """
    number = float_of(value)
    return f"{round(number):,}" if math.isfinite(number) else NONE


def share(value: Any) -> str:
    """A share of one as a percentage with two significant digits.

    >>> share(0.1234), share(0.0012)
    ('12 %', '0.12 %')
    """
    number = 100 * float_of(value)
    if not math.isfinite(number):
        return NONE
    if abs(number) >= 10 or number == 0:
        return f"{number:.0f} %"
    return f"{number:.1f} %" if abs(number) >= 1 else f"{number:.2f} %"


def times(value: Any) -> str:
    """A factor with two or three significant digits.

    >>> times(0.25), times(1.0), times(0.0031), times(123.4)
    ('× 0.25', '× 1.00', '× 0.0031', '× 123')
    """
    number = float_of(value)
    if not math.isfinite(number):
        return NONE
    if abs(number) >= 10:
        return f"× {number:,.0f}"
    return f"× {number:.2f}" if abs(number) >= 0.1 or number == 0 else f"× {number:.2g}"


def rate(value: Any) -> str:
    """A learning rate with three significant digits.

    >>> rate(0.0003), rate(0.000282843), rate(1e-05), rate(None)
    ('0.0003', '0.000283', '1e-05', '–')
    """
    number = float_of(value)
    return f"{number:.3g}" if math.isfinite(number) else NONE


def setting(value: Any) -> str:
    """The value of a parameter, as one would type it; 0.9999 must not become 1.

    >>> setting(2.0), setting(0.9999), setting(None)
    ('2', '0.9999', '–')
    """
    number = float_of(value)
    return f"{number:.6g}" if math.isfinite(number) else NONE


def p_value(value: Any) -> str:
    """A p-value, never shown as 0.

    >>> p_value(0.0314), p_value(1e-9)
    ('0.031', '<0.001')
    """
    number = float_of(value)
    return "<0.001" if number < 0.001 else decimal(number)


def plural(number: int, one: str, many: str = "") -> str:
    """A counted noun.

    >>> plural(1, "class", "classes"), plural(1200, "image")
    ('1 class', '1,200 images')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(names: list[str], limit: int = 3) -> str:
    """Names in a sentence; those beyond ``limit`` are counted.

    >>> listed(["a", "b"]), listed(["a", "b", "c", "d", "e"])
    ('a and b', 'a, b, c and 2 more')
    """
    shown = names[:limit] + ([f"{len(names) - limit} more"] if len(names) > limit else [])
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else ""
