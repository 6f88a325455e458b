"""One thread: the models of these tests are tiny, and threads that wait for each other are slow on a shared machine."""

import torch

torch.set_num_threads(1)
