"""What a report says about a run: ratios, limits, aims. It can be made again from the file."""

from pathlib import Path

import pytest

from benchmarks import document
from benchmarks.aims import speed, thrift, verdicts
from benchmarks.results import Case, Machine, Run, Sample, load, save
from benchmarks.summary import summary
from benchmarks.table import details, held_back, number, size


def sample(count: int = 1000, **named: float) -> Sample:
    return Sample(count=count, **{"seconds": 1.0, "server": 1.0, **named})  # type: ignore[arg-type]


def case(flight: int = 8, **samples: list[Sample]) -> Case:
    parameters = {"size": 32, "flight": flight, "connections": 32}
    return Case("echo", parameters, samples)


def run(*cases: Case) -> Run:
    machine = Machine("Linux 6", "a processor", 2, "CPython 3")
    return Run(machine, ["triows", "lihil"], {"trio": "0.35"}, 3, 0.4, list(cases))


def test_the_round_that_was_disturbed_least_counts() -> None:
    asked = case(triows=[sample(900), sample(1000), sample(500)])
    assert asked.rate("triows") == 1000
    assert asked.spread("triows") == 0.9


def test_ratios_are_given_by_rate_and_by_time_on_the_core() -> None:
    asked = case(triows=[sample(2000, server=1.0)], lihil=[sample(1000, server=0.8)])
    assert speed(asked, "triows", "lihil") == 2
    assert thrift(asked, "triows", "lihil") == pytest.approx(1.6)
    table = details(run(asked), asked)
    assert "2.00" in table
    assert "1.60" in table
    assert "2.00 (1.60)" in summary(run(asked))


@pytest.mark.parametrize(
    ("shares", "limit"),
    [
        ({"server": 0.95, "client": 0.95}, "server"),
        ({"server": 0.5, "client": 0.95}, "load"),
        ({"server": 0.5, "client": 0.5, "server_waiting": 0.3}, "others"),
        ({"server": 0.5, "client": 0.5}, "kernel"),
    ],
)
def test_what_held_a_server_back_is_told(shares: dict[str, float], limit: str) -> None:
    assert held_back(sample(**shares)) == limit


def test_a_rate_that_the_server_did_not_limit_is_marked() -> None:
    asked = case(triows=[sample(2000, server=0.5, client=0.99)], lihil=[sample(1000)])
    assert "| 2 000 l | 1 000 |" in summary(run(asked))


def test_an_aim_is_held_by_the_ratio_and_not_by_the_rate() -> None:
    (held,) = verdicts(run(case(triows=[sample(1300)], lihil=[sample(1000)])))
    (missed,) = verdicts(run(case(triows=[sample(1299)], lihil=[sample(1000)])))
    assert (held.wanted, held.held) == (">= 1.3", "yes")
    assert missed.held == "no"


def test_an_aim_that_other_processes_spoilt_is_held_by_time_on_the_core() -> None:
    spoilt = sample(1000, server=0.5, server_waiting=0.5)
    (verdict,) = verdicts(run(case(triows=[spoilt], lihil=[sample(1000)])))
    assert verdict.limit == "others"
    assert verdict.held == "by core time"


def test_the_worst_echo_is_looked_for_where_the_servers_are_the_limit_and_elsewhere() -> None:
    idle = {"server": 0.5, "client": 0.5}
    verdict = verdicts(
        run(
            case(flight=2, **{"triows": [sample(3000)], "quart-trio": [sample(1000)]}),
            case(flight=3, **{"triows": [sample(4000)], "quart-trio": [sample(1000)]}),
            case(flight=4, **{"triows": [sample(2000, **idle)], "quart-trio": [sample(1000)]}),
        )
    )
    limited, other = verdict
    assert "servers limit" in limited.aim
    assert "2 in flight" in limited.aim
    assert (limited.rate, limited.held) == (3, "yes")
    assert "4 in flight" in other.aim
    assert (other.rate, other.cost, other.held, other.limit) == (2, 4, "by core time", "kernel")


def test_the_cost_of_the_framework_is_measured_by_time_on_the_core() -> None:
    samples = {"triows": [sample(1000)], "triows-typed": [sample(1000, server=1.02)]}
    (verdict,) = verdicts(run(case(**samples)))
    assert verdict.cost == pytest.approx(1.02)
    assert verdict.held == "yes"


