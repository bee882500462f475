"""What lives as long as the application, in the style of unittest."""

import unittest

from tests.testing.users.on_triows.state import app
from triows import WebSocketDisconnect
from triows.testing import TestClient


class CountingTest(unittest.TestCase):
    def setUp(self):
        self.client = TestClient(app)
        self.client.__enter__()

    def tearDown(self):
        self.client.__exit__(None, None, None)
        self.assertEqual(app.state.log[0], "started")
        self.assertEqual(app.state.log[-1], "stopped")

    def count(self):
        with self.client.websocket_connect("/count") as websocket:
            websocket.send_text("next")
            return websocket.receive_json()["counter"]

    def test_counting_begins_anew_with_each_application(self):
        self.assertEqual(self.count(), 101)

    def test_connections_share_the_counter(self):
        self.assertEqual([self.count() for _ in range(3)], [101, 102, 103])

    def test_requests_share_it_too(self):
        self.assertEqual(self.client.get("/value").json(), 100)
        self.count()
        self.assertEqual(self.client.get("/value").json(), 101)

    def test_connections_at_a_time_share_it(self):
        with self.client.websocket_connect("/count") as one:
            with self.client.websocket_connect("/count") as other:
                for expected, websocket in enumerate((one, other, one), 101):
                    websocket.send_text("next")
                    self.assertEqual(websocket.receive_json(), {"counter": expected})


class LogTest(unittest.TestCase):
    def setUp(self):
        self.client = self.enterContext(TestClient(app))

    def visit(self):
        with self.client.websocket_connect("/log") as websocket:
            log = websocket.receive_json()
            with self.assertRaises(WebSocketDisconnect) as caught:
                websocket.receive_json()
            self.assertEqual(caught.exception.code, 1000)
        return log

    def test_the_state_of_the_application_can_be_written(self):
        self.assertEqual(self.visit(), ["started", "visit 1"])
        self.assertEqual(self.visit(), ["started", "visit 1", "visit 2"])

    def test_the_test_sees_it(self):
        self.visit()
        self.assertEqual(self.client.app.state.log, ["started", "visit 1"])

    def test_the_test_may_write_it(self):
        self.client.app.state.log.append("by the test")
        self.assertEqual(self.visit(), ["started", "by the test", "visit 2"])

    def test_nothing_is_left_of_an_earlier_test(self):
        self.assertEqual(self.client.app.state.log, ["started"])
