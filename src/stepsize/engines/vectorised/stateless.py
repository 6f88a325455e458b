"""Whether a model and a loss compute the same of the same tensors in every call, by what their code refers to.

A recording of their tensors cannot see their Python: a counter, an iterator, a generator of random numbers would stand
still in it. So what is recorded has to be known to have none. Modules and functions of torch have none; code of the
user has none if it writes to nothing but its own variables, and refers to nothing but such code, tensors, and values
that cannot change. Whatever else it refers to counts as a state, whether it is one or not.
"""

from __future__ import annotations

import builtins
import dis
import functools
import types
from typing import Any

import torch
from torch import nn
from torch.nn import functional

CONSTANTS = (bool, int, float, complex, str, bytes, type(None), torch.Tensor, torch.dtype, torch.device, torch.Size)
"""Kinds of values that cannot change, and tensors, whose changes are recorded."""

# fmt: off
SAFE = frozenset({
    "abs", "all", "any", "bool", "dict", "enumerate", "filter", "float", "int", "isinstance", "len", "list", "map",
    "max", "min", "range", "reversed", "round", "set", "slice", "sorted", "str", "sum", "super", "tuple", "zip",
})
"""Built-in functions that keep nothing, beside exceptions."""

LEAKS = frozenset({
    "numpy", "item", "tolist", "data_ptr", "train", "eval", "apply", "register_buffer", "register_parameter",
    "add_module",
})
"""Methods of tensors that hand their values to Python, and of modules that change them."""

STORES = frozenset({
    "STORE_GLOBAL", "DELETE_GLOBAL", "STORE_NAME", "STORE_ATTR", "DELETE_ATTR", "IMPORT_NAME", "IMPORT_FROM",
})
"""Operations of Python that write to more than a variable of the function."""

OWN_WAYS = frozenset({
    "__call__", "__getattr__", "__getattribute__", "__setattr__", "_call_impl", "_wrapped_call_impl",
})
"""Methods by which a class of modules does something else than its `forward` says."""
# fmt: on

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def is_stateless(model: nn.Module, loss: Any) -> bool:
    """Whether calling a model and a loss depends on tensors alone, and changes nothing but tensors."""
    found = [*model.modules(), *(loss.modules() if isinstance(loss, nn.Module) else ())]
    return _Reader(found).constant(model) and _Reader(found).constant(loss)


class _Reader:
    """Reads what code refers to; `modules`: any of them may be what an attribute is taken from."""

    def __init__(self, modules: list[nn.Module]) -> None:
        self._modules = modules
        self._seen: set[int] = set()

    def constant(self, value: Any) -> bool:
        """Whether a value is one that cannot change, or code that keeps nothing."""
        if isinstance(value, CONSTANTS):
            return True
        if isinstance(value, tuple | frozenset):
            return all(map(self.constant, value))
        if isinstance(value, types.ModuleType):
            return _is_trusted(value.__name__)
        if id(value) in self._seen:
            return True
        self._seen.add(id(value))
        if isinstance(value, nn.Module):
            return all(map(self._module, value.modules()))
        return self._callable(value)

    def _callable(self, value: Any) -> bool:
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.MethodType):
            return self.constant(value.__self__) and self.constant(value.__func__)
        if isinstance(value, functools.partial):
            return all(map(self.constant, (value.func, *value.args, *value.keywords.values())))
        if isinstance(value, type):
            return _is_trusted(value.__module__) or _is_safe(value.__name__, value)
        name = getattr(value, "__name__", "")
        return any(getattr(home, name, None) is value for home in (torch, functional)) or _is_safe(name, value)

    def _module(self, module: nn.Module) -> bool:
        """Whether a module keeps nothing when it is called; those in it are read by themselves."""
        own = vars(module)
        if "forward" in own or "parametrizations" in own.get("_modules", ()) or any(own.get(hook) for hook in HOOKS):
            return False
        if _is_trusted(type(module).__module__):
            return all(self.constant(value) for value in own.values() if callable(value))
        written = [
            kind for kind in type(module).__mro__ if kind not in nn.Module.__mro__ and not _is_trusted(kind.__module__)
        ]
        if any(not OWN_WAYS.isdisjoint(vars(kind)) for kind in written):
            return False
        return all(self.constant(vars(kind)["forward"]) for kind in written if "forward" in vars(kind))

    def _function(self, function: types.FunctionType) -> bool:
        """Whether a function keeps nothing, neither in itself nor in what is around it."""
        if _is_trusted(function.__module__ or ""):
            return True
        try:
            around = [cell.cell_contents for cell in function.__closure__ or ()]
        except ValueError:  # a variable that has no value yet
            return False
        defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        known = not vars(function) and all(map(self.constant, [*around, *defaults]))
        return known and self._code(function.__code__, function.__globals__)

    def _code(self, code: types.CodeType, names: dict[str, Any]) -> bool:
        """Whether all operations of a function write to its own variables, and read constants alone."""
        if not all(self._operation(each, code, names) for each in dis.get_instructions(code)):
            return False
        return all(self._code(each, names) for each in code.co_consts if isinstance(each, types.CodeType))

    def _operation(self, each: dis.Instruction, code: types.CodeType, names: dict[str, Any]) -> bool:
        if each.opname in STORES or (each.opname.endswith("_DEREF") and not each.opname.startswith("LOAD")):
            return each.opname not in STORES and each.argval not in code.co_freevars
        if each.opname in {"LOAD_GLOBAL", "LOAD_NAME"}:
            found = names.get(each.argval, vars(builtins).get(each.argval))
            return self.constant(found) if each.argval in names else _is_safe(each.argval, found)
        return ("ATTR" not in each.opname and "METHOD" not in each.opname) or self._attribute(each.argval)

    def _attribute(self, name: str) -> bool:
        """Whether what any of the modules has under a name is constant; a tensor's own attributes are."""
        if name in LEAKS or (name.startswith("__") and name != "__init__"):
            return False
        return all(self._own(module, name) for module in self._modules)

    def _own(self, module: nn.Module, name: str) -> bool:
        if name in vars(module):
            return self.constant(vars(module)[name])
        for kind in type(module).__mro__:
            if name in vars(kind) and not _is_trusted(kind.__module__):
                found = vars(kind)[name]
                parts = [found.fget] if isinstance(found, property) else [getattr(found, "__func__", found)]
                return all(map(self.constant, parts))
        return True


def _is_trusted(name: str) -> bool:
    return name.split(".", maxsplit=1)[0] in {"torch", "math"}


def _is_safe(name: str, value: Any) -> bool:
    """Whether a built-in function keeps nothing, or is an exception."""
    if getattr(builtins, name, None) is not value:
        return False
    return name in SAFE or (isinstance(value, type) and issubclass(value, Exception))
