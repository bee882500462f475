from __future__ import annotations

from trials.fuzz import comparison
from trials.fuzz.attempt import read_attempts
from trials.fuzz.comparison import Comparison


def test_parsers_that_agree_leave_nothing(tmp_path):
    compared = Comparison(1, seeds=tmp_path)
    compared.run(0.05)
    assert compared.done > 5
    assert (compared.problems, list(tmp_path.iterdir())) == ([], [])


def test_a_disagreement_is_kept_and_found_again(tmp_path, monkeypatch):
    def weak(data: bytes) -> str | None:
        return "they differ" if b"Cookie" in data else None

    monkeypatch.setattr(comparison, "disagreement", weak)
    monkeypatch.setattr(comparison, "ENOUGH", 2)
    compared = Comparison(1, seeds=tmp_path)
    compared.run(10)
    assert compared.problems == ["they differ"] * 2
    first, second = sorted(tmp_path.iterdir())
    assert sorted(compared.kept) == [first.name, second.name]
    found, (attempt,) = read_attempts(first)
    assert found == "they differ"
    assert b"Cookie" in attempt.parts[0]

    again = Comparison(1, seeds=tmp_path)
    again.run(0)
    assert again.problems == [f"{kept.name} finds something again" for kept in (first, second)]
    monkeypatch.undo()
    assert Comparison(1, seeds=tmp_path).replay(first)


def test_what_is_read_follows_from_the_seed(tmp_path, monkeypatch):
    read: list[bytes] = []
    monkeypatch.setattr(comparison, "disagreement", lambda data: read.append(data) or "found")
    monkeypatch.setattr(comparison, "ENOUGH", 20)
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / folder).mkdir()
        Comparison(seed, seeds=tmp_path / folder).run(10)
    assert read[:20] == read[20:40] != read[40:]
