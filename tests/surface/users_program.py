"""A program as a user writes it, with the README's lines: `make types` holds it to strict rules; nothing runs it."""

import torch

import stepsize
from stepsize.policies import one_cycle


def program() -> None:
    policy = stepsize.load("advice.json").policy
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in stepsize.drive(optimizer, policy, steps=100):
        optimizer.zero_grad()
        loss = model(torch.ones(4, 3)).square().mean()
        loss.backward()
        optimizer.step()

    task = stepsize.load_task("digits")
    answer = stepsize.advise(task, budget=1)
    answer.code("torch", native=True).upper()
    strategy = stepsize.Strategy.of("AdamW", "one_cycle", 0.01)
    result = stepsize.race(task, [strategy, answer.strategy], seeds=(0, 1))
    result.best.name.upper()
    stepsize.save(result, "race.json")
    stepsize.write_report("page.html", result)
    stepsize.as_lr_scheduler(optimizer, one_cycle(0.01, curve="linear").over(100)).step()
    one_cycle(0.01, curve="cosin")  # type: ignore[arg-type]  # and this is refused before anything runs
    for _ in stepsize.tune(model, optimizer, [torch.ones(4, 3)], policy="one_cycle", steps=100):
        pass
