"""Clients as MBG/NBD tells them, with numpy's generators: what a fit should find again is known."""
from __future__ import annotations

from pathlib import Path

import numpy as np

TRUTH = {"r": 0.8, "alpha": 400.0, "a": 0.6, "b": 2.0}  # days, long ones: two purchases are seldom on one day
DAYS, FIRST_DAYS = 6000, 1500
UNTIL = np.datetime64("2000-01-01") + DAYS - 1
SPEND = {"p": 6.0, "q": 4.0, "v": 15.0}


def purchases_csv(path: Path, clients: int, seed: int) -> Path:
    """A rate and a chance to go of their own for each client; gone after a purchase, the first included."""
    draw = np.random.default_rng(seed)
    rate = draw.gamma(TRUTH["r"], 1 / TRUTH["alpha"], clients)
    gone = draw.beta(TRUTH["a"], TRUTH["b"], clients)
    worth = SPEND["v"] / draw.gamma(SPEND["q"], 1, clients)
    time, here = draw.integers(0, FIRST_DAYS, clients) + draw.random(clients), np.arange(clients)
    lines = ["client_id,date,amount\n"]
    while len(here):
        days = np.datetime64("2000-01-01") + np.floor(time[here]).astype(int)
        amounts = worth[here] * draw.gamma(SPEND["p"], 1, len(here))
        lines += [f"c{client},{day},{amount:.2f}\n" for client, day, amount in zip(here, days, amounts)]
        here = here[draw.random(len(here)) >= gone[here]]
        time[here] += draw.exponential(1 / rate[here])
        here = here[time[here] < DAYS]
    path.write_text("".join(lines))
    return path
