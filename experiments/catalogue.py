"""Every experiment by name, in the order of the page. An import and its place here make it known."""

from __future__ import annotations

from experiments import (
    adam_figure,
    decay_speed,
    edge_of_stability,
    escape,
    horizon,
    oscillation,
    rates,
    reddi,
    schedules,
    sensitivity,
    transfer,
)
from experiments.base import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    each.name: each
    for each in (
        adam_figure.IMAGES,
        adam_figure.TEXT,
        reddi.SMALL,
        reddi.LARGE,
        edge_of_stability.EXPERIMENT,
        schedules.DECAY,
        schedules.CYCLE,
        schedules.MOMENTUM,
        sensitivity.EXPERIMENT,
        oscillation.EXPERIMENT,
        escape.EXPERIMENT,
        horizon.EXPERIMENT,
        transfer.RATE,
        transfer.COOLDOWN_GROWS,
        rates.SMALL_RATE,
        rates.LARGE_RATE,
        decay_speed.QUICK_DECAY,
        decay_speed.FIXED,
    )
}
