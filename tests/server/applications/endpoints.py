"""The typed routes in a process."""

from __future__ import annotations

from attacked import TIMEOUTS, census_route, echo_route
from attrs import evolve
from typed import Account, routes

from triows import Route, Triows

threads = Route("threads")


# In memory, time would pass while a thread works.
@threads.post
def add(account: Account) -> Account:
    return account


app = Triows(echo_route, census_route, threads, *routes, timeouts=evolve(TIMEOUTS, receive=1))
