"""Whether CUDA works here. Where it does not, tests skip, unless REQUIRE_CUDA=1 says that it must: then they fail."""

from __future__ import annotations

import os

import pytest
from convserve_server.engine.session import choose_provider
from convserve_server.errors import EngineUnavailable


def _obstacle() -> str:
    try:
        choose_provider("cuda")
    except EngineUnavailable as error:
        return str(error)
    return ""


_OBSTACLE = _obstacle()
needs_cuda = pytest.mark.skipif(bool(_OBSTACLE) and os.environ.get("REQUIRE_CUDA") != "1", reason=_OBSTACLE)
