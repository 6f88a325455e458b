"""What the README shows goes to workers too; and what cannot go is refused before anything runs."""

import pytest

from stepsize import Task
from stepsize.execution.runner import Runner
from stepsize.execution.worker_process import pack, unpack
from stepsize.kernel.errors import TaskError
from stepsize.problems import TASKS, load_task

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("name", TASKS)
def test_a_built_in_task_is_sent_by_its_name_and_arrives_as_it_was(name):
    task = load_task(name)
    packed = pack(task)
    assert packed.source == name
    assert not packed.pickled
    assert unpack(packed).fingerprint_parts() == task.fingerprint_parts()


def local_task():
    x, y = torch.randn(16, 3), torch.zeros(16, dtype=torch.long)
    return Task(lambda: torch.nn.Linear(3, 2), torch.nn.functional.cross_entropy, (x, y), (x, y), 8, name="local")


@pytest.mark.parametrize("asked", [{"workers": 2}, {"time_limit": 60.0}, {"memory_limit": 4e9}])
def test_a_task_that_cannot_be_sent_is_refused_before_anything_runs(asked, monkeypatch):
    monkeypatch.setattr("stepsize.engines.choice.choose", lambda *_: pytest.fail("an engine was timed"))
    with pytest.raises(TaskError, match=r"'local' cannot be sent to worker processes .* use workers=1"):
        Runner(local_task(), **asked)
