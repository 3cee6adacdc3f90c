"""The refinement loop: signals from use, what a store learns from them, and whether that may serve."""

from __future__ import annotations

from vstore.refine.loop import run

__all__ = ["run"]
