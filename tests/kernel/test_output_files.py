"""One writer for every output: what a name stands for is looked at first, and an old file stays whole."""

import errno
import os
import stat

import pytest

from stepsize.kernel import output_files as files
from stepsize.kernel.errors import FormatError
from stepsize.kernel.output_files import read_limited, target, write
from stepsize.kernel.text import plain

unix = pytest.mark.skipif(os.name == "nt", reason="there are no pipes and devices with names")


def make(path, kind):
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    else:
        (path.parent / "other").write_text("a stranger's")
        path.symlink_to({"a link": "other", "a dangling link": "nowhere", "a device": "/dev/full"}[kind])


@unix
@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a link", "a dangling link", "a device"])
def test_what_is_no_file_is_left_as_it_is_and_said(tmp_path, kind):
    path = tmp_path / "out"
    make(path, kind)
    before = os.lstat(path)
    said = kind.replace("dangling ", "") if kind != "a device" else "a link to /dev/full"
    with pytest.raises(FormatError, match=f"cannot write .*out: it is {said}"):
        write(path, "ours")
    assert os.lstat(path) == before
    assert {each.name for each in tmp_path.iterdir()} <= {"out", "other"}
    assert not (tmp_path / "other").exists() or (tmp_path / "other").read_text() == "a stranger's"


@unix
def test_a_device_is_no_file():
    with pytest.raises(FormatError, match="it is a device, and no file"):
        target("/dev/full")


@pytest.mark.parametrize(("name", "said"), [("", "without a name"), ("a" * 300, "too long"), ("a\0b", "null")])
def test_a_name_that_no_file_has_is_refused_before_the_work(tmp_path, name, said):
    with pytest.raises(FormatError, match=said):
        target(name and tmp_path / name)


def test_a_file_that_is_protected_stays_and_one_that_is_private_stays_private(tmp_path):
    path = tmp_path / "kept"
    path.write_text("old")
    path.chmod(0o444)
    with pytest.raises(FormatError, match="protected from writing"):
        write(path, "new")
    path.chmod(0o600)
    write(path, "new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o600)


def test_a_name_of_255_bytes_is_written(tmp_path):
    assert write(tmp_path / ("n" * 255), "text").read_text() == "text"


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = write(tmp_path / "kept", "old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(FormatError, match=r"cannot write .*: No space left on device"):
        write(path, "new")
    assert [each.read_text() for each in tmp_path.iterdir()] == ["old"]


@unix
def test_what_is_read_is_a_file_of_at_most_so_many_bytes_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "long").write_bytes(bytes(11))
    (tmp_path / "link").symlink_to("long")
    for name in ("pipe", "long", "link", "nowhere"):
        with pytest.raises(OSError):  # noqa: PT011  (each system has its own words)
            read_limited(tmp_path / name, 10)
    assert read_limited(tmp_path / "long", 11) == bytes(11)


def test_plain_text_has_no_escapes():
    assert plain("a\x1b]0;b\x07\u202e\ud800é日\n") == "a\\x1b]0;b\\x07\\u202e\\ud800é日\n"
