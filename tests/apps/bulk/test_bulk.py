"""`seqgpt-lab bulk`: the rows of an uninterrupted run, whatever happens in between, and plain words where it cannot go on."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import IO

import pandas
import pytest

from seqgpt_lab.apps.bulk.job import chunked
from seqgpt_lab.apps.bulk.sources import Item
from seqgpt_lab.apps.progress import ShownProgress
from seqgpt_lab.engine.requests import Completion, Request
from seqgpt_lab.errors import CapacityError, LogitsError, SeqGPTLabError, WorkerError
from tests.apps.conftest import Invoke, ScriptedEngine
from tests.full_disk import room_for

WORDS = ("bulk", "in.jsonl", "--labels", "姓名,年龄", "--batch-size", "2")
ROWS = 60


@pytest.fixture(autouse=True)
def documents(invoke: Invoke) -> None:
    """In the empty folder that `invoke` works in: most lines good, one not JSON, one with half a character, one blank."""
    write_documents(ROWS)


def write_documents(rows: int) -> None:
    texts = [f"张伟，{35 if number % 2 else 28}岁{'。' * (number % 60)}" for number in range(rows - 2)] + ["李\ud800娜", " "]
    lines = [json.dumps({"id": f"d{number % 50}", "text": text}) for number, text in enumerate(texts)]
    Path("in.jsonl").write_text("\n".join([*lines[:10], "not JSON", *lines[10:]]) + "\n")


def records(path: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def kill(run: Callable[[], object], engine: SlowEngine, parts: int, after: float) -> None:
    """Run this in a child process and kill it when it has written so many more parts and some time has passed.

    Two parts later it would stand still: on a machine that gives it all the time and us none it is not at its end before it is killed.
    """
    done = len(written())
    child = os.fork()
    if child == 0:
        os.closerange(1, 3)
        engine.batches_left = parts + 2
        run()
        os._exit(0)
    while len(written()) < done + parts:
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "the job ended by itself"
        time.sleep(0.005)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, "the job ended by itself"


def written() -> list[Path]:
    return list(Path("out.jsonl.parts").glob("part-*"))


class SlowEngine(ScriptedEngine):
    """batches_left: how many it answers before it stands still; None for all."""

    batches_left: int | None = None

    def generate(self, requests: Sequence[Request], progress: Callable[[int, int], None] | None = None) -> list[Completion]:
        if self.batches_left is not None:
            while self.batches_left == 0:
                signal.pause()
            self.batches_left -= 1
        time.sleep(0.02)
        return super().generate(requests, progress)


@pytest.fixture
def slow(scripted: ScriptedEngine, monkeypatch: pytest.MonkeyPatch) -> SlowEngine:
    engine = SlowEngine(scripted.checkpoint)
    monkeypatch.setattr("seqgpt_lab.engine.engine.Engine.load", engine.load)
    return engine


def test_one_row_a_document_in_order_failures_with_their_reason(invoke: Invoke, scripted: ScriptedEngine) -> None:
    result = invoke(*WORDS, "out.jsonl")
    found = records("out.jsonl")
    assert result.exit_code == 1 and result.stdout == "out.jsonl\n"
    assert "61 rows, 1 failed, 2 with problems" in result.stderr
    assert [row["row"] for row in found] == list(range(61))
    assert [row["id"] for row in found if row["error"] is None] == [f"d{number % 50}" for number in range(60)]
    assert found[10]["values"] is None and "not JSON" in str(found[10]["error"])
    assert found[2]["values"] == {"姓名": "张伟", "年龄": "28"}
    assert not Path("out.jsonl.parts").exists()


def test_killed_three_times_at_random_it_gives_the_same(invoke: Invoke, slow: SlowEngine) -> None:
    write_documents(160)  # 21 parts, of which the killed jobs write at most 12
    invoke(*WORDS, "whole.jsonl")
    moments = Random(0)
    for _ in range(3):
        kill(lambda: invoke(*WORDS, "out.jsonl"), slow, moments.randint(0, 2), moments.uniform(0, 0.05))
    assert not Path("out.jsonl").exists() and written()
    invoke(*WORDS, "out.jsonl")
    assert Path("out.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()


def test_what_is_done_is_not_done_again(invoke: Invoke, slow: SlowEngine) -> None:
    kill(lambda: invoke(*WORDS, "out.jsonl"), slow, 2, 0)
    (Path("out.jsonl.parts") / f"part-{40:012d}-{8:09d}.jsonl").write_text("from the future\n")  # a gap before it: not counted
    result = invoke(*WORDS, "out.jsonl")
    assert "going on after " in result.stderr and "61 rows" in result.stderr


def test_a_job_that_goes_on_says_how_much_is_left(invoke: Invoke, slow: SlowEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqgpt_lab.apps.commands.bulk.ShownProgress", partial(ShownProgress, every=0))
    Path("in.jsonl").write_text("".join(json.dumps({"id": f"d{number:02}", "text": "张伟，35岁"}) + "\n" for number in range(64)))
    kill(lambda: invoke(*WORDS, "out.jsonl"), slow, 2, 0)
    after, *lines = invoke(*WORDS, "out.jsonl").stderr.splitlines()
    left = 64 - int(after.split("going on after ")[1].split(" ")[0])
    assert left < 64 and f" 8/{left} " in lines[0] and f" 16/{left} " in lines[1]


def test_a_few_long_documents_are_a_chunk() -> None:
    items = [Item(row, f"d{row}", "字" * 60_000) for row in range(5)]
    assert [len(chunk) for chunk in chunked(items, 128)] == [2, 2, 1]


def test_parquet_has_the_same_rows(invoke: Invoke, scripted: ScriptedEngine) -> None:
    invoke(*WORDS, "out.jsonl")
    invoke(*WORDS, "out.parquet")
    frame, lines = pandas.read_parquet("out.parquet"), records("out.jsonl")
    assert list(frame["row"]) == [row["row"] for row in lines] and list(frame["id"]) == [row["id"] for row in lines]
    values = [None if one is None else {key: list(texts) for key, texts in one.items()} for one in frame["values"]]
    assert values[2] == {"姓名": ["张伟"], "年龄": ["28"]} and values[10] is None and values[60] == {"姓名": [], "年龄": []}
    assert frame["spans"][2][1] == {"label": "年龄", **lines[2]["spans"]["年龄"][0]}  # type: ignore[index]
    assert [error is not None for error in frame["error"].astype(object).where(frame["error"].notna(), None)].count(True) == 1


@pytest.mark.parametrize("error", (CapacityError, LogitsError, WorkerError))
def test_a_document_that_takes_its_batch_down_fails_alone(
    invoke: Invoke, scripted: ScriptedEngine, monkeypatch: pytest.MonkeyPatch, error: type[SeqGPTLabError]
) -> None:
    answer = ScriptedEngine.generate

    def generate(self: ScriptedEngine, requests: Sequence[Request], progress: object = None) -> list[Completion]:
        if any(len(request.prompt_ids) > 70 for request in requests):
            raise error("request 0 cannot be answered")
        return answer(self, requests)

    monkeypatch.setattr(ScriptedEngine, "generate", generate)
    invoke(*WORDS, "out.jsonl")
    failed = [row["error"] is not None for row in records("out.jsonl")]
    assert failed.count(True) > 5 and failed.count(False) > 20
    assert [row["row"] for row in records("out.jsonl")] == list(range(61))


def test_an_engine_that_fails_on_any_text_ends_the_job_and_makes_no_failures_of_the_rest(
    invoke: Invoke, scripted: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke(*WORDS, "whole.jsonl")
    answer, answered = ScriptedEngine.generate, 0

    def generate(self: ScriptedEngine, requests: Sequence[Request], progress: object = None) -> list[Completion]:
        nonlocal answered
        answered += 1
        if answered > 3:
            raise WorkerError("replica 0, rank 0 did not start")
        return answer(self, requests)

    monkeypatch.setattr(ScriptedEngine, "generate", generate)
    result = invoke(*WORDS, "out.jsonl")
    assert result.exit_code == 2 and "did not start" in result.stderr and "the same command goes on" in result.stderr
    assert len(written()) == 3 and not Path("out.jsonl").exists()
    monkeypatch.setattr(ScriptedEngine, "generate", answer)
    assert invoke(*WORDS, "out.jsonl").exit_code == 1
    assert Path("out.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()


def test_outputs_and_parts_of_others_are_left_alone(invoke: Invoke, scripted: ScriptedEngine) -> None:
    Path("out.jsonl").write_text("mine")
    assert "add --overwrite" in invoke(*WORDS, "out.jsonl").stderr and Path("out.jsonl").read_text() == "mine"
    assert invoke(*WORDS, "out.jsonl", "--overwrite").exit_code == 1 and len(records("out.jsonl")) == 61
    Path("other.jsonl.parts").mkdir()
    Path("other.jsonl.parts/job.json").write_text('{"labels": []}')
    Path("other.jsonl.parts/part-000000000000-000000001.jsonl").write_text("{}\n")
    result = invoke(*WORDS, "other.jsonl")
    assert result.exit_code == 2 and "parts of another job: input, labels, model, options differ" in result.stderr
    for name, words in (("out.csv", "must end in"), ("no/out.jsonl", "folder that exists")):
        assert words in invoke(*WORDS, name).stderr
    Path("folder").mkdir()
    assert "lies in the input folder" in invoke("bulk", "folder", "folder/out.jsonl", "--labels", "姓名").stderr


def test_the_input_is_never_the_output(invoke: Invoke, scripted: ScriptedEngine) -> None:
    Path("folder").mkdir()
    Path("folder/a.jsonl").hardlink_to("in.jsonl")
    Path("link.jsonl").symlink_to("in.jsonl")
    before = Path("in.jsonl").read_bytes()
    for source, out in [("in.jsonl", "in.jsonl"), ("in.jsonl", "link.jsonl"), ("link.jsonl", "in.jsonl"), ("folder", "in.jsonl")]:
        result = invoke("bulk", source, out, "--labels", "姓名", "--overwrite")
        assert result.exit_code == 2 and "which this command needs itself" in result.stderr, (source, out)
    assert Path("in.jsonl").read_bytes() == before and not list(Path().glob("*.parts"))


def test_an_input_among_the_parts_is_not_removed_with_them(invoke: Invoke, scripted: ScriptedEngine) -> None:
    Path("out.jsonl.parts").mkdir()
    Path("out.jsonl.parts/mine.jsonl").write_bytes(Path("in.jsonl").read_bytes())
    for source in ("out.jsonl.parts", "out.jsonl.parts/mine.jsonl"):
        result = invoke("bulk", source, "out.jsonl", "--labels", "姓名")
        assert result.exit_code == 2 and "which is removed when out.jsonl is done" in result.stderr
    assert Path("out.jsonl.parts/mine.jsonl").exists()


def test_a_refusal_leaves_nothing_behind(invoke: Invoke, random_model: Path) -> None:
    words = (*WORDS, "out.jsonl", "--model", str(random_model), "--dtype", "fp99")
    assert "unknown dtype 'fp99'" in invoke(*words).stderr and [path.name for path in Path().iterdir()] == ["in.jsonl"]
    Path("out.jsonl.parts").mkdir()
    Path("out.jsonl.parts/mine.txt").write_text("mine")
    assert invoke(*words).exit_code == 2 and [path.name for path in Path("out.jsonl.parts").iterdir()] == ["mine.txt"]


def test_an_interruption_before_the_first_row_leaves_nothing_behind(
    invoke: Invoke, scripted: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("seqgpt_lab.engine.engine.Engine.load", interrupted)
    result = invoke(*WORDS, "out.jsonl")
    assert result.exit_code == 130 and "before any row was done" in result.stderr and not Path("out.jsonl.parts").exists()


def test_a_lock_that_is_no_longer_there_keeps_nobody_out(invoke: Invoke, scripted: ScriptedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job that held it ended, and removed it, between the opening and the locking."""
    real = fcntl.flock

    def flock(lock: IO[bytes], operation: int) -> None:
        Path(lock.name).unlink()
        real(lock, operation)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", flock)
        result = invoke(*WORDS, "out.jsonl")
    assert result.exit_code == 2 and "another job is writing" in result.stderr
    assert invoke(*WORDS, "out.jsonl").exit_code == 1 and len(records("out.jsonl")) == 61


