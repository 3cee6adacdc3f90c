"""Decide which readings wake somebody up."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    name: str
    quantity: str
    limit: float
    hold_minutes: int
    wakes: tuple[str, ...]


RULES = (
    Rule("surge", "surge_cm", 40, 10, ("marit", "tomasz")),
    Rule("hot bearing", "block_temperature_c", 60, 1, ("marit",)),
    Rule("pond overflow", "pond_level_mm", 4150, 5, ("marit", "junwei")),
    Rule("silent gateway", "minutes_since_upload", 45, 0, ("tomasz",)),
)


def due(rule: Rule, history: list[float], minutes_per_value: int) -> bool:
    """True when the last `hold_minutes` of values all lie above the limit."""
    needed = max(1, rule.hold_minutes // minutes_per_value)
    return len(history) >= needed and all(value > rule.limit for value in history[-needed:])
