"""The functions of all dialects by name, as a command line says them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from inspect import isfunction
from types import ModuleType

from stepsize.policies.base import Policy
from stepsize.policies.dialects import fastai, keras, optax, pytorch, timm, transformers

Function = Callable[..., Policy]


def _functions(module: ModuleType) -> Iterator[tuple[str, Function]]:
    for name, found in vars(module).items():
        own = isfunction(found) and found.__module__ == module.__name__ and not name.startswith("_")
        if own and found.__annotations__.get("return") == Policy.__name__:
            yield name, found


_ALL = [
    (module.__name__.rpartition(".")[2], name, function)
    for module in (pytorch, optax, keras, transformers, timm, fastai)
    for name, function in _functions(module)
]
_TIMES = Counter(name for _, name, _ in _ALL)

DIALECTS: dict[str, Function] = {f"{peer}.{name}": function for peer, name, function in _ALL}
"""By the name of the peer and its own, such as `timm.CosineLRScheduler`."""

SHORT: dict[str, Function] = {name: function for _, name, function in _ALL if _TIMES[name] == 1}
"""By its own name, where one peer alone has it."""