def test_a_job_that_did_no_row_stands_in_no_other_s_way(invoke: Invoke, scripted: ScriptedEngine) -> None:
    """Killed before its first row, or after some that are not the first, it leaves a folder that is begun anew."""
    Path("out.jsonl.parts").mkdir()
    Path("out.jsonl.parts/job.json").write_text('{"labels": []}')
    Path("out.jsonl.parts/part-000000000008-000000008.jsonl").write_text("not ours\n")
    result = invoke(*WORDS, "out.jsonl")
    assert "61 rows, 1 failed" in result.stderr and len(records("out.jsonl")) == 61


def test_two_jobs_do_not_write_one_output(invoke: Invoke, scripted: ScriptedEngine) -> None:
    Path("out.jsonl.parts").mkdir()
    with open("out.jsonl.parts/lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = invoke(*WORDS, "out.jsonl")
    assert result.exit_code == 2 and "another job is writing" in result.stderr and Path("out.jsonl.parts/lock").exists()


@pytest.mark.parametrize("number", (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP))
def test_a_file_system_without_locks_is_told(
    invoke: Invoke, scripted: ScriptedEngine, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(_file: object, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    result = invoke(*WORDS, "out.jsonl")
    assert result.exit_code == 2 and f"does not lock files ({os.strerror(number)})" in result.stderr
    assert not Path("out.jsonl.parts").exists()


@pytest.mark.parametrize("full", ("mkdir", "job.json"))
def test_a_disk_that_is_full_from_the_start_is_not_taken_for_another_job(
    invoke: Invoke, scripted: ScriptedEngine, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    def no_room(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if full == "mkdir":
            patch.setattr(Path, "mkdir", no_room)
        else:
            patch.setattr("seqgpt_lab.apps.bulk.parts.write_json", no_room)
        result = invoke(*WORDS, "out.jsonl")
    assert result.exit_code == 2 and "cannot write to out.jsonl.parts: No space left on device" in result.stderr
    assert invoke(*WORDS, "out.jsonl").exit_code == 1 and len(records("out.jsonl")) == 61


def test_a_kill_between_the_output_and_the_removal_of_the_parts_is_no_harm(
    invoke: Invoke, scripted: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_path: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="killed"):
        patch.setattr("seqgpt_lab.apps.bulk.parts.Parts._remove", killed)
        invoke(*WORDS, "out.jsonl")
    before = Path("out.jsonl").read_bytes()
    assert "going on after 61 rows" in invoke(*WORDS, "out.jsonl").stderr
    assert Path("out.jsonl").read_bytes() == before and not Path("out.jsonl.parts").exists()


def test_a_kill_while_the_parts_are_removed_leaves_none_of_them_to_another_job(
    invoke: Invoke, scripted: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(folder: Path) -> None:
        """A folder's files are removed in any order."""
        (folder / "job.json").unlink()
        raise RuntimeError("killed")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="killed"):
        patch.setattr("seqgpt_lab.apps.bulk.parts.shutil.rmtree", killed)
        invoke(*WORDS, "out.jsonl")
    other = ("bulk", "in.jsonl", "out.jsonl", "--labels", "公司", "--batch-size", "2")
    assert "exists" in invoke(*other).stderr
    invoke(*other, "--overwrite")
    assert len(records("out.jsonl")) == 61 and "姓名" not in Path("out.jsonl").read_text(encoding="utf-8")


def test_a_disk_without_room_is_told_and_the_job_goes_on_with_room(invoke: Invoke, scripted: ScriptedEngine) -> None:
    """The output, larger than any part, does not fit."""
    with room_for(6000):
        result = invoke(*WORDS, "out.jsonl")
    assert result.exit_code == 2 and "61 rows are safe there: make room" in result.stderr
    assert not Path("out.jsonl").exists() and not list(Path(".").glob(".*.part"))
    assert invoke(*WORDS, "out.jsonl").exit_code == 1 and len(records("out.jsonl")) == 61


@pytest.mark.full
def test_memory_stays_flat_over_many_documents(invoke: Invoke, scripted: ScriptedEngine) -> None:
    peaks = []
    for documents in (5_000, 100_000):
        with open("in.jsonl", "w", encoding="utf-8") as stream:
            stream.writelines(f'{{"text": "张伟，{number}"}}\n' for number in range(documents))
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            scripted.batches = []
            invoke("bulk", "in.jsonl", f"out-{documents}.jsonl", "--labels", "姓名", "--batch-size", "64")
            os.write(writer, str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss).encode())
            os._exit(0)
        peaks.append(int(os.read(reader, 100)))
        os.waitpid(child, 0)
        with open(f"out-{documents}.jsonl", "rb") as stream:
            assert sum(1 for _ in stream) == documents
    assert peaks[1] - peaks[0] < 20_000, f"KiB at 5,000 and at 100,000 documents: {peaks}"


@pytest.mark.full
def test_a_real_process_killed_three_times_gives_the_same(invoke: Invoke) -> None:
    command = [sys.executable, "-m", "seqgpt_lab", *WORDS]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, "whole.jsonl"], env=environment, check=False, capture_output=True)
    moments = Random(0)
    killed = 0
    while killed < 3:
        process = subprocess.Popen([*command, "out.jsonl"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        done = len(written())
        while process.poll() is None and len(written()) <= done:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.2))
        process.kill()
        killed += process.wait() == -signal.SIGKILL
    subprocess.run([*command, "out.jsonl"], env=environment, check=False, capture_output=True)
    assert Path("out.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()


@pytest.mark.full
def test_ray_gives_the_same_rows(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="pip install 'seqgpt-lab[ray]'")
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "300")
    invoke(*WORDS, "here.jsonl")
    assert invoke(*WORDS, "ray.jsonl", "--ray", "--replicas", "2").exit_code == 1
    assert Path("ray.jsonl").read_bytes() == Path("here.jsonl").read_bytes()
