"""Hostile inputs by the thousand: what a file may hold, mutated, and the law that each of them is held to.

`python tests/fuzz/inputs.py 100000` tries as many, and prints those that break the law; `make fuzz` does.
"""

import json
import random
import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # for a run by itself; in a test it is there

import numpy as np
from every_kind import VALUES

from stepsize.jobs.logs.read import loss_curves, read_norms
from stepsize.jobs.race.strategy_files import read_strategies
from stepsize.kernel.errors import StepsizeError
from stepsize.kernel.spec import encode
from stepsize.results.io import dumps, loads

LONGEST, SLOWEST, LARGEST = 2000, 5.0, 2 << 30
"""Characters of an error; seconds of the processor for one input; bytes that the process may have held."""

SPECS = [dumps(value) for value in VALUES]
STRATEGIES = [
    '[[strategies]]\nrule = "AdamW"\npolicy = "one_cycle"\nlrs = [0.003, 0.01]\n',
    '{"strategies": [{"rule": {"kind": "SGD"}, "policy": "cosine", "lr": 0.1, "name": "mine"}]}',
    '[{"rule": "AdamW(weight_decay=0.1)", "policy": {"kind": "Policy", "lr": {"kind": "Constant", "level": 1}}}]',
]
STEPS = range(9, 90, 10)
LOGS = {
    ".csv": "epoch,step,lr,loss,grad_norm\n" + "".join(f"{n // 50},{n},{1 - n / 99},{9 / n:.3f},1\n" for n in STEPS),
    ".tsv": "step\tname\tvalue\n"
    + "".join(f"{n}\tlr\t0.1\n{n}\tloss\t{9 / n:.3f}\n{n}\tgrad_norm\t2\n" for n in STEPS),
    ".jsonl": "".join(f'{{"step": {n}, "lr": 0.1, "loss": {9 / n:.3f}, "grad_norm": 0.5}}\n' for n in STEPS),
}
ODD = [
    "1" + "0" * 400, "1" * 5000, "1e308", "-1e308", "5e-324", "1e400", str(2**63), "-1", "0", "NaN", "Infinity",
    "null", "true", '""', "[]", "{}", '"rest"', '"30%"', '"nan"', '"\\u0000"', '"\\ud800"', '"[/b]"',
    '"' + "x" * 9999 + '"',
    "[" * 2000,
    '{"kind": "Linear"}', '{"npy": "AAAA"}', '{"npy": ""}', '{"kind": ["Linear"]}',
]  # fmt: skip


def mutated(text, draw):
    """A text with one to three changes: bytes flipped, cut or repeated, a value replaced, or two texts spliced."""
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(text) + 1)
        to = min(len(text), at + draw.randint(1, 40))
        change = draw.randrange(6)
        if change == 0:
            text = text[:at] + chr(draw.choice([0, 10, 34, 44, 58, 92, 123, 125, 0xFFFF])) + text[at + 1 :]
        elif change == 1:
            text = text[:at] + text[to:]
        elif change == 2:
            text = text[:to] + text[at:]
        elif change == 3:
            other = draw.choice(SPECS)
            text = text[:at] + other[draw.randrange(len(other)) :]
        else:
            text = _value_replaced(text, draw)
    return text


def _value_replaced(text, draw):
    """The text with something odd in the place of what follows a colon or a comma."""
    marks = [i for i, letter in enumerate(text) if letter in ":,="]
    if not marks:
        return text
    begin = draw.choice(marks) + 1
    end = next((i for i in range(begin, len(text)) if text[i] in ",}]\n"), len(text))
    return f"{text[:begin]} {draw.choice(ODD)}{text[end:]}"


def read(text, file):
    """Read a text as whoever uses it would; what comes out survives a round trip."""
    if file is None:
        value = loads(text)
        assert encode(loads(dumps(value))) == encode(value), "it does not survive a round trip"
        return
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    if file.suffix not in LOGS:
        assert read_strategies(str(file)), "no strategy, and no error"
        return
    found, (curves, _) = read_norms(file), loss_curves(file)
    assert np.isfinite([*found.norms, *(loss for curve in curves for loss in curve.losses)]).all(), "it is no number"
    assert found.steps[-1] < found.total, "a step beyond the run"


def broken(text, file):
    """How the law is broken by a text; "" where it holds."""
    began = time.process_time()
    try:
        read(text, file)
    except StepsizeError as error:
        said = str(error)
        return f"an error of {len(said)} characters" if len(said) > LONGEST else ""
    except Exception as error:  # noqa: BLE001  (that is what is looked for)
        return f"{type(error).__name__}: {error}"[:200]
    return "it took too long" if time.process_time() - began > SLOWEST else ""


def inputs(seed, count):
    """Yield hostile texts, each with the ending of the file that it is read from, or none."""
    draw = random.Random(seed)  # noqa: S311  (nothing is hidden by it)
    for number in range(count):
        if number % 8 == 4:
            ending = draw.choice(list(LOGS))
            yield mutated(LOGS[ending], draw), ending
        elif number % 4:
            yield mutated(draw.choice(SPECS), draw), ""
        else:
            text = draw.choice(STRATEGIES)
            yield mutated(text, draw), ".toml" if text.startswith("[[") else ".json"


def fuzz(seed, count, folder):
    """Return the texts that break the law, each with how."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of an overflow, which is NumPy's word for infinity
        for text, ending in inputs(seed, count):
            how = broken(text, Path(folder) / f"input{ending}" if ending else None)
            if how:
                found.append((how, text[:500]))
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    return found, held


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        found, held = fuzz(int(sys.argv[2]) if sys.argv[2:] else 0, int(sys.argv[1]), folder)
    for how, text in found:
        sys.stdout.write(f"{how}\n  {json.dumps(text)}\n")
    sys.stdout.write(f"{len(found)} of {sys.argv[1]} inputs break the law; at most {held / 1e9:.2f} GB were held.\n")
    sys.exit(bool(found) or held > LARGEST)
