"""Prints what searches left behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from vstore.config import SLOW_SHOWN
from vstore.printable import printable, snippet

if TYPE_CHECKING:
    from vstore.searches import Latency, SearchStatistics, SlowQuery


def print_searches(found: SearchStatistics) -> None:
    """Counters, a table of times by stage, and the newest slow queries."""
    click.echo(f"searches     {found.searches:,}{kinds(found.modes)}")
    click.echo(f"degraded     {found.degraded:,}")
    click.echo(f"empty        {found.empty:,}")
    click.echo(f"slow         {found.slow:,}")
    click.echo(f"errors       {sum(found.errors.values()):,}{kinds(found.errors)}")
    click.echo(f"logged       {found.logged:,} queries")
    if found.latencies:
        print_latencies(found.latencies)
    if found.slow_queries:
        click.echo("\nslow queries, newest first")
        for query in found.slow_queries[:SLOW_SHOWN]:
            print_slow(query)


def print_latencies(latencies: Sequence[Latency]) -> None:
    """One line a stage."""
    click.echo("\nmilliseconds (percentiles interpolated from a histogram)")
    click.echo(f"{'stage':12} {'searches':>10} {'p50':>10} {'p95':>10} {'p99':>10} {'at most':>10}")
    for row in latencies:
        times = " ".join(f"{value:10,.2f}" for value in (row.p50, row.p95, row.p99, row.at_most))
        click.echo(f"{row.stage:12} {row.searches:10,} {times}")


def print_slow(query: SlowQuery) -> None:
    """When, how long, what was asked, and which stages took the time."""
    moment = query.asked_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    total = query.timings["total"]
    stages = sorted(((ms, stage) for stage, ms in query.timings.items() if stage != "total"), reverse=True)
    click.echo(f"{moment} {total:8,.0f} ms  {snippet(query.text, '')}")
    click.echo(printable(f"    {', '.join(f'{stage} {ms:,.0f}' for ms, stage in stages if ms >= 1)}"))


def kinds(counts: Mapping[str, int]) -> str:
    """What a number is made of, in brackets."""
    return f" ({', '.join(f'{name} {count:,}' for name, count in counts.items())})" if counts else ""
