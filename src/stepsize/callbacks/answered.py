"""What a callback that tunes says of its pilot runs, whichever trainer it is of."""

from __future__ import annotations

from stepsize.kernel.errors import DriveError
from stepsize.results import Advice


class Answered:
    """A callback with an answer, once its pilot runs are over."""

    _answer: Advice | None = None
    _piloting = False

    @property
    def answer(self) -> Advice:
        """What the pilot runs found: the strategy, its rate, where the best one lies, and every run; a result to save.

        Raises DriveError until they are over.
        """
        if self._answer is None:
            raise DriveError("there is no answer before the pilot runs are over, at the beginning of the training.")
        return self._answer

    @property
    def piloting(self) -> bool:
        """Whether this is a pilot run, after which everything is put back: then neither log nor save."""
        return self._piloting
