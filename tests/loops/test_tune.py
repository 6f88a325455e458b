"""A loop that is tuned in two processes; in one, it is in tests/jobs/tune."""

import processes
import pytest
import torch


def test_two_processes_agree_and_train_bit_by_bit_as_drive_makes_them(tmp_path):
    processes.two("tune_of_two.py", tmp_path, "work")
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert one["first"] != other["first"]  # each has batches of its own
    assert one["start"] == other["start"] == pytest.approx((one["first"] + other["first"]) / 2)
    for name in ("turns", "rates", "scores", "rate"):
        assert one[name] == other[name]
    assert len(one["rates"]) > 1
    assert torch.equal(one["weights"], other["weights"])
    for each in (one, other):
        assert torch.equal(each["weights"], each["driven"])


def test_what_one_of_two_processes_finds_wrong_both_refuse(tmp_path):
    processes.two("tune_of_two.py", tmp_path, "refuse")
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert one["said"] == other["said"]
    assert "kept a finite training loss" in one["said"]
    assert one["same"] is other["same"] is True
