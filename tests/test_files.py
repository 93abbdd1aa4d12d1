from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from seqgpt_lab.files import atomic_stream, naming, new_directory, renewed_directory, sha256_of, write_atomically, write_json


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "record.json"
    write_atomically(target, "old")

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(target, "new")
    assert target.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["record.json"]


def test_a_link_goes_on_pointing_at_its_file(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "target").write_text("old")
    (tmp_path / "link").symlink_to("deep/target")
    (tmp_path / "dangling").symlink_to("deep/new")
    write_atomically(tmp_path / "link", "new")
    write_atomically(tmp_path / "dangling", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "dangling").is_symlink()
    assert (tmp_path / "deep" / "target").read_text() == (tmp_path / "deep" / "new").read_text() == "new"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
def test_a_replaced_file_is_open_to_whom_it_was_also_while_it_is_written(tmp_path: Path, mode: int) -> None:
    target, umask = tmp_path / "scores.json", os.umask(0o022)
    try:
        target.write_text("old")
        target.chmod(mode)
        with atomic_stream(target) as stream:
            assert os.fstat(stream.fileno()).st_mode & 0o777 == mode
            stream.write(b"new")
        assert (target.stat().st_mode & 0o777, target.read_text()) == (mode, "new")
        write_atomically(tmp_path / "other.json", "")
        assert (tmp_path / "other.json").stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(umask)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_root_leaves_a_replaced_file_to_its_owner(tmp_path: Path) -> None:
    (tmp_path / "scores.json").touch(0o600)
    os.chown(tmp_path / "scores.json", 1234, 5678)
    write_atomically(tmp_path / "scores.json", "new")
    found = (tmp_path / "scores.json").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (1234, 5678, 0o600)


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomically(pipe, "张伟")
        assert os.read(reader, 100).decode() == "张伟"
    finally:
        os.close(reader)
    assert pipe.is_fifo() and [entry.name for entry in tmp_path.iterdir()] == ["pipe"]


def test_a_device_is_written_to(tmp_path: Path) -> None:
    """A terminal's folder takes no files, so that not even root's mistake could replace the device."""
    ours, theirs = os.openpty()
    try:
        (tmp_path / "link").symlink_to(os.ttyname(theirs))
        write_atomically(tmp_path / "link", "张伟")
        assert os.read(ours, 100).decode() == "张伟"
        assert (tmp_path / "link").is_symlink() and (tmp_path / "link").is_char_device()
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_file_that_is_standard_output_is_not_taken_away_from_it(tmp_path: Path) -> None:
    # Not by its name in /dev, which root's mistake could replace.
    code = "from seqgpt_lab.files import write_atomically; print('a', flush=True); write_atomically('/proc/self/fd/1', 'b\\n'); print('c')"
    with (tmp_path / "out").open("wb") as stream:
        subprocess.run([sys.executable, "-c", code], stdout=stream, check=True)
    assert (tmp_path / "out").read_text() == "a\nb\nc\n"


def test_errors_name_the_file_that_was_asked_for(tmp_path: Path) -> None:
    for path in (tmp_path / "none" / "a.json", tmp_path / ("名" * 86)):
        with pytest.raises(OSError) as raised:
            write_atomically(path, "")
        assert raised.value.filename == str(path)
    write_atomically(tmp_path / ("名" * 85), "as long as a name may be")
    assert len(list(tmp_path.iterdir())) == 1


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def fill(folder: Path, text: str) -> None:
    for name in ("a", "config.json", "z"):
        (folder / name).write_text(text)


def test_a_renewed_folder_has_all_new_files_and_keeps_others(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "model"
    for text in ("old", "new"):
        with renewed_directory(target, last="config.json") as beside:
            fill(beside, text)
        (target / "card").write_text("kept")
    assert content(target) == {"a": "new", "config.json": "new", "z": "new", "card": "kept"}
    assert [path.name for path in target.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_folder_that_is_not_finished_leaves_the_old_one_and_nothing_beside(tmp_path: Path, error: BaseException) -> None:
    fill(tmp_path, "old")
    for target, make in ((tmp_path / "new", new_directory(tmp_path / "new")), (tmp_path, renewed_directory(tmp_path, last="config.json"))):
        with pytest.raises(type(error)) as raised, make as beside:
            fill(beside, "new")
            raise error
        assert isinstance(error, KeyboardInterrupt) or getattr(raised.value, "filename", None) == str(target)
    assert content(tmp_path) == {"a": "old", "config.json": "old", "z": "old"}
    assert not list(tmp_path.parent.glob(".*.part"))


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="needs a second disk")
def test_a_folder_on_another_disk_is_renewed_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        (tmp_path / "model").symlink_to(elsewhere)
        monkeypatch.chdir(elsewhere)
        fill(Path(elsewhere), "old")
        for target, text in ((tmp_path / "model", "new"), (Path(), "newer")):
            with renewed_directory(target, last="config.json") as beside:
                fill(beside, text)
            assert content(Path(elsewhere)) == {"a": text, "config.json": text, "z": text}
        assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_renewal_that_is_cut_off_leaves_no_mixture_that_looks_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "old")
    move = os.replace

    def cut_off(source: Path, target: Path) -> None:
        if target.name == "z":
            raise KeyboardInterrupt
        move(source, target)

    monkeypatch.setattr(os, "replace", cut_off)
    with pytest.raises(KeyboardInterrupt), renewed_directory(tmp_path, last="config.json") as beside:
        fill(beside, "new")
    assert content(tmp_path) == {"a": "new", "z": "old"}


def test_what_a_killed_process_left_beside_goes_and_what_is_at_work_stays(tmp_path: Path) -> None:
    target = tmp_path / "model"
    code = "import os, sys; from seqgpt_lab.files import new_directory; made = new_directory(sys.argv[1]); made.__enter__(); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code, str(target)]).returncode == 9
    (left,) = tmp_path.iterdir()
    with new_directory(target) as beside:
        fill(beside, "other")
        for folder in (left, beside):
            os.utime(folder, (0, 0))  # as if made long ago
        with new_directory(target) as second:
            assert beside.is_dir() and second.is_dir() and not left.exists()
            fill(second, "new")
        shutil.rmtree(target)
    assert content(target) == {"a": "other", "config.json": "other", "z": "other"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_errors_of_writing_name_what_is_written() -> None:
    with pytest.raises(OSError, match="No space left") as raised, naming("the journal"), open("/dev/full", "w") as stream:
        stream.write("x")
    assert raised.value.filename == "the journal"
    with pytest.raises(BrokenPipeError), naming("standard output"):
        raise BrokenPipeError(32, "Broken pipe")
    with pytest.raises(OSError, match="No space left") as raised:
        write_atomically("/dev/full", "x")
    assert raised.value.filename == "/dev/full"


def test_json_keeps_chinese_readable_and_survives_a_lone_surrogate(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "张伟"})
    assert "张伟" in (tmp_path / "a.json").read_text(encoding="utf-8")
    write_json(tmp_path / "b.json", {"name": "张\ud800"})
    assert json.loads((tmp_path / "b.json").read_text(encoding="utf-8")) == {"name": "张\ud800"}


def test_json_refuses_what_json_has_not(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"f1": float("nan")})
    assert not list(tmp_path.iterdir())


def test_the_fingerprint_is_the_standard_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # The one-block example of FIPS 180-4's test vectors.
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
