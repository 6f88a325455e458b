"""For doctests and tests alike: Keras runs on torch, and a module whose framework is missing is no doctest."""

import importlib.util
import os

os.environ.setdefault("KERAS_BACKEND", "torch")

FRAMEWORKS = {"fastai": "src/stepsize/adapters/fastai.py"}
collect_ignore = [module for package, module in FRAMEWORKS.items() if importlib.util.find_spec(package) is None]
