from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.engine.oracles import Oracle, make_oracle

OracleMaker = Callable[[int, bool], Oracle]


@pytest.fixture(scope="session")
def oracle_of(tmp_path_factory: pytest.TempPathFactory) -> OracleMaker:
    """The oracle with so many heads, and its residual taken after the LayerNorm or not: each made once a session."""
    made: dict[tuple[int, bool], Oracle] = {}

    def find(heads: int, after_norm: bool = False) -> Oracle:
        key = (heads, after_norm)
        if key not in made:
            made[key] = make_oracle(tmp_path_factory.mktemp(f"oracle{heads}"), heads=heads, after_norm=after_norm)
        return made[key]

    return find


@pytest.fixture(scope="session")
def oracle(oracle_of: OracleMaker) -> Oracle:
    """The one most tests need: 12 heads, so that ALiBi's slopes are the interleaved ones."""
    return oracle_of(12, False)
