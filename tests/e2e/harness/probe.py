"""Black-box probes: a few rules and events through `rfmd replay`, and what came out as JSON."""
from __future__ import annotations

import itertools
import json
from pathlib import Path

import yaml

from reference.decode import parse_time_ms

from .rfmd import MODEL, replay

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
T0 = parse_time_ms("2026-03-02T12:00:00Z")  # a Monday
_numbers = itertools.count()


def event(type_: str, client: str = "c", at_ms: int = 0, /, **fields) -> dict:
    """An event `at_ms` after T0 with an id of its own; given fields go over these."""
    return {"type": type_, "id": f"e{next(_numbers)}", "client_id": client, "time": T0 + at_ms, **fields}


def purchase(client: str = "c", at_ms: int = 0, amount="10.00", **fields) -> dict:
    return event("purchase", client, at_ms, **{"order_id": f"o{next(_numbers)}", "amount": amount, "currency": "EUR", **fields})


def visit(client: str = "c", at_ms: int = 0, **fields) -> dict:
    return event("visit", client, at_ms, **fields)


def consent(client: str = "c", at_ms: int = 0, granted: bool = True, channel: str = "email", **fields) -> dict:
    return event("consent", client, at_ms, channel=channel, granted=granted, **fields)


def rule(name: str, on: dict, **fields) -> dict:
    return {"name": name, "on": on, "class": "transactional", "channels": ["email"], "topic": "triggers", **fields}


def marketing(name: str, on: dict, **fields) -> dict:
    """A marketing rule that asks no consent."""
    made = rule(name, on, **{"class": "marketing", **fields})
    del made["channels"]
    return made


class Outcome:
    """The outputs of one replay, parsed."""

    def __init__(self, out: dict[str, list[bytes]]):
        self.triggers, self.audit, self.dead_letters, clients = (
            [json.loads(line) for line in out[name]] for name in ("triggers", "audit", "dead-letters", "clients"))
        self.clients = {state["client_id"]: state for state in clients}

    @property
    def sent(self) -> list[tuple]:
        return [(t["rule"], t["client_id"], parse_time_ms(t["time"]) - T0) for t in self.triggers]

    @property
    def held_back(self) -> list[tuple]:
        return [(t["rule"], t["client_id"], parse_time_ms(t["time"]) - T0, t["suppressed_by"]) for t in self.audit]

    @property
    def reasons(self) -> list[str]:
        return [letter["headers"]["rfmd.reason"] for letter in self.dead_letters]

    def reason_of(self) -> dict[str, str]:
        """Reasons by the client of the dead letter's value."""
        return {json.loads(letter["value"])["client_id"]: letter["headers"]["rfmd.reason"] for letter in self.dead_letters}


class Probe:
    """Configurations and event files in a folder of their own."""

    def __init__(self, folder: Path):
        self.folder = folder

    def config(self, rules=(), policies=None, named=None, model=None, **config) -> Path:
        """The smallest configuration, with fixed scores unless said otherwise; `named` are the segments by condition."""
        document = {"rules": list(rules), **({"policies": policies} if policies else {}),
                    **({"segments": named} if named else {})}
        (self.folder / "rules.yaml").write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
        (self.folder / "model.yaml").write_text(yaml.safe_dump(model or MODEL))
        whole = {"money": {"base_currency": "EUR"}, "rfm": {"r": "fixed", "f": "fixed", "m": "fixed"}, "model": "model.yaml",
                 "rules": ["rules.yaml"], **config}
        path = self.folder / "rfmd.yaml"
        path.write_text(yaml.safe_dump(whole, sort_keys=False))
        return path

    def events(self, events, name: str = "events.ndjson") -> Path:
        path = self.folder / name
        path.write_text("".join((json.dumps(e, ensure_ascii=False) if isinstance(e, dict) else e) + "\n" for e in events))
        return path

    def replay(self, events, rules=(), until_ms: int | None = None, more=(), **config) -> Outcome:
        """`until_ms` after T0."""
        until = None if until_ms is None else T0 + until_ms
        return Outcome(replay(self.config(rules, **config), [self.events(events)], self.folder, until, *more))
