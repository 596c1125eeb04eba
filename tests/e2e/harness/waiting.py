"""Waiting for something to become true, with a deadline."""
from __future__ import annotations

import time


class Timeout(AssertionError):
    pass


def wait_for(what: str, probe, timeout_s: float = 30.0, every_s: float = 0.05, context=None):
    """Calls `probe` until it returns something true, and returns that. `context()` is added to the failure's text."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Timeout(f"waited {timeout_s:g} s for {what}" + (f"\n{context()}" if context else ""))
        time.sleep(every_s)
