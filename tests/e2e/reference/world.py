"""All clients together: records in, expected states, triggers and dead letters out."""
from __future__ import annotations

from dataclasses import dataclass, field

from .decode import Refused, decode_record
from .facts import Facts
from .rules import ClientRules
from .scores import Settings


@dataclass
class World:
    settings: Settings
    rules: list[dict] = field(default_factory=list)
    clients: dict[str, ClientRules] = field(default_factory=dict)
    dead_letters: dict[tuple, tuple] = field(default_factory=dict)
    past: list = field(default_factory=list)  # clients who were erased: what they caused stays said
    erased: dict[str, tuple] = field(default_factory=dict)  # client: (time, id, remembered until)

    def record(self, topic: str, partition: int, offset: int, partitions: int, append_ms: int, key: bytes | None,
               value: bytes | None, clock_ms: int | None = None) -> None:
        """Applies one record; a bad one is expected in the dead letters under its position."""
        try:
            event = decode_record(key, value, partition, partitions, append_ms, self.settings)
        except Refused as refused:
            self.dead_letters[topic, partition, offset] = refused.reasons
            return
        clock_ms = append_ms if clock_ms is None else clock_ms
        if self._is_forgotten(event, clock_ms):
            return
        client = self.clients.get(event.client_id)
        if event.type == "erase":
            if client is not None:
                client.advance(clock_ms - 1)
                self.past.append(self.clients.pop(event.client_id))
            self.erased[event.client_id] = (event.time_ms, event.id, clock_ms + self.settings.erase_remember_ms)
            return
        if client is None:
            client = ClientRules(self.rules, self.settings, Facts(event.client_id, settings=self.settings))
            self.clients[event.client_id] = client
        client.event(event, clock_ms)

    def _is_forgotten(self, event, clock_ms: int) -> bool:
        time_ms, id_, until_ms = self.erased.get(event.client_id, (0, "", 0))
        if clock_ms >= until_ms:
            return False
        return event.time_ms < time_ms or (event.type == "erase" and event.id == id_ and event.time_ms == time_ms)

    def advance(self, until_ms: int) -> None:
        for client in self.clients.values():
            client.advance(until_ms)

    @property
    def sent(self):
        return [outcome for client in [*self.clients.values(), *self.past] for outcome in client.sent]

    @property
    def repeats(self) -> int:
        return sum(client.repeats for client in [*self.clients.values(), *self.past])
