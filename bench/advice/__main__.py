"""The table: what recommended strategies are worth, and what they cost, against an exhaustive search.

    python bench/advice [--half test] [--without-ours]

Everything is read: the truth from truth.json, the peers from peers.json, and what stepsize recommends from ours.json.
truth.py, peers.py and ours.py make them.
"""

from __future__ import annotations

import argparse

import ours
import peers
import truth
from suite import HALVES, SEEDS, half, read
from table import answers, table, truth_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--half", choices=HALVES, default="test")
    parser.add_argument("--without-ours", action="store_true")
    options = parser.parse_args()
    names = [problem.name for problem in half(options.half)]
    records = read(truth.FILE).get("problems", {})
    truths = {name: truth_of(truth.from_plain(records[name])) for name in names if "best" in records.get(name, {})}
    if not truths:
        parser.error("truth.json holds no task of this half; python bench/advice/truth.py measures them")
    rows = {}
    if not options.without_ours:
        said = {name: each for name, each in read(ours.FILE).items() if name in truths}
        if {each["code"] for each in said.values()} - {ours.fingerprint()}:
            print("ours.json is of other code than this; python bench/advice/ours.py asks again\n")
        rows |= answers(truth.from_plain(ours.kept(said)))
    found = read(peers.FILE).get("problems", {})
    rows |= answers(truth.from_plain({name: each for name, each in found.items() if name in truths}))
    print(
        f"the {options.half} half: {len(truths)} tasks, {len(truth.JUDGES)} seeds that judge, {len(SEEDS)} searches\n"
    )
    print(table(rows, truths))


if __name__ == "__main__":
    main()
