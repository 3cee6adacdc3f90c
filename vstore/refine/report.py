"""One self-contained HTML page about a run: the decision, its evidence, plots, and the worst regressions.

No script, no font, no image is loaded from anywhere; every text of the store is escaped.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from vstore import config
from vstore.errors import NotFoundError
from vstore.refine.plots import bars, histograms
from vstore.runs import RunRecord, SeenQuery
from vstore.storage import Index
from vstore.types import StoredChunk

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.5rem}table{border-collapse:collapse}
td,th{padding:.3rem .8rem .3rem 0;text-align:left;vertical-align:top;border-bottom:1px solid #ddd}
.yes{color:#176d3a}.no{color:#a3261d}.decision{font-size:1.1rem;padding:1rem;background:#f3f3ee;border-radius:.5rem}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:1.5rem}ol{padding-left:1.2rem}li{margin-bottom:.5rem}
small,figcaption{color:#666}figure{margin:1rem 0}svg{max-width:100%;height:auto}
@media(max-width:40rem){.pair{grid-template-columns:1fr}}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#1b1b1a}.decision{background:#2a2a27}td,th{border-color:#444}
.yes{color:#6fcf97}.no{color:#f2867c}small,figcaption{color:#aaa}svg text:not([fill]){fill:#ccc}}
"""


def find_run(index: Index, number: int | None = None) -> RunRecord:
    """The run with this number, else the last one that ended. Raises NotFoundError."""
    for record in index.runs():
        if record.id == number or (number is None and record.status != "running"):
            return record
    if number is None:
        raise NotFoundError("this store was not refined yet; do it with: vstore refine run")
    raise NotFoundError(f"there is no run {number}; see those there are with: vstore refine status")


def page(index: Index, record: RunRecord) -> str:
    """The report of a run as HTML."""
    queries = index.run_queries(record.id)
    parts = [
        f"<h1>Refinement run {record.id}, {record.started_at.astimezone():%Y-%m-%d %H:%M}</h1>",
        f'<p class="decision">{escape(record.decision or record.status)}</p>',
        _evidence(record.report),
        _comparison(record.report),
        _plots(queries) if queries else "<p>Its held-out queries are not kept any more, or there were none.</p>",
        _regressions(index, queries),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
    title = f"<title>vstore: refinement run {record.id}</title>"
    return f'<!doctype html><html lang="en"><head>{head}{title}</head><body>{"".join(parts)}</body></html>\n'


def _evidence(report: Mapping[str, Any]) -> str:
    tables = [_checks(tried) for tried in report.get("candidates", [])]
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.get("notes", []))
    counts = ", ".join(
        f"{report[key]} {name}"
        for key, name in (
            ("queries", "queries"),
            ("learned_from", "learned from"),
            ("held_out", "held out"),
            ("seconds", "seconds"),
        )
        if key in report
    )
    counts = f"{counts}." if counts else "There is none."
    return f"<h2>Evidence</h2><p>{escape(counts)}</p>{''.join(tables)}{f'<ul>{notes}</ul>' if notes else ''}"


def _checks(tried: Mapping[str, Any]) -> str:
    """What a candidate was asked."""
    rows = [
        f'<tr><td class="{"yes" if check["passed"] else "no"}">{"yes" if check["passed"] else "no"}</td>'
        f"<td>{escape(check['name'])}</td><td>{escape(check['sentence'])}</td></tr>"
        for check in tried["checks"]
    ]
    name = tried["recipe"].get("trainer", "")
    kind = f"{name} with judgements" if "judged_lessons" in tried["recipe"] else name
    head = f"<tr><th>{escape(kind)}</th><th>asked</th><th>found</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _comparison(report: Mapping[str, Any]) -> str:
    """NDCG@10 of the judged held-out queries, where there are any."""
    comparison = report.get("comparison", {})
    rows = []
    for key, name in (("ndcg", "hybrid search"), ("dense_ndcg", "its dense leg")):
        if key in comparison:
            figures = comparison[key]
            low, high = figures["interval"]
            rows.append(
                f"<tr><td>{name}</td><td>{figures['before']:.4f}</td><td>{figures['after']:.4f}</td>"
                f"<td>{figures['after'] - figures['before']:+.4f}</td><td>[{low:+.4f}, {high:+.4f}]</td></tr>"
            )
    if not rows:
        return ""
    head = "<tr><th>NDCG@10</th><th>before</th><th>after</th><th>change</th><th>95% interval</th></tr>"
    table = f"<table>{head}{''.join(rows)}</table>"
    return f"<h2>What people judged</h2><p>{comparison['judged']} held-out queries.</p>{table}"


