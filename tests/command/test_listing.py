"""
The table of routes.

What it shows of an application that is imported: tests/test_cli.py.
"""

from __future__ import annotations

from triows import ResourceInfo, RouteInfo, Triows
from triows._command.listing import table


def test_a_route_for_requests_is_listed_with_its_method():
    route = RouteInfo(
        path="/users",
        method="GET",
        name="read",
        handler="/app.py:5 (read)",
        doc="",
        parameters=(),
        resources=(ResourceInfo("session", "connection", ""), ResourceInfo("pool", "app", "")),
        url_path_for=Triows().url_path_for,
    )
    assert [" ".join(line.split()) for line in table([route], [])] == [
        "METHOD PATH HANDLER PARAMETERS RESULTS RESOURCES",
        "GET /users /app.py:5 (read) session",
        "pool (application)",
    ]
