"""Predict high water at Skerrow from the harmonic constants of Brant Quay."""

import math
from datetime import datetime, timedelta, timezone

# name: (speed in degrees an hour, amplitude in metres, phase lag in degrees)
CONSTITUENTS = {
    "M2": (28.9841042, 2.214, 141.2),
    "S2": (30.0, 0.768, 186.5),
    "N2": (28.4397295, 0.421, 122.9),
    "K1": (15.0410686, 0.064, 88.0),
}
MEAN_LEVEL_M = 3.12
CREEK_DELAY = timedelta(minutes=23)  # the wave needs this long from Brant Quay to the mill
EPOCH = datetime(2020, 1, 1, tzinfo=timezone.utc)


def height_at(moment: datetime) -> float:
    """Metres above chart datum at the mill quay."""
    hours = (moment - CREEK_DELAY - EPOCH).total_seconds() / 3600
    parts = (a * math.cos(math.radians(speed * hours - lag)) for speed, a, lag in CONSTITUENTS.values())
    return MEAN_LEVEL_M + sum(parts)


def next_high_water(after: datetime, step_minutes: int = 6) -> datetime:
    """First turning point from rising to falling."""
    step = timedelta(minutes=step_minutes)
    moment = after
    while not (height_at(moment) >= height_at(moment - step) and height_at(moment) > height_at(moment + step)):
        moment += step
    return moment
