"""The table: what suggested learning rates are worth, against the truth of many small tasks.

    python bench/range_test [--half test] [--without-ours]

What stepsize suggests is run now, problem by problem, into ours.json; what is there is not run again, unless the code
that suggests has changed. What the peers suggest is read from suggestions.json, which peers.py makes, and the truth
from truth.json, which truth.py makes.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from pathlib import Path

from files import read, write
from ours import WAYS, suggest_all
from peers import FILE as SUGGESTIONS
from peers import LENGTH_SEEDS, LENGTHS, short
from table import Answers, fixed, of_peers, table
from tasks import HALVES, SCHEDULES, SEEDS, Problem, half
from truth import load

from stepsize import jobs, theory

OURS = Path(__file__).with_name("ours.json")


def ours(problem: Problem) -> dict:
    """Return what stepsize suggests in each way with every seed; the ramp alone also with ramps of other lengths."""
    found = {}
    for way, budget in WAYS.items():
        each = [suggest_all(problem, SCHEDULES, seed, budget) for seed in SEEDS]
        found[way] = {"rates": by_schedule([rates for rates, _ in each]), "updates": [updates for _, updates in each]}
    ramps = {n: [suggest_all(problem, SCHEDULES, seed, None, n)[0] for seed in LENGTH_SEEDS] for n in LENGTHS}
    found[way]["lengths"] = {str(length): by_schedule(rates) for length, rates in ramps.items()}
    return found


def kept(problem: Problem) -> dict:
    """Return what stepsize suggests, from the file where this very code has been asked before."""
    found, code = read(OURS), fingerprint()
    if found.get("code") != code:
        found = {"code": code}
    if problem.name not in found:
        began = time.perf_counter()
        found[problem.name] = ours(problem)
        write(OURS, found)
        print(f"stepsize: {problem.name}, {time.perf_counter() - began:.0f} s", flush=True)
    return found[problem.name]


def fingerprint() -> str:
    """Return a hash of the code that suggests: the jobs, the theory behind them, and how they are asked here."""
    folders = [Path(package.__file__).parent for package in (jobs, theory)]
    files = [
        Path(__file__).with_name("ours.py"),
        *(path for folder in folders for path in sorted(folder.rglob("*.py"))),
    ]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def by_schedule(found: list[dict]) -> dict[str, list]:
    return {schedule: [short(rates[schedule]) for rates in found] for schedule in SCHEDULES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--half", choices=HALVES, default="test")
    parser.add_argument("--without-ours", action="store_true")
    options = parser.parse_args()
    truths, peers = load(), read(SUGGESTIONS).get("suggestions", {})
    problems = [problem for problem in half(options.half) if problem.name in truths]
    if not problems:
        parser.error("truth.json holds no problem of this half; python bench/range_test/truth.py measures them")
    rows: dict[str, dict[str, Answers]] = {}
    for problem in [] if options.without_ours else problems:
        for way, answers in kept(problem).items():
            rows.setdefault(way, {})[problem.name] = Answers(**answers)
    for problem in problems:
        for method, answers in of_peers(peers.get(problem.name, {})).items():
            rows.setdefault(method, {})[problem.name] = answers
        rows.setdefault("fixed: SGD 0.1, others 1e-3", {})[problem.name] = fixed(problem)
    print(f"the {options.half} half: {len(problems)} problems, {len(SCHEDULES)} schedules, {len(SEEDS)} seeds\n")
    print(table(rows, truths, problems))


if __name__ == "__main__":
    main()
