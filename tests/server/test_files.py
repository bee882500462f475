"""Files that are sent as bodies."""

from __future__ import annotations

import os

import pytest

from triows._server.files import OpenFile
from triows._transports.wire import CHUNK


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


async def test_a_small_file_is_read_at_once(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"hello")
    file = await OpenFile.open(str(path))
    assert (file.size, file.content) == (5, b"hello")
    file.close()
    assert not is_open(file.descriptor)


async def test_a_large_file_is_read_in_parts(tmp_path):
    path = tmp_path / "file"
    content = os.urandom(2 * CHUNK + 5)
    path.write_bytes(content)
    file = await OpenFile.open(str(path))
    assert (file.size, file.content) == (len(content), None)
    parts = [await file.read(offset, len(content) - offset) for offset in (0, CHUNK, 2 * CHUNK)]
    assert [len(part) for part in parts] == [CHUNK, CHUNK, 5]
    assert b"".join(parts) == content
    file.close()


async def test_what_is_written_to_a_file_meanwhile_is_not_read(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(CHUNK + 5))
    file = await OpenFile.open(str(path))
    with path.open("ab") as more:
        more.write(bytes(CHUNK))
    assert len(await file.read(CHUNK, file.size - CHUNK)) == 5
    file.close()


async def test_a_file_that_has_become_shorter_can_not_be_read_on(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(2 * CHUNK))
    file = await OpenFile.open(str(path))
    os.truncate(path, CHUNK)
    with pytest.raises(OSError, match="shorter"):
        await file.read(CHUNK // 2, CHUNK)
    file.close()


@pytest.mark.parametrize("kind", ["a folder", "a FIFO", "a device"])
async def test_what_is_not_a_regular_file_is_refused_and_closed(tmp_path, kind):
    path = tmp_path / "file"
    if kind == "a folder":
        path.mkdir()
    elif kind == "a FIFO":
        os.mkfifo(path)
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="isn't a regular file"):
        await OpenFile.open("/dev/zero" if kind == "a device" else str(path))
    assert set(os.listdir("/proc/self/fd")) <= before


async def test_a_file_that_is_missing_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        await OpenFile.open(str(tmp_path / "missing"))
