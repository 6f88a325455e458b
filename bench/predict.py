"""Loss curves of language models predicted from three others, by each law: the error on what was not fitted.

    python bench/predict.py FOLDER [--warmup 2160]

FOLDER holds the 27 curves that were published with the multi-power law (github.com/thu-yao-01-luo/MultiPowerLaw,
loss_curve_repo): csv_25, csv_100 and csv_400, each with cosine_24000.csv and so on, columns step, lr, loss. Each law is
fitted to the three runs that the authors fit (cosine and constant over 24 000 steps, and a drop), the whole curve
after the warmup, and predicts the six others. No figure hangs on the machine.

It prints, in units of the loss, the mean absolute error of each curve and the error of its end; then what the refusal
to rank makes of the schedules of 24 000 steps.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from stepsize.jobs import loss_curves, predict
from stepsize.policies import Policy
from stepsize.results import LossCurve, Prediction
from stepsize.schedules import Table
from stepsize.theory import LAWS

SIZES = {"25": "25M", "100": "100M", "400": "400M"}
FITTED = ("cosine_24000", "constant_24000", "wsdcon_9")
HELD_OUT = ("wsd_20000_24000", "wsdld_20000_24000", "wsdcon_3", "wsdcon_18", "cosine_72000", "constant_72000")
RANKED = ("wsd_20000_24000", "wsdld_20000_24000", "cosine_24000", "constant_24000")
PAPER = {"25": (0.0038, 0.9988), "100": (0.0044, 0.9983), "400": (0.0048, 0.9978)}
"""What the paper reports of the multi-power law over its test curves: mean absolute error and R**2."""

VARIANTS = (*((name, {}) for name in LAWS), ("annealing", {"h": 999.5}))
"""The laws, and the law of annealing with its authors' lambda of .999."""


def read(folder: Path, size: str, warmup: int) -> dict[str, LossCurve]:
    found = {}
    for name in (*FITTED, *HELD_OUT):
        (curve,), _ = loss_curves(folder / f"csv_{size}" / f"{name}.csv", warmup=warmup)
        found[name] = curve
    return found


def policy(curve: LossCurve) -> Policy:
    return Policy(lr=Table(tuple(curve.rates.tolist()), len(curve.rates)))


def errors(curves: dict[str, LossCurve], law: str, fixed: dict[str, float]) -> dict[str, tuple[float, float]]:
    """Return of each held-out curve the mean absolute error, and the error at its end (predicted less real)."""
    found = predict(
        [curves[name] for name in FITTED], {name: policy(curves[name]) for name in HELD_OUT}, laws=[law],
        held_out=[curves[name] for name in HELD_OUT], skip=0.0, fixed={law: fixed},
    )  # fmt: skip
    (fit,) = found.fits
    values = [value for _, value in fit.parameters]
    missed = {}
    for name in HELD_OUT:
        curve = curves[name]
        off = LAWS[law](values, curve.rates, curve.at) - curve.losses
        missed[name] = float(np.abs(off).mean()), float(off[curve.at > 0.97 * curve.at[-1]].mean())
    return missed


def ranking(curves: dict[str, LossCurve]) -> Prediction:
    """Return the prediction from the three runs alone."""
    return predict([curves[name] for name in FITTED], {name: policy(curves[name]) for name in RANKED}, skip=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--warmup", type=int, default=2160)
    options = parser.parse_args()
    print(f"| model | law | {' | '.join(HELD_OUT)} | mean |")
    print("|---|---|" + "---|" * (len(HELD_OUT) + 1))
    for size, model in SIZES.items():
        curves = read(options.folder, size, options.warmup)
        for law, fixed in VARIANTS:
            missed = errors(curves, law, fixed)
            cells = " | ".join(f"{mae:.4f} ({end:+.4f})" for mae, end in missed.values())
            name = f"{law}, h = {fixed['h']:g}" if fixed else law
            print(f"| {model} | {name} | {cells} | {np.mean([mae for mae, _ in missed.values()]):.4f} |")
        print(f"| {model} | multi-power, as published | {' | ' * (len(HELD_OUT) - 1)} | {PAPER[size][0]:.4f} |")
    print()
    for size, model in SIZES.items():
        curves = read(options.folder, size, options.warmup)
        found = ranking(curves)
        print(f"{model}: {found.verdict}")
        for each in found.forecasts:
            real = curves[each.name].final
            spread = f"{each.final.value:.4f} ({each.final.low:.4f} to {each.final.high:.4f})"
            print(f"  {each.name:<18} predicted {spread}, real {real:.4f}{', not distinguished' * each.tied}")


if __name__ == "__main__":
    main()
