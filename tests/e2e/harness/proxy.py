"""A proxy in front of a server, for bad weather on the network: delays, little bandwidth, cuts in mid-stream, streams of which
one direction has ended or goes nowhere, connections that are never answered or come through in another order."""
from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from dataclasses import dataclass, field

from .process import free_port

PIECE = 16 * 1024


@dataclass(eq=False)
class Pair:
    """A client's connection and the one to the server. Directions: 0 to the server, 1 to the client."""

    writers: list = field(default_factory=lambda: [None, None])
    swallowed: list = field(default_factory=lambda: [False, False])
    cut_after: int | None = None  # bytes that are still let through
    awaited: dict = field(default_factory=dict)

    def abort(self) -> None:
        for writer in self.writers:
            if writer is None:
                continue
            raw = writer.get_extra_info("socket")
            if raw is not None and raw.fileno() >= 0:  # a reset, not an end
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class Proxy:
    """Passes everything on until told otherwise; its methods and fields are for any thread."""

    def __init__(self, seed: int = 1):
        self.port, self.target = free_port(), None
        self.delay_s, self.bytes_per_s, self.hold_s, self.black_hole = 0.0, None, 0.0, False
        self.upward_bytes_per_s = None  # to the server alone
        self.accepted, self.passed_bytes = 0, 0
        self._rng, self._pairs = random.Random(seed), set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server = None

    def start(self, target: int | str) -> "Proxy":
        """In front of a loopback port."""
        self.target = target
        self._thread.start()
        self._server = self._ask(asyncio.start_server(self._accept, "127.0.0.1", self.port))
        return self

    def stop(self) -> None:
        if self._server is None:
            return
        self._ask(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    async def _close(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ask(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    # -- weather

    def calm(self) -> None:
        """Nothing more happens; streams that lead nowhere are cut, as some day a keep-alive would."""
        self.delay_s, self.bytes_per_s, self.hold_s, self.black_hole = 0.0, None, 0.0, False
        self._each(lambda pair: pair.abort() if any(pair.swallowed) or None in pair.writers else None)

    def cut(self, share: float = 1.0) -> None:
        self._each(lambda pair: pair.abort() if self._rng.random() < share else None)

    def cut_in_the_middle(self, share: float = 1.0) -> None:
        """Some bytes more, then a reset: in the middle of a request or of a reply."""
        self._each(lambda pair: setattr(pair, "cut_after", self._rng.randrange(1, 2000)) if self._rng.random() < share else None)

    def swallow(self, share: float = 1.0) -> None:
        """One direction leads nowhere from now on, though both ends stay open."""
        self._each(lambda pair: pair.swallowed.__setitem__(self._rng.randrange(2), True) if self._rng.random() < share else None)

    def half_close(self, share: float = 1.0) -> None:
        """One side hears that the other has ended; the other may still speak."""
        def end(pair: Pair) -> None:
            writer = pair.writers[self._rng.randrange(2)]
            if writer is not None and self._rng.random() < share and not writer.is_closing():
                pair.swallowed[pair.writers.index(writer)] = True
                writer.write_eof()
        self._each(end)

    def _each(self, act) -> None:
        self._loop.call_soon_threadsafe(lambda: [act(pair) for pair in list(self._pairs)])

    # -- what passes

    async def _accept(self, reader, writer) -> None:
        self.accepted += 1
        pair = Pair()
        pair.writers[1] = writer
        self._pairs.add(pair)
        try:
            if self.hold_s:
                await asyncio.sleep(self._rng.random() * self.hold_s)
            while self.black_hole:
                await asyncio.sleep(0.05)
            server_reader, pair.writers[0] = await asyncio.open_connection("127.0.0.1", self.target)
            await asyncio.gather(self._pump(pair, 0, reader), self._pump(pair, 1, server_reader))
        except OSError:
            pass
        finally:
            self._pairs.discard(pair)
            pair.abort()

    async def _pump(self, pair: Pair, direction: int, reader) -> None:
        writer = pair.writers[direction]
        while data := await reader.read(PIECE):
            if self.delay_s:
                await asyncio.sleep(self.delay_s * self._rng.random())
            if self.bytes_per_s:
                await asyncio.sleep(len(data) / self.bytes_per_s)
            if self.upward_bytes_per_s and direction == 0:
                await asyncio.sleep(len(data) / self.upward_bytes_per_s)
            if pair.swallowed[direction]:
                continue
            if pair.cut_after is not None:
                data, pair.cut_after = data[:pair.cut_after], pair.cut_after - len(data)
            writer.write(data)
            self.passed_bytes += len(data)
            await writer.drain()
            if pair.cut_after is not None and pair.cut_after <= 0:
                pair.abort()
                return
        if not pair.swallowed[direction] and not writer.is_closing():
            writer.write_eof()


# Kafka's requests that rfmd makes.
APIS = {"Produce": 0, "Fetch": 1, "ListOffsets": 2, "OffsetCommit": 8, "OffsetFetch": 9, "FindCoordinator": 10, "JoinGroup": 11,
        "Heartbeat": 12, "SyncGroup": 14, "InitProducerId": 22, "AddPartitionsToTxn": 24, "AddOffsetsToTxn": 25, "EndTxn": 26,
        "TxnOffsetCommit": 28}
# Of replies that begin with throttle time and error: from and to which versions the fields are these, what follows, and whether
# tagged fields may (none do).
SIMPLE = {"JoinGroup": (2, 5, struct.pack(">ihhhi", -1, 0, 0, 0, 0), False), "Heartbeat": (1, 3, b"", False),
          "SyncGroup": (1, 3, struct.pack(">i", 0), False), "InitProducerId": (2, 5, struct.pack(">qh", -1, -1), True),
          "AddOffsetsToTxn": (0, 2, b"", False), "EndTxn": (0, 2, b"", False)}


class KafkaProxy(Proxy):
    """Knows requests by their kind: the next ones of a kind are lost, or their replies are, or they are answered with an error
    without having been passed on."""

    def __init__(self, seed: int = 1):
        super().__init__(seed)
        self.befalls: dict[str, list] = {}  # by kind: "request", "reply" or an error's code, each used once
        self.seen: dict[str, int] = {}      # requests by kind
        self.versions: dict[str, int] = {}
        self.used: list = []
        self._names = {key: name for name, key in APIS.items()}

    async def _pump(self, pair: Pair, direction: int, reader) -> None:
        try:
            while True:
                (length,) = struct.unpack(">i", await reader.readexactly(4))
                frame = await reader.readexactly(length)
                if self.delay_s:
                    await asyncio.sleep(self.delay_s * self._rng.random())
                passed = self._request(pair, frame) if direction == 0 else self._reply(pair, frame)
                if passed is None:
                    pair.abort()
                    return
                if passed:
                    pair.writers[direction].write(struct.pack(">i", length) + frame)
                    await pair.writers[direction].drain()
        except asyncio.IncompleteReadError:
            pair.abort()

    def _request(self, pair: Pair, frame: bytes) -> bool | None:
        """Whether it is passed on; None: the connection breaks."""
        key, version, correlation = struct.unpack(">hhi", frame[:8])
        name = self._names.get(key)
        if name is None:
            return True
        self.seen[name] = self.seen.get(name, 0) + 1
        self.versions[name] = version
        if not self.befalls.get(name):
            return True
        what = self.befalls[name].pop(0)
        self.used.append((name, what))
        if what == "request":
            return None
        if what == "reply":
            pair.awaited[correlation] = name
            return True
        least, most, rest, tagged = SIMPLE[name]
        assert least <= version <= most, f"{name} has version {version}"
        tags = bytes(tagged)
        reply = struct.pack(">i", correlation) + tags + struct.pack(">ih", 0, what) + rest + tags
        pair.writers[1].write(struct.pack(">i", len(reply)) + reply)
        return False

    def _reply(self, pair: Pair, frame: bytes) -> bool | None:
        (correlation,) = struct.unpack(">i", frame[:4])
        return None if pair.awaited.pop(correlation, None) else True


class Weather(threading.Thread):
    """One thing after the other befalls one proxy after the other, by seed, until told to end."""

    KINDS = ("cut", "middle", "swallow", "half", "delay", "narrow", "hole", "order")

    def __init__(self, proxies: list[Proxy], seed: int, pause_s: tuple = (0.1, 0.6)):
        super().__init__(daemon=True)
        self.proxies, self.seed, self.pause_s, self.journal = proxies, seed, pause_s, []
        self._end = threading.Event()

    def run(self) -> None:
        rng = random.Random(self.seed)
        while not self._end.wait(rng.uniform(*self.pause_s)):
            proxy, kind, share = rng.choice(self.proxies), rng.choice(self.KINDS), rng.choice((0.3, 0.6, 1.0))
            self.journal.append(f"{self.proxies.index(proxy)} {kind} {share}")
            getattr(self, "_" + kind)(proxy, share, rng)
        for proxy in self.proxies:
            proxy.calm()

    def end(self) -> None:
        self._end.set()
        self.join(20)

    def _for_a_while(self, proxy: Proxy, name: str, value, rng: random.Random) -> None:
        before = getattr(proxy, name)
        setattr(proxy, name, value)
        self._end.wait(rng.uniform(0.3, 1.5))
        setattr(proxy, name, before)

    def _cut(self, proxy, share, rng):
        proxy.cut(share)

    def _middle(self, proxy, share, rng):
        proxy.cut_in_the_middle(share)

    def _swallow(self, proxy, share, rng):
        proxy.swallow(share)

    def _half(self, proxy, share, rng):
        proxy.half_close(share)

    def _delay(self, proxy, share, rng):
        self._for_a_while(proxy, "delay_s", 0.2 * share, rng)

    def _narrow(self, proxy, share, rng):
        self._for_a_while(proxy, "bytes_per_s", 100_000 * share, rng)

    def _hole(self, proxy, share, rng):
        """Who is connected is cut, and nobody gets through for a while."""
        proxy.black_hole = True
        proxy.cut(share)
        self._for_a_while(proxy, "black_hole", True, rng)
        proxy.black_hole = False

    def _order(self, proxy, share, rng):
        """Who is cut comes back in another order."""
        proxy.cut(share)
        self._for_a_while(proxy, "hold_s", 0.5, rng)
