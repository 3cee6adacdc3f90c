"""Two plots as inline SVG: a pair of histograms, and bars around zero."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

WIDTH, HEIGHT, MARGIN = 720, 220, 40  # pixels
BINS = 30
COLOURS = ("#8a8a80", "#1f77b4")  # before, after; distinct in print and to the colour-blind


def histograms(before: Sequence[float], after: Sequence[float], *, label: str) -> str:
    """How two series of the same length are distributed, one over the other, as an SVG element."""
    low, high = min(*before, *after), max(*before, *after)
    edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    counts = [np.histogram(series, edges)[0] for series in (before, after)]
    tallest = max(1, *(int(count.max()) for count in counts))
    step = (WIDTH - 2 * MARGIN) / BINS
    shapes = []
    for colour, count in zip(COLOURS, counts, strict=True):
        points = []
        for place, number in enumerate(count):
            top = _y(number / tallest)
            points += [(MARGIN + place * step, top), (MARGIN + (place + 1) * step, top)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        shapes.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
    legend = "".join(
        f'<text x="{WIDTH - MARGIN - 120 + 70 * place}" y="16" fill="{colour}" font-size="13">{name}</text>'
        for place, (name, colour) in enumerate(zip(("before", "after"), COLOURS, strict=True))
    )
    return _svg([*shapes, legend, _axis(f"{edges[0]:.2f}", label, f"{edges[-1]:.2f}"), _tallest(tallest)], label)


def bars(values: Sequence[float], *, label: str) -> str:
    """One bar for each value in the given order, above or below a line at 0, as an SVG element."""
    reach = max(abs(value) for value in values) or 1.0
    step = (WIDTH - 2 * MARGIN) / len(values)
    middle = HEIGHT / 2
    shapes = []
    for place, value in enumerate(values):
        length = abs(value) / reach * (middle - MARGIN / 2)
        y = middle - length if value > 0 else middle
        colour = COLOURS[1] if value > 0 else "#c0392b"
        width = max(step * 0.9, 0.5)
        shapes.append(
            f'<rect x="{MARGIN + place * step:.1f}" y="{y:.1f}" width="{width:.1f}" height="{length:.1f}" '
            f'fill="{colour}"/>'
        )
    line = f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{middle}" y2="{middle}" stroke="#888"/>'
    scale = (
        f'<text x="2" y="{MARGIN / 2 + 4}" font-size="12">{reach:+.2f}</text>'
        f'<text x="2" y="{HEIGHT - MARGIN / 2}" font-size="12">{-reach:+.2f}</text>'
    )
    return _svg([*shapes, line, scale, _axis("1", label, str(len(values)))], label)


def _y(share: float) -> float:
    return HEIGHT - MARGIN - share * (HEIGHT - 1.75 * MARGIN)


def _axis(left: str, middle: str, right: str) -> str:
    y = HEIGHT - 8
    return "".join(
        f'<text x="{x}" y="{y}" font-size="12" text-anchor="{anchor}">{escape(text)}</text>'
        for x, anchor, text in (
            (MARGIN, "start", left),
            (WIDTH / 2, "middle", middle),
            (WIDTH - MARGIN, "end", right),
        )
    )


def _tallest(count: int) -> str:
    return f'<text x="2" y="{_y(1.0) + 4:.0f}" font-size="12">{count}</text>'


def _svg(shapes: Sequence[str], label: str) -> str:
    view = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    return f'<svg {view} role="img" aria-label="{escape(label)}">{"".join(shapes)}</svg>'
