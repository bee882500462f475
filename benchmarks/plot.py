"""The plot of the docs: small bars, one panel for each question, triows in colour."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from .peers import PEERS
from .results import Case, Run
from .table import ASKED, number, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

# The blue is from the palette of Okabe and Ito, which everybody can tell apart, whatever their
# colour vision. The other servers differ only by place and label.
OURS, PEER, INK = "#0072B2", "#B8B8B8", "#333333"

#: The echoes to show: size, messages in flight, connections.
ECHOES = ((32, 8, 32), (32, 1, 32), (1000, 8, 500), (64_000, 1, 32))


@attrs.frozen
class Panel:
    """
    One question and its answers.

    Args:
        question: What was measured.
        unit: The unit of the answers, and which direction is better.
        values: The answers, by the server's name.
    """

    question: str
    unit: str
    values: dict[str, float]


def panels(run: Run) -> list[Panel]:
    """Choose what to show of *run*."""
    chosen = [
        _panel(run, case, "messages/s")
        for size, flight, connections in ECHOES
        for case in run.of("echo", size=size, flight=flight, connections=connections)
    ]
    chosen += [_panel(run, case, "deliveries/s") for case in run.of("fanout")]
    chosen += [_panel(run, case, "connections/s") for case in run.of("handshakes")]
    chosen += [_panel(run, case, "requests/s") for name in ASKED for case in run.of(name)]
    for case in run.of("memory"):
        values = _known(run, case, "echoed", 1e-3)
        chosen.append(Panel("Idle connections", "kB of memory each, less is better", values))
    for case in run.of("latency"):
        if "rate" in case.parameters:
            question = f"Latency, {number(case.parameters['rate'])} messages/s to each server"
            values = _known(run, case, "p99", 1e3)
            chosen.append(Panel(question, "p99 in ms, less is better", values))
    for case in run.of("request_latency"):
        if "rate" in case.parameters:
            values = _known(run, case, "p99", 1e3)
            chosen.append(Panel(_capital(title(case)), "p99 in ms, less is better", values))
    return chosen


def _panel(run: Run, case: Case, unit: str) -> Panel:
    rates = {name: rate for name in run.servers if (rate := case.rate(name)) is not None}
    return Panel(_capital(title(case)), f"{unit}, more is better", rates)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _known(run: Run, case: Case, name: str, scale: float) -> dict[str, float]:
    return {
        server: value * scale
        for server in run.servers
        if (value := case.value(server, name)) is not None
    }


def draw(run: Run, path: Path) -> None:
    """Draw *run* into a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    shown = panels(run)
    if not shown:
        return
    rows = -(-len(shown) // 2)
    figure, axes = plt.subplots(
        *(rows, 2),
        figsize=(10, rows * (0.8 + 0.2 * len(run.servers))),
        squeeze=False,
        sharey=True,
    )
    for place, panel in zip(axes.flat, shown, strict=False):
        _bars(place, panel, run.servers)
    for place in axes.flat[len(shown) :]:
        place.set_visible(False)
    figure.tight_layout(h_pad=1.5, w_pad=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)


def _bars(place: Axes, panel: Panel, names: list[str]) -> None:
    ours = [name == "engine" or name.startswith("triows") for name in names]
    values = [panel.values.get(name, 0) for name in names]
    colors = [OURS if mine else PEER for mine in ours]
    place.barh(range(len(names)), values, color=colors, height=0.7)
    for row, name in enumerate(names):
        known = name in panel.values
        place.annotate(
            number(values[row]) if known else "not measured",
            (values[row], row),
            (4, 0),
            textcoords="offset points",
            va="center",
            color=INK,
            size=8,
        )
    labels = [PEERS[name].title if name in PEERS else name for name in names]
    place.set_yticks(range(len(names)), labels, size=8, color=INK)
    # The panels in the right column have no labels, because they share those of the left column.
    for label, mine in zip(place.get_yticklabels(), ours, strict=False):
        label.set_fontweight("bold" if mine else "normal")
    place.set_ylim(len(names) - 0.4, -0.6)  # so that the first is at the top
    place.set_title(f"{panel.question}\n", size=9, loc="left", color=INK, fontweight="bold")
    place.text(0, 1.03, panel.unit, transform=place.transAxes, size=8, color=INK)
    place.set_xlim(0, max([*values, 1e-9]) * 1.18)
    place.set_xticks([])
    place.tick_params(length=0)
    for side in ("top", "right", "bottom"):
        place.spines[side].set_visible(False)
    place.spines["left"].set_color("#999999")
