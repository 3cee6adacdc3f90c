"""Raise and lower the sluice gates with the two winch motors."""

import logging

log = logging.getLogger("gates")

SILL_MM = 0
FULL_MM = 1800
SLACK_TURNS = 3


class GateJammed(RuntimeError):
    """The motor draws current but the string potentiometer does not move."""


class Gate:
    def __init__(self, name, motor, height_sensor):
        self.name, self.motor, self.height = name, motor, height_sensor

    def move_to(self, target_mm, tolerance_mm=8):
        target_mm = min(max(target_mm, SILL_MM), FULL_MM)
        stuck = 0
        while abs(target_mm - self.height()) > tolerance_mm:
            before = self.height()
            self.motor.turn(1 if target_mm > before else -1)
            stuck = stuck + 1 if self.height() == before else 0
            if stuck > SLACK_TURNS:
                self.motor.release()
                raise GateJammed(f"{self.name} does not move at {before} mm")
        self.motor.release()
        log.info("%s at %d mm", self.name, self.height())


def debounce_float(samples, quorum=4):
    """The float bobs on waves: it counts as up only when `quorum` of the last five samples say so."""
    return sum(samples[-5:]) >= quorum
