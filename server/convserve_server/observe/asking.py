"""How the parent of several workers asks one of them over HTTP, on loopback."""

from __future__ import annotations

import http.client


def ask(port: int, path: str, patience: float, authorization: str | None = None) -> tuple[int, str]:
    """Status and text of a page of the worker at this port. Raises OSError where there is no whole answer in time.

    ``patience``: seconds that it may be silent. Not by urllib, which would take what is asked, tokens too, to the
    proxy that the environment names.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
    try:
        connection.request("GET", path, headers={"Authorization": authorization} if authorization else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except http.client.HTTPException as error:
        # One that was killed while it told.
        raise ConnectionError(f"it broke off: {type(error).__name__}") from error
    finally:
        connection.close()
