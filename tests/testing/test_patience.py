"""How long a test waits for an application with given timeouts."""

import math

from triows import Timeouts, Triows, WebSocket, WebSocketRoute
from triows.testing._patience import Patience

TIMEOUTS = Timeouts(
    accept=3, disconnect_grace=1, teardown=2, ping_interval=4, ping_timeout=5, send=6, close=1
)


def test_the_end_of_a_connection_takes_what_its_settings_add_up_to():
    patience = Patience.of(Triows(timeouts=TIMEOUTS), 0.0, None)
    assert patience.connection == 1 + 2 * 2 + 1
    assert patience.handshake == 3 + patience.connection
    assert patience.notice == 4 + 5
    assert patience.ending == patience.connection + 2
    assert (patience.slowness, patience.lateness) == ("", "")


def test_the_slowest_route_counts_even_in_a_mounted_application():
    route = WebSocketRoute("slow", timeouts=Timeouts(disconnect_grace=30, teardown=2))

    @route.endpoint
    async def handler(ws: WebSocket) -> None: ...

    app = Triows(timeouts=TIMEOUTS)
    app.mount("/", Triows(route, timeouts=TIMEOUTS))
    assert Patience.of(app, 0.0, None).connection == 30 + 2 * 2 + 1


def test_a_setting_without_a_limit_is_waited_for_a_minute():
    timeouts = Timeouts(disconnect_grace=math.inf, ping_interval=math.inf)
    patience = Patience.of(Triows(timeouts=timeouts), 0.0, None)
    assert (patience.connection, patience.notice) == (61, 60)


def test_a_test_may_say_how_long_it_waits():
    assert Patience.of(Triows(timeouts=TIMEOUTS), 7.0, 100).connection == 100


def test_a_slow_network_is_waited_for_and_named():
    patience = Patience.of(Triows(timeouts=TIMEOUTS), 5.5, None)
    assert patience.connection == 6 + 5.5
    assert patience.slowness.endswith(
        "takes up to 5.5 s, which is longer than Timeouts.ping_timeout (5 s), Timeouts.close (1 s)"
    )
    assert patience.lateness == (
        "the server waits 10 s for a request (Timeouts.handshake), and the test's network takes "
        "up to 2.75 s"
    )


def test_a_shutdown_may_take_the_delay_longer():
    app = Triows(timeouts=TIMEOUTS)
    patience, delayed = Patience.of(app, 0.0, None), Patience.of(app, 0.0, None, 7.0)
    assert delayed.shutdown == patience.shutdown + 7
