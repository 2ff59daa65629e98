"""Figures of a sweep, a file for each kind."""

from headtohead.report.figures.draw import draw_all
from headtohead.report.figures.style import Figure

__all__ = ["Figure", "draw_all"]
