"""Real processes: Ctrl-C in the middle, what is kept, and going on from there; pipes that close."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

from stepsize import load
from stepsize.results.io import dumps

SCRIPT = Path(sys.executable).with_name("stepsize")
COMMAND = (
    SCRIPT, "advise", "../tiny.py", "--steps", "400", "--budget", "22", "--rules", "SGD,AdamW", "--policies",
    "constant,cosine,one_cycle", "--save", "advice.json",
)  # fmt: skip


def numbers(path):
    def without(value):
        if isinstance(value, dict):
            return {key: without(each) for key, each in value.items() if key != "seconds"}
        return [without(each) for each in value] if isinstance(value, list) else value

    return without(json.loads(dumps(load(path))))


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_an_interrupted_advise_says_what_it_keeps_and_goes_on_from_there(folder, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with subprocess.Popen(COMMAND, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if re.match(r" *[3-9]0%", line):
                process.send_signal(signal.SIGINT)
                break
        out, err = process.communicate()
    assert process.returncode == 130, err
    assert "recommendation" in out or "nothing has learned" in out  # the answer so far
    assert "Traceback" not in err
    assert "finished trials are kept in .stepsize" in err
    assert "the same command goes on" in err
    kept = files(folder)
    assert "advice.json" not in kept
    assert any(name.startswith(".stepsize/advise-") for name in kept)

    again = subprocess.run(COMMAND, check=True, capture_output=True, text=True)
    assert "Traceback" not in again.stderr
    assert {name for name in files(folder) if not name.startswith(".stepsize")} == {"advice.json"}
    resumed = numbers("advice.json")
    subprocess.run(COMMAND, check=True, capture_output=True)
    assert numbers("advice.json") == resumed


def test_wrong_input_exits_with_2_and_one_line(folder):
    done = subprocess.run([SCRIPT, "advise", "digist"], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: no task is called 'digist'")
    assert done.stderr.count("\n") == 1
    assert files(folder) == set()


def test_a_reader_that_goes_away_is_no_error(folder):
    with subprocess.Popen(
        [SCRIPT, "show", "cosine", "--table", "--steps", "200000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline().startswith("step")
        process.stdout.close()
        err = process.stderr.read()
    assert "Traceback" not in err
    assert "BrokenPipe" not in err


def test_without_torch_show_and_list_still_answer(folder):
    code = (
        "import sys\nsys.modules['torch'] = None\n"
        "sys.argv = ['stepsize', 'show', 'cosine', '--table', '--steps', '3']\n"
        "from stepsize.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4


def test_the_version_is_said_without_numpy(folder):
    code = (
        "import sys\nsys.modules['numpy'] = sys.modules['rich'] = None\n"
        "sys.argv = ['stepsize', '--version']\n"
        "from stepsize.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("stepsize, version ")
