"""For doctests and tests alike: Keras runs on torch, and a module whose framework is missing is no doctest."""

import importlib.util
import os

os.environ.setdefault("KERAS_BACKEND", "torch")
if "PYTEST_XDIST_WORKER" in os.environ:  # as many tests as cores run at once, so a thread each is enough
    os.environ.setdefault("OMP_NUM_THREADS", "1")

FRAMEWORKS = {"fastai": "src/stepsize/adapters/fastai.py"}
collect_ignore = [module for package, module in FRAMEWORKS.items() if importlib.util.find_spec(package) is None]
