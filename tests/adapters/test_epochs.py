"""The batches of a loader, epoch after epoch, from wherever a loop was."""

import itertools

import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler

from stepsize.adapters.torch.epochs import Epochs, is_iterator
from stepsize.kernel.errors import TaskError

BATCHES = 4


def shuffled(**options):
    return DataLoader(torch.arange(4 * BATCHES), 4, shuffle=True, **options)


def taken(epochs, count):
    return [batch.tolist() for batch in itertools.islice(epochs, count)]


def test_epochs_follow_each_other_as_in_two_nested_loops():
    torch.manual_seed(0)
    nested = [batch.tolist() for _ in range(3) for batch in shuffled()]
    torch.manual_seed(0)
    epochs = Epochs(shuffled())
    assert taken(epochs, 3 * BATCHES) == nested
    assert (epochs.epoch, epochs.taken) == (2, BATCHES)


@pytest.mark.parametrize("stop", [0, 1, BATCHES - 1, BATCHES, BATCHES + 1, 3 * BATCHES])
@pytest.mark.parametrize("own", [False, True], ids=["global", "own generator"])
def test_a_state_leads_to_the_very_next_batch(stop, own):
    def made():
        return Epochs(shuffled(generator=torch.Generator().manual_seed(3) if own else None))

    torch.manual_seed(0)
    epochs = made()
    taken(epochs, stop)
    state, rest, drawn = epochs.state_dict(), taken(epochs, 2 * BATCHES), torch.rand(1)
    if not stop:  # nothing was begun, so there is nothing to go back to but the generators
        torch.manual_seed(0)
    again = made()
    again.load_state_dict(state)
    assert taken(again, 2 * BATCHES) == rest
    assert torch.equal(torch.rand(1), drawn)


def test_a_loader_with_a_state_of_its_own_goes_there_by_itself():
    class Stateful:
        def __init__(self):
            self.next, self.passes = 0, 0

        def __iter__(self):
            self.passes += 1
            while self.next < BATCHES:
                self.next += 1
                yield torch.tensor(self.next)
            self.next = 0

        def state_dict(self):
            return {"next": self.next}

        def load_state_dict(self, state):
            self.next = state["next"]

    epochs = Epochs(Stateful())
    taken(epochs, BATCHES + 2)
    again = Epochs(Stateful())
    again.load_state_dict(epochs.state_dict())
    assert taken(again, 3) == [3, 4, 1]
    assert again.epoch == 2
    assert again.loader.passes == 2


def test_a_sampler_gets_the_number_of_each_epoch():
    sampler = DistributedSampler(range(16), num_replicas=2, rank=0, seed=5)
    epochs = Epochs(DataLoader(torch.arange(16), 4, sampler=sampler))
    ours = taken(epochs, 6)
    theirs = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        theirs += [batch.tolist() for batch in DataLoader(torch.arange(16), 4, sampler=sampler)]
    assert ours == theirs


@pytest.mark.parametrize(("loader", "passes"), [([], 0), (iter([torch.zeros(1)]), 1)])
def test_a_pass_without_a_batch_is_refused(loader, passes):
    with pytest.raises(TaskError, match=f"after {passes} passes over it"):
        taken(Epochs(loader), 5)


def test_an_iterator_is_known_from_what_begins_anew():
    assert is_iterator(iter([]))
    assert is_iterator(batch for batch in [])
    assert not is_iterator([])
    assert not is_iterator(shuffled())
