"""Files that are written: what a name stands for, and the one way in which anything is written to it."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from stepsize.kernel.errors import FormatError

KINDS = {
    stat.S_IFDIR: "a folder", stat.S_IFLNK: "a link", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
}  # fmt: skip


def target(path: str | os.PathLike[str]) -> Path:
    """Return `path` as an absolute one, if a file may be written there: a new one, or in place of a regular one.

    Nothing is written through a link, into a device or a pipe, or over a file that is protected from writing.

    Raises FormatError that says what is there instead.
    """
    if not os.fspath(path):
        raise FormatError("cannot write to a file without a name; give one, such as result.json.")
    file = Path(path).absolute()
    try:
        mode = file.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return file
    except (OSError, ValueError) as error:
        raise FormatError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}.") from None
    if stat.S_IFMT(mode) in KINDS:
        more = f" to {file.readlink()}" if stat.S_ISLNK(mode) else ""
        raise FormatError(f"cannot write {path}: it is {KINDS[stat.S_IFMT(mode)]}{more}, and no file; name another.")
    if not mode & 0o222:
        raise FormatError(f"cannot write {path}: it is protected from writing (chmod u+w), or name another file.")
    return file


def write(path: str | os.PathLike[str], content: str | bytes) -> Path:
    """Write `content` to `path` atomically, text in UTF-8: a temporary file in the same folder, then one rename.

    A file that was there gives its permissions to the new one. Folders are made.

    Raises FormatError for what is no file, see `target`, and where the disk or the permissions do not allow it.
    """
    file = target(path)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=".stepsize-")
    except OSError as error:
        raise FormatError(f"cannot write {path}: {error.strerror or error}.") from None
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())  # or a crash of the machine could keep the rename and lose the content
        temporary.chmod(_permissions(file))
        temporary.replace(target(file))  # it may have become something else meanwhile
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise FormatError(f"cannot write {path}: {error.strerror or error}.") from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return Path(path)


def _permissions(file: Path) -> int:
    if file.exists():
        return stat.S_IMODE(file.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def read_limited(path: Path, most: int) -> bytes:
    """Return what a regular file of at most `most` bytes holds; OSError for anything else, which is not waited for."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(handle, "rb") as stream:
        found = os.fstat(stream.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > most:
            raise OSError(f"{path} is no file of at most {most} bytes")
        return stream.read(most)
