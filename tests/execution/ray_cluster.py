"""`python ray_cluster.py FILE`: a race on a local Ray cluster of three nodes; a worker dies, and then a node.

In a process of its own: Ray changes signals, logging and the environment. FILE is removed once it is loaded, so that no
node can read it. Prints what a test looks at, as JSON.
"""

import json
import os
import signal
import sys
import tempfile
from contextlib import redirect_stdout, suppress
from pathlib import Path

os.environ.update(RAY_AUTH_MODE="disabled", RAY_USAGE_STATS_ENABLED="0", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0")

from ray.cluster_utils import Cluster

from stepsize import load_task
from stepsize.execution.ray_pool import RayPool
from stepsize.jobs import Runner, race
from stepsize.policies import constant
from stepsize.rules import SGD
from stepsize.strategy import Strategy

FIELD = [Strategy(SGD(), constant(rate)) for rate in (0.01, 0.02, 0.03, 0.04)]


class Watched(RayPool):
    """Notes how batches ended; kills the first worker that begins one, and then the node of the third one."""

    def watch(self, cluster, nodes, log):
        self.ends, self.killed, self.cluster, self.nodes, self.log = [], [], cluster, list(nodes), log

    def poll(self, seconds):
        found = super().poll(min(seconds, 0.05))
        self.ends += [end[1:] if end[1] == "lost" else end[1:2] for end in found]
        workers = list(dict.fromkeys(line.split()[0] for line in self.log.read_text().splitlines()))
        if workers and not self.killed:
            os.kill(int(workers[0]), signal.SIGKILL)
            self.killed.append("worker")
        if len(workers) > 2 and len(self.killed) == 1:
            (node,) = [node for node in self.nodes if int(workers[2]) in children(raylet(node))]
            kill_node(self.cluster, node)
            self.killed.append("node")
        return found


def raylet(node):
    return node.all_processes["raylet"][0].process.pid


def children(pid):
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found.append(int(path.parent.name))
    return found + [below for child in found for below in children(child)]


def kill_node(cluster, node):
    """Kill a node as a power cut does: its raylet and all its workers at once."""
    for pid in [raylet(node), *children(raylet(node))]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    cluster.remove_node(node, allow_graceful=False)


def standings(record):
    return [(s.strategy.name, s.score.mean, s.score.low, s.score.high) for s in record.standings]


def run(task, engine, steps=12, **options):
    runner = Runner(task, engine=engine, **options)
    record = race(task, FIELD, steps=steps, seeds=(0, 1, 2), runner=runner)
    return record, runner


def main(file, log):
    task, bad = load_task(f"{file}:slow"), load_task(f"{file}:raises")
    threes = sys.modules[Path(file).stem].Threes
    whole, _ = run(load_task(f"{file}:task"), threes())
    Path(file).unlink()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    pool = Watched(cluster.address)
    try:
        pool.watch(cluster, nodes, log)
        record, runner = run(task, threes(str(log)), executor=pool)
        wild = Strategy(SGD(), constant(1e9))
        failing = Runner(bad, engine=threes(), executor=pool)
        race(bad, [FIELD[0], wild], steps=12, seeds=(0,), runner=failing)
        found = {
            "same": standings(record) == standings(whole),
            "losses": bool((record.curves.losses == whole.curves.losses).all()),
            "ends": pool.ends,
            "killed": pool.killed,
            "failed": len(runner.failures),
            "executor": record.executor,
            "bad": {trial.strategy.name: reason for trial, reason in failing.failures.items()},
        }
    finally:
        pool.close()
        cluster.shutdown()
    return {**found, "left": len(children(os.getpid()))}


if __name__ == "__main__":
    with tempfile.NamedTemporaryFile() as log:
        with redirect_stdout(sys.stderr):  # Ray prints there that a worker died
            answer = main(sys.argv[1], Path(log.name))
        sys.stdout.write(json.dumps(answer))
