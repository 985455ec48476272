from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from netsmith.errors import DataError
from netsmith.tasks.source import Remote, cache_folder, locate, verify

CONTENT = b"some bytes"
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NETSMITH_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache" / name)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[str]:
    """The address of a server that has one file, ``set.bin``."""
    served = tmp_path / "served"
    served.mkdir()
    (served / "set.bin").write_bytes(CONTENT)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served)))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def put(folder: Path, name: str = "set.bin") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(CONTENT)
    return folder / name


def test_local_copy_comes_before_folders_before_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    remote = Remote(f"{home}/set.bin", MD5)
    packaged = tmp_path / "packaged"
    where = partial(locate, "toy", ("set.bin",), remote=remote, folders=(str(packaged),))
    assert where() == cache_folder("toy") / "set.bin"
    put(packaged)
    assert where() == packaged / "set.bin"
    monkeypatch.setenv("NETSMITH_DATA", str(tmp_path / "data"))
    own = put(tmp_path / "data" / "toy")
    assert where() == own


def test_downloads_once(home: str, tmp_path: Path) -> None:
    remote = Remote(f"{home}/set.bin", MD5)
    assert locate("toy", ("set.bin",), remote=remote).read_bytes() == CONTENT
    (tmp_path / "served" / "set.bin").unlink()
    assert locate("toy", ("set.bin",), remote=remote).read_bytes() == CONTENT


def test_second_name_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETSMITH_DATA", str(tmp_path))
    plain = put(tmp_path / "toy", "set")
    assert locate("toy", ("set.gz", "set")) == plain


def one_line(error: pytest.ExceptionInfo[DataError], *parts: str) -> None:
    message = str(error.value)
    assert "\n" not in message
    assert [part for part in parts if part not in message] == [], message


def test_data_folder_that_does_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tmp_path / "mising"
    monkeypatch.setenv("NETSMITH_DATA", str(missing))
    with pytest.raises(DataError) as error:
        locate("toy", ("set.bin",))
    one_line(error, f"NETSMITH_DATA is {str(missing)!r}", "not a directory", str(missing / "toy"))


def test_folder_without_the_file_is_not_mixed_with_another_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.setenv("NETSMITH_DATA", str(tmp_path))
    (tmp_path / "toy").mkdir()
    with pytest.raises(DataError) as error:
        locate("toy", ("set.gz", "set"), remote=Remote(f"{home}/set.bin", MD5))
    one_line(error, f"{tmp_path / 'toy'} has no file 'set.gz' or 'set'")


def test_nowhere_and_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError) as error:
        locate("toy", ("set.bin",), hint="; ask its authors")
    one_line(
        error, "'toy' not found: looked in NETSMITH_DATA (not set)", "folder named 'toy'", "ask its authors"
    )
    monkeypatch.setenv("NETSMITH_DATA", str(tmp_path))
    with pytest.raises(DataError, match=f"looked in {tmp_path / 'toy'}, /no/such/folder;"):
        locate("toy", ("set.bin",), folders=("/no/such/folder",))


def test_network_out_of_reach() -> None:
    # Port 9 (discard) is closed: the connection is refused at once.
    with pytest.raises(DataError) as error:
        locate("toy", ("set.bin",), remote=Remote("http://127.0.0.1:9/set.bin", MD5))
    one_line(error, "http://127.0.0.1:9/set.bin failed (ConnectionError)", "NETSMITH_DATA", "network")


def test_home_that_moved(home: str) -> None:
    with pytest.raises(DataError) as error:
        locate("toy", ("set.bin",), remote=Remote(f"{home}/gone.bin", MD5))
    one_line(error, f"{home}/gone.bin failed (HTTP status 404)")


def test_download_with_wrong_checksum_leaves_nothing(home: str) -> None:
    wrong = "md5:" + "0" * 32
    with pytest.raises(DataError) as error:
        locate("toy", ("set.bin",), remote=Remote(f"{home}/set.bin", wrong))
    one_line(error, "wrong checksum", "0" * 32, MD5.removeprefix("md5:"), "set.bin")
    assert list(cache_folder("toy").iterdir()) == []


def test_cache_that_cannot_be_written(home: str, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file where the folder should be")
    with pytest.raises(DataError) as error:
        locate("toy", ("set.bin",), remote=Remote(f"{home}/set.bin", MD5))
    one_line(error, os.strerror(20))


def test_verify(tmp_path: Path) -> None:
    path = put(tmp_path)
    verify(path, MD5)
    verify(path, "sha256:" + hashlib.sha256(CONTENT).hexdigest())
    with pytest.raises(DataError) as error:
        verify(path, "sha256:abc")
    one_line(error, str(path), "expected sha256 abc", hashlib.sha256(CONTENT).hexdigest())
