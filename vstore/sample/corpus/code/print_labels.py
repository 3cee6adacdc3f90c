"""Print bag labels on the thermal printer: 32 characters a line."""

import textwrap
from datetime import date, timedelta

WIDTH = 32
BBE_OFFSETS = {"wholemeal": 120, "bolted": 240, "rye": 180}


def label(grain: str, kind: str, milled: date, grams: int, batch: str) -> str:
    best_before = milled + timedelta(days=BBE_OFFSETS[kind])
    lines = [
        "SKERROW TIDE MILL".center(WIDTH),
        f"{grain}, {kind}".center(WIDTH),
        f"milled {milled:%d.%m.%Y}",
        f"best before {best_before:%d.%m.%Y}",
        f"batch {batch}".ljust(WIDTH - 8) + f"{grams:>6} g",
    ]
    lines += textwrap.wrap("Contains gluten. Milled by the moon, more or less.", WIDTH)
    return "\n".join(lines)
