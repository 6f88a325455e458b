"""The exact curve of each peer under the peer's own argument names, so that a run is ported without changing it.

One module a peer, functions with its names and defaults. Each returns a Policy that is bound already, and whose steps
are the peer's: `f(t)` is the value that update t uses, counted from 0. Where a peer is wrong (a cosine that climbs
again, a restart that a logarithm misses) the docstring says what is done here instead.

Such a policy fits any run that is as long as its curve, or longer; for one that ends before, see `stopped`.
"""

from stepsize.policies.dialects import fastai as fastai
from stepsize.policies.dialects import keras as keras
from stepsize.policies.dialects import optax as optax
from stepsize.policies.dialects import pytorch as pytorch
from stepsize.policies.dialects import timm as timm
from stepsize.policies.dialects import transformers as transformers
from stepsize.policies.dialects.shared import stopped as stopped
