"""Intervals with open and closed ends."""

from intervals.interval import Closed, Interval, merge

__all__ = ["Closed", "Interval", "merge"]
