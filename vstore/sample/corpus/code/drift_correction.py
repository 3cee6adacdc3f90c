"""Correct salinity readings for fouling between two cleanings of the probe."""


def corrected(readings, cleanings):
    """Yield (time, value). The error is taken to grow evenly from zero after one cleaning to the next.

    `readings` are (time, value); `cleanings` are (time, value before, value after), both sorted by time.
    """
    pairs = list(zip(cleanings, cleanings[1:]))
    for time, value in readings:
        for (start, _, _), (end, before, after) in pairs:
            if start <= time < end:
                share = (time - start) / (end - start)
                yield time, value - share * (before - after)
                break
        else:
            yield time, value
