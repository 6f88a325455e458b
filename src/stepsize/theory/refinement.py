"""Schedule refinement: the schedule that the gradient norms of one finished run ask for.

The last-iterate bound of a convex run whose gradient norms `G[1..T]` are known has a best schedule, up to a factor
[defazio2023when, refined linear decay]:

::

    w[t] = G[t] ** -power                              power 2 for SGD and the L2 norm, 1 for Adam and the L1 norm
    eta[t] = w[t] * (w[t+1] + ... + w[T])              then divided by its largest value; the last is 0

Constant norms give linear decay to zero. Norms that fall at the beginning give a warmup, and norms that rise at the end
a faster decay, by themselves. Recorded norms are noise on a trend, so they are smoothed by a running median first.

Watch out: it is theory for convex functions, it holds for runs like the one that was recorded, and it says nothing of
the height: the peak rate has to be tuned again.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.errors import ParameterError
from stepsize.kernel.optional import need

SHARE = 0.1
"""The window of the smoothing, as a share of the run."""


def refine_schedule(norms: npt.ArrayLike, power: float = 2.0) -> Floats:
    """Return the refined schedule of a run with these gradient norms, (T,) from 1 down to 0 at the end.

    norms: `G[1..T]`, (T,), finite and above 0, smoothed if they are noisy. power: 2 or 1, or anything between.

    Raises ParameterError for fewer than two norms, and for what is no norm.

    Watch out: one norm near 0 makes all other rates small; smooth first.

    Source: [defazio2023when].

    >>> refine_schedule([1.0, 1.0, 1.0, 1.0, 1.0]).tolist()
    [1.0, 0.75, 0.5, 0.25, 0.0]
    """
    found = _checked(norms)
    if not 0 <= power < np.inf:
        raise ParameterError(f"power must be a number of at least 0 (2 for L2 norms, 1 for L1 norms), not {power!r}.")
    with np.errstate(over="ignore"):  # beside the smallest norm, one beyond all floats weighs nothing
        weights = (found / found.min()) ** -power  # the scale cancels
    left = np.concatenate([np.cumsum(weights[:0:-1])[::-1], [0.0]])
    rates = weights * left
    if not rates.any():
        raise ParameterError(
            f"gradient norms from {found.min():g} to {found.max():g} lie too far apart for weights; leave out the "
            "steps whose norms are next to nothing."
        )
    return floats(rates / rates.max())


def smooth_norms(norms: npt.ArrayLike, share: float = SHARE) -> Floats:
    """Return the running median of gradient norms, (T,), over a window of `share` of the run.

    The window has `2 * int(share * T / 2) + 1` norms. Beyond the end the norms go on mirrored, before the beginning
    the first one is held, as in the authors' code.

    Raises ParameterError for fewer than two norms, for what is no norm, and for a share outside of 0 to 1.

    >>> smooth_norms([1.0, 1.0, 9.0, 1.0, 1.0, 1.0], share=0.5).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    found = _checked(norms)
    if not 0 <= share <= 1:
        raise ParameterError(f"share must be a part of the run, from 0 to 1, not {share!r}.")
    width = 2 * int(share * len(found) / 2) + 1
    padded = np.pad(found, (0, 2 * width), mode="reflect")
    return floats(need("scipy.ndimage").median_filter(padded, size=width, mode="nearest")[: len(found)])


def resample_norms(steps: npt.ArrayLike, norms: npt.ArrayLike, at: npt.ArrayLike) -> Floats:
    """Return norms that were recorded at `steps` at the steps `at` instead, by lines between their logarithms.

    steps: rising, (points,). norms: above 0, (points,). at: (n,). Before the first and after the last, held.

    >>> resample_norms([0, 2], [1.0, 4.0], [0, 1, 2, 3]).round(6).tolist()
    [1.0, 2.0, 4.0, 4.0]
    """
    return floats(np.exp(np.interp(floats(at), floats(steps), np.log(floats(norms)))))


def _checked(norms: npt.ArrayLike) -> Floats:
    found = floats(norms)
    if found.ndim != 1 or len(found) < 2:
        raise ParameterError(f"a refinement needs the gradient norms of a run, (T,), two or more, not {found.shape}.")
    if not (np.isfinite(found).all() and (found > 0).all()):
        worst = found[~(np.isfinite(found) & (found > 0))][0]
        raise ParameterError(f"gradient norms must be finite and above 0, and one is {worst!r}; leave its step out.")
    return found
