"""Figures of a sweep, a file for each kind."""

from results.figures.draw import draw_all
from results.figures.style import Figure

__all__ = ["Figure", "draw_all"]
