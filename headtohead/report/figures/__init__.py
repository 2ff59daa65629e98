"""Figures of a sweep, a file for each kind."""

from headtohead.report.figures.draw import Drawing
from headtohead.report.figures.style import Figure

__all__ = ["Drawing", "Figure"]
