"""The stores to replay over, all but the model: it says what is right."""

from __future__ import annotations

import pytest

from tests.support import stores


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "replayed_store" in metafunc.fixturenames:
        chosen = [s for s in stores.chosen(metafunc.config.getoption("--stores")) if s.uri]
        metafunc.parametrize("replayed_store", chosen, ids=[store.name for store in chosen])
