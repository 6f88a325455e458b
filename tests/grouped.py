"""A task file of two parameter groups that have names."""

FILE = """
import torch
from stepsize import Task

x = torch.linspace(-1, 1, 96).reshape(48, 2)


def model():
    return torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))


def groups(model):
    return [{"name": "body", "params": model[0].parameters()}, {"name": "head", "params": model[2].parameters()}]


def task():
    y = x.sum(1, keepdim=True)
    return Task(model, torch.nn.functional.mse_loss, (x[:32], y[:32]), (x[32:], y[32:]), 8, steps=24, groups=groups)
"""
