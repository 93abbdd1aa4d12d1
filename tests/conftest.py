"""What holds for the whole suite: which tests need a calmer machine than the rest, no proxy, and hypothesis without a clock."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, MutableMapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parent
# These start servers, browsers, kernels and workers, and hold what they do to a number of seconds. Each counts its own offspring only.
CALM = (
    ROOT / "faults",
    ROOT / "browser",
    ROOT / "apps" / "serving",
    ROOT / "reports" / "test_run_faults.py",
    ROOT / "engine" / "test_exchange.py",
)

# A shell starts background jobs with Ctrl-C ignored, nohup anything with hang-ups; so would be all that tests start and interrupt.
for _number, _usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)


def go_past_proxies(environment: MutableMapping[str, str]) -> None:
    """Reach servers on this machine directly, here and in every process started with this environment, whatever proxies it names.

    ALL_PROXY goes: one that begins with socks5:// is an error to httpx even for an address that no proxy is used for.
    """
    local = ("127.0.0.1", "localhost")
    listed = [environment[name] for name in ("no_proxy", "NO_PROXY") if environment.get(name)]
    for name in ("no_proxy", "NO_PROXY"):
        environment[name] = ",".join([*listed, *local])
    for name in ("all_proxy", "ALL_PROXY"):
        environment.pop(name, None)


go_past_proxies(os.environ)

# A deadline would fail examples for what else the machine is doing.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _denormal_numbers() -> Iterator[None]:
    """A training turns denormal numbers off for the whole process; the next test, which may draw one, has them again."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as `calm` what must not run beside as many tests as there are processors."""
    for item in items:
        if any(item.path.is_relative_to(place) for place in CALM):
            item.add_marker(pytest.mark.calm)
            # Playwright leaves an event loop running in its process, in which servers' own tests could not start theirs.
            item.add_marker(pytest.mark.xdist_group("browser" if item.path.is_relative_to(ROOT / "browser") else "others"))
