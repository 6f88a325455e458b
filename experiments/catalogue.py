"""Every experiment by name, in the order of the page. An import and its place here make it known."""

from __future__ import annotations

from experiments import (
    adam_correction,
    adam_figure,
    adam_networks,
    decay_speed,
    edge_of_stability,
    escape,
    horizon,
    hyperparameters,
    one_size,
    oscillation,
    rates,
    reddi,
    saddle,
    schedules,
    sensitivity,
    super_convergence,
    transfer,
)
from experiments.base import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    each.name: each
    for each in (
        adam_figure.IMAGES,
        adam_figure.TEXT,
        adam_networks.PERCEPTRON,
        adam_networks.CONVOLUTION,
        adam_correction.EXPERIMENT,
        reddi.SMALL,
        reddi.LARGE,
        edge_of_stability.EXPERIMENT,
        schedules.DECAY,
        schedules.CYCLE,
        schedules.MOMENTUM,
        hyperparameters.DECAYS_HANG,
        hyperparameters.ONE_CYCLE_HANGS,
        super_convergence.EXPERIMENT,
        sensitivity.EXPERIMENT,
        oscillation.EXPERIMENT,
        escape.EXPERIMENT,
        saddle.EXPERIMENT,
        horizon.EXPERIMENT,
        transfer.RATE,
        transfer.COOLDOWN_GROWS,
        rates.SMALL_RATE,
        rates.LARGE_RATE,
        decay_speed.QUICK_DECAY,
        decay_speed.FIXED,
        one_size.EXPERIMENT,
    )
}