def test_idle_memory_is_held_against_a_number() -> None:
    asked = Case("memory", {"connections": 5000})
    asked.samples["triows"] = [sample(values={"echoed": 15_001})]  # type: ignore[arg-type]
    asked.samples["triows-typed"] = [sample(values={"echoed": 19_000})]  # type: ignore[arg-type]
    engine, typed = verdicts(run(asked))
    assert (engine.wanted, engine.rate, engine.held) == ("<= 15", 15.001, "no")
    assert (typed.wanted, typed.rate, typed.held) == ("<= 20", 19, "yes")


def test_plain_requests_have_tables_of_their_own_with_the_servers_that_answer_them() -> None:
    asked = Case("requests", {"connections": 32, "pipelined": 16})
    asked.samples["lihil"] = [sample(2000)]
    page = summary(run(case(triows=[sample(1000)]), asked))
    echoes, _, requests = page.partition("**Plain requests per second.**")
    assert "| small requests, 32 x 16 |" in requests
    assert "triows" not in requests
    assert "lihil |" not in echoes


@pytest.mark.parametrize(
    ("measure", "rate", "held"),
    [
        ("typed", 1300, ["yes", "yes"]),
        ("typed", 1299, ["no", "no"]),
        ("typed_bodies", 1200, ["yes", "yes"]),
        ("typed_bodies", 1199, ["no", "no"]),
    ],
)
def test_typed_requests_are_compared_with_other_frameworks(
    measure: str, rate: int, held: list[str]
) -> None:
    fastapi = {"typed": 325, "typed_bodies": 400}[measure]
    asked = Case(measure, {"connections": 32, "pipelined": 1})
    for name, count in {"triows": rate, "lihil": 1000, "fastapi": fastapi}.items():
        asked.samples[name] = [sample(count)]
    checked = list(verdicts(run(asked)))
    assert [one.held for one in checked] == held
    assert ["lihil" in checked[0].aim, "fastapi" in checked[1].aim] == [True, True]


@pytest.mark.parametrize(("p99", "held"), [(0.002, "yes"), (0.0021, "no")])
def test_the_p99_is_compared_at_the_same_rate(p99: float, held: str) -> None:
    own = Case("request_latency", {"connections": 32})
    same = Case("request_latency", {"connections": 32, "rate": 8000})
    for asked in (own, same):
        for name, value in (("triows", p99), ("uvicorn", 0.002)):
            values = {"rate": 8000, "p50": 0.001, "p99": value}
            asked.samples[name] = [sample(values=values)]  # type: ignore[arg-type]
    (verdict,) = verdicts(run(own, same))
    assert "8 000 requests/s" in verdict.aim
    assert verdict.held == held


def test_a_failure_is_shown_in_place_of_a_rate() -> None:
    asked = case(triows=[sample()])
    asked.failures["lihil"] = "TimeoutError: nothing came back"
    assert "lihil failed: TimeoutError" in details(run(asked), asked)
    assert "| failed |" in summary(run(asked))


def test_a_run_is_read_as_it_was_kept(tmp_path: Path) -> None:
    kept = run(case(triows=[sample(values={"p50": 0.001})]))  # type: ignore[arg-type]
    save(kept, tmp_path / "deep/results.json")
    assert load(tmp_path / "deep/results.json") == kept


def test_the_page_is_renewed_between_its_markers_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{document.BEGIN}\nold\n{document.END}\nafter\n")
    monkeypatch.setattr(document, "ROOT", tmp_path)
    monkeypatch.setattr(document, "PAGE", page)
    monkeypatch.setattr(document, "PICTURE", tmp_path / "page.png")
    monkeypatch.setattr(document.plot, "draw", lambda run, path: None)
    document.renew(run(case(triows=[sample()])))
    text = page.read_text()
    assert text.startswith(f"before\n{document.BEGIN}\n")
    assert text.endswith(f"{document.END}\nafter\n")
    assert "old" not in text
    assert "1 000" in text


def test_a_page_without_markers_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text("no markers\n")
    monkeypatch.setattr(document, "PAGE", page)
    with pytest.raises(ValueError, match="needs the lines"):
        document.renew(run())
    assert page.read_text() == "no markers\n"


def test_the_page_of_the_docs_shows_the_run_that_is_kept() -> None:
    shown = document.PAGE.read_text().partition(document.BEGIN)[2].partition(document.END)[0]
    assert shown.strip() == summary(load(document.RESULTS)).strip()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1234, "0.123"), (9.5, "9.5"), (123.4, "123"), (1234, "1 230"), (123456, "123 500")],
)
def test_numbers_have_the_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("count", "text"), [(32, "32 B"), (1000, "1 kB"), (64_000, "64 kB"), (1_000_000, "1 MB")]
)
def test_sizes_are_said_as_people_say_them(count: int, text: str) -> None:
    assert size(count) == text
