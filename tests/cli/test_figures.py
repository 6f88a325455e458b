"""`stepsize figures`: what it writes, and what it refuses."""

from stepsize.figures import FIGURES


def test_it_writes_every_figure_and_says_so(stepsize, folder, monkeypatch):
    """Each is drawn as the cheapest one here; what they show is held in tests/figures."""
    for name in FIGURES:
        monkeypatch.setitem(FIGURES, name, FIGURES["decays"])
    done = stepsize("figures")
    assert done.code == 0
    assert {path.name for path in (folder / "figures").iterdir()} == {f"{name}.svg" for name in FIGURES}
    assert done.out.splitlines() == [f"Wrote figures/{name}.svg" for name in FIGURES]
    assert "drawing convex" in done.err
    assert "100%  drew" in done.err


def test_some_of_them_as_pixels_in_another_folder(stepsize, folder):
    done = stepsize("figures", "--only", "decays,cycles", "--only", "decays", "--format", "png", "--out", "a/b")
    assert done.code == 0
    assert {path.name for path in (folder / "a" / "b").iterdir()} == {"decays.png", "cycles.png"}
    assert (folder / "a" / "b" / "cycles.png").read_bytes().startswith(b"\x89PNG")


def test_a_figure_that_fails_leaves_the_old_file_whole(stepsize, folder, monkeypatch):
    stepsize("figures", "--only", "decays")
    before = (folder / "figures" / "decays.svg").read_bytes()

    def broken():
        raise RuntimeError("half drawn")

    monkeypatch.setitem(FIGURES, "decays", broken)
    done = stepsize("figures", "--only", "decays")
    assert done.code == 1
    assert "half drawn" in done.err
    assert [path.name for path in (folder / "figures").iterdir()] == ["decays.svg"]
    assert (folder / "figures" / "decays.svg").read_bytes() == before


def test_an_unknown_figure_is_refused_before_any_is_drawn(refused):
    assert "no figure is called 'cycle'. Did you mean 'cycles'?" in refused("figures", "--only", "decays,cycle")
    assert "Allowed: adam, convex" in refused("figures", "--only", "zzzz")


def test_a_folder_that_cannot_be_written_is_refused(refused, folder):
    (folder / "file").write_text("")
    assert "file/under/decays.svg: Not a directory" in refused("figures", "--only", "decays", "--out", "file/under")


def test_an_unknown_format_is_refused(stepsize, folder):
    done = stepsize("figures", "--format", "pdf")
    assert done.code == 2
    assert "'pdf' is not one of 'svg', 'png'" in done.err
