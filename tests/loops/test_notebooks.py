"""The notebooks of the documentation, executed as they are."""

import os
import sys
from pathlib import Path

import pytest
from patience import HUNG

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_its_cells_show_pictures(path, tmp_path, monkeypatch):
    client = pytest.importorskip("nbclient")
    notebook = pytest.importorskip("nbformat").read(path, as_version=4)
    spec = tmp_path / "kernels" / "this" / "kernel.json"
    spec.parent.mkdir(parents=True)
    launch = f'["{sys.executable}", "-W", "ignore", "-m", "ipykernel_launcher", "-f", "{{connection_file}}"]'
    spec.write_text(f'{{"argv": {launch}, "display_name": "this", "language": "python"}}', encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    kept = [cell.get("outputs") for cell in notebook.cells]
    where = {"metadata": {"path": str(tmp_path)}}
    client.NotebookClient(notebook, timeout=HUNG, kernel_name="this", resources=where).execute()
    for cell, before in zip(notebook.cells, kept, strict=True):
        shown = [kind for each in cell.get("outputs", []) for kind in each.get("data", {})]
        pictures = sum("<svg" in each.get("data", {}).get("text/html", "") for each in cell.get("outputs", []))
        assert ("text/html" in shown or "image/png" in shown) == (
            "image/png" in str(before) or "text/html" in str(before)
        )
        assert pictures == str(before).count("<svg")
