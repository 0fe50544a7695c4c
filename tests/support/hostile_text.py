"""Text as an attacker would choose it, for property tests of what is written."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=300)
"""Every character that there is, control characters and lone surrogates too."""
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""On a busy machine a piece of text may take its time to be made, which says nothing of what is tested."""
