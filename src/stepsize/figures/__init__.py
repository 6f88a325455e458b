"""The figures of the article that this library starts from, made by the library itself."""

from stepsize.figures.table import FIGURES as FIGURES
from stepsize.figures.table import draw_figure as draw_figure