def _plots(queries: Sequence[SeenQuery]) -> str:
    cosines = [[float(query.figures[side]["cosine"]) for query in queries] for side in ("before", "after")]
    figures = []
    if cosines[0] != cosines[1]:
        caption = (
            "How close the best of the first results is to the query by the model's own vectors, before and after."
        )
        figures.append(_figure(histograms(*cosines, label="cosine of the best result"), caption))
    for change, caption in (
        (_gain, "Change of NDCG@10 by judged query, the largest loss first."),
        (_nearer, "How much nearer to the teacher each query's ranking by meaning gets (divergence taken away)."),
    ):
        values = sorted(value for value in map(change, queries) if value is not None)
        if any(values):
            figures.append(_figure(bars(values, label="queries"), caption))
    return f"<h2>Before and after</h2>{''.join(figures)}"


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _gain(query: SeenQuery) -> float | None:
    before, after = query.figures["before"]["ndcg"], query.figures["after"]["ndcg"]
    return None if before is None or after is None else float(after - before)


def _nearer(query: SeenQuery) -> float | None:
    divergence = query.figures.get("divergence")
    return float(divergence["before"] - divergence["after"]) if divergence else None


def _regressions(index: Index, queries: Sequence[SeenQuery]) -> str:
    """The queries that lose most, with what they found before and after; by judgements where there are any."""
    measure: Callable[[SeenQuery], float | None] = (
        _gain if any(_gain(query) is not None for query in queries) else _nearer
    )
    changed = [query for query in queries if _first(query, "before") != _first(query, "after")]
    measured = [(value, query) for query in changed if (value := measure(query)) is not None and value < 0.0]
    worst = sorted(measured, key=lambda pair: pair[0])[: config.REPORTED_REGRESSIONS]
    if not worst:
        return ""
    shown = [_regression(index, value, query) for value, query in worst]
    unit = "NDCG@10" if measure is _gain else "how much farther their ranking by meaning is from the teacher"
    return f"<h2>The worst regressions</h2><p>By {unit}.</p>{''.join(shown)}"


def _regression(index: Index, value: float, query: SeenQuery) -> str:
    lists = [_first(query, side) for side in ("before", "after")]
    with index.snapshot() as snapshot:
        chunks = snapshot.chunks([chunk_id for ids in lists for chunk_id in ids])
    columns = [
        f"<div><b>{name}</b><ol>{''.join(_result(chunks.get(chunk_id)) for chunk_id in ids)}</ol></div>"
        for name, ids in zip(("before", "after"), lists, strict=True)
    ]
    return f'<h3>{value:+.4f}: {escape(query.query)}</h3><div class="pair">{"".join(columns)}</div>'


def _first(query: SeenQuery, side: str) -> list[int]:
    return list(query.figures[side]["first"][: config.REPORTED_RESULTS])


def _result(chunk: StoredChunk | None) -> str:
    if chunk is None:
        return "<li><small>no longer in the store</small></li>"
    text = textwrap.shorten(chunk.text, config.SNIPPET_CHARS, placeholder=" ...")
    return f"<li>{escape(chunk.document.title or chunk.document.uri)}<br><small>{escape(text)}</small></li>"
