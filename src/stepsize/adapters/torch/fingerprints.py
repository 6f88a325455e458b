"""How a checkpoint knows a policy again."""

from __future__ import annotations

from stepsize.kernel.errors import SpecError
from stepsize.policies import Groups, Policy
from stepsize.results.io import dumps


def fingerprint(policy: Policy | Groups) -> str:
    """Return the text by which a checkpoint knows a policy again: its spec, or what can be told of a function."""
    try:
        return dumps(policy)
    except SpecError:
        return f"a {policy.noun} that holds a function of yours"
