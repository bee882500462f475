from __future__ import annotations

import json

from trials.compliance.verdict import Case, read_reports, table, wrong


def case(number="1.1.1", behavior="OK", close="OK"):
    return Case(number, behavior, close)


def test_reports_are_read_in_the_order_of_the_cases(tmp_path):
    ok = {"behavior": "OK", "behaviorClose": "OK"}
    index = {"named": {"10.1.1": ok, "9.2.1": ok}, "nameless": {"9.10.1": ok}}
    (tmp_path / "index.json").write_text(json.dumps(index))
    assert [case.number for case in read_reports(tmp_path)] == ["9.2.1", "9.10.1", "10.1.1"]


def test_outcomes_are_counted_by_class_with_the_sum_last():
    lines = list(table([case("2.1"), case("1.1", "NON-STRICT"), case("2.2", close="UNCLEAN")]))
    cells = [line.split() for line in lines]
    assert cells[0][:3] == ["cases", "OK", "NON-STRICT"]
    assert [row[0] for row in cells[1:]] == ["2", "1", "all"]
    assert cells[-1] == ["all", "2", "1", "-", "-", "-", "-", "1"]


def test_a_failed_case_is_wrong_whatever_the_reference_does():
    failed = case(behavior="FAILED")
    assert wrong([failed], {failed.number: failed}) == [failed]


def test_a_case_that_could_not_be_run_is_wrong():
    assert wrong([case(behavior="ERROR")], {})


def test_an_unclean_close_is_wrong_where_the_reference_closes_cleanly():
    for close in ("FAILED", "UNCLEAN", "WRONG CODE"):
        unclean = case(close=close)
        assert wrong([unclean], {unclean.number: case()}) == [unclean]
        assert wrong([unclean], {}) == [unclean]


def test_an_unclean_close_is_forgiven_where_the_reference_closes_like_that():
    unclean = case(close="UNCLEAN")
    assert not wrong([unclean], {unclean.number: unclean})


def test_what_is_not_implemented_is_wrong_where_the_reference_has_it():
    missing = case(behavior="UNIMPLEMENTED")
    assert wrong([missing], {missing.number: case()}) == [missing]
    assert not wrong([missing], {missing.number: missing})


def test_what_is_less_strict_is_not_wrong():
    assert not wrong([case(behavior="NON-STRICT"), case(behavior="INFORMATIONAL")], {})
