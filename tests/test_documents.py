"""Checks what documents show besides programs: links, other plugins, words."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
DOCUMENTS += sorted((ROOT / "docs").rglob("*.md"))


def blocks(document: Path, language: str) -> list[str]:
    pattern = rf"^```{language}\n(.*?)^```"
    return re.findall(pattern, document.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def run_pytest(*args: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", *args],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_fixtures_work_with_the_plugin_of_anyio(tmp_path: Path) -> None:
    (block,) = blocks(ROOT / "docs" / "how-to" / "test-anyio.md", "python")
    (tmp_path / "test_tea.py").write_text(block, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    assert "1 passed" in run_pytest(tmp_path, "-c", tmp_path / "pytest.ini")


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a document."""
    text = re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda document: document.relative_to(ROOT).as_posix()
)
def test_a_link_leads_somewhere(document: Path) -> None:
    broken = []
    prose = re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^):]+)\)", prose):
        name, _, anchor = "".join(link.split()).partition("#")
        target = document.parent / name if name else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_the_index_lists_every_page() -> None:
    docs = ROOT / "docs"
    index = docs / "index.md"
    listed = set(re.findall(r"\]\(([\w./-]+\.md)\)", index.read_text("utf-8")))
    pages = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md") if path != index}
    assert pages - listed == set()


def test_no_example_makes_an_entry_for_every_name_that_a_client_asks_for() -> None:
    """A ``defaultdict`` makes one when it is only read, and nothing takes it out."""
    shown = "".join(text for document in DOCUMENTS for text in blocks(document, "python"))
    shown += "".join(path.read_text("utf-8") for path in (ROOT / "examples").glob("*.py"))
    assert "defaultdict" not in shown


# Words that the documentation doesn't use for things of triows, and those that it uses. Names in
# the API stay as they are, in code.
WORDS = {
    r"dependenc(?:y|ies)": "factory or resource",
    r"providers?": "factory",
    r"endpoints?": "handler",
    r"drain(?:s|ed|ing)?": "shutdown, or to shut down",
}
# Where words of other frameworks are explained.
TRANSLATIONS = {ROOT / "docs/reference/glossary.md", ROOT / "docs/how-to/migrate.md"}


def prose(document: Path) -> str:
    """A document without its code, its printed texts and the targets of its links."""
    text = re.sub(
        r"^ *```.*?^ *```", "", document.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    return re.sub(r"`[^`]*`|\]\([^)]*\)", "", text)


def ours() -> list[Path]:
    """The documents for users that somebody writes, except where they explain other words."""
    documents = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    generated = set((ROOT / "docs" / "reference").glob("triows*.md"))
    return [one for one in documents if one not in generated | TRANSLATIONS]


@pytest.mark.parametrize("word", WORDS)
def test_a_document_uses_the_words_of_the_glossary(word: str) -> None:
    wrong = [
        f"{document.relative_to(ROOT)}: write {WORDS[word]} instead of {found!r}"
        for document in ours()
        for found in re.findall(rf"\b{word}\b.*", prose(document), re.IGNORECASE)
    ]
    assert wrong == []


def test_the_glossary_explains_each_word_once_and_in_order() -> None:
    page = (ROOT / "docs" / "reference" / "glossary.md").read_text("utf-8")
    explained = re.findall(r"^\| ([a-z][a-z, -]+) \| ", page, re.MULTILINE)
    assert len(explained) > 30
    assert explained == sorted(set(explained))


def title(document: Path) -> str:
    """The first heading of a document, without its markup."""
    (heading,) = re.findall(r"\A# (.*)$", document.read_text("utf-8"), re.MULTILINE)
    return str(heading).replace("`", "").lower()


@pytest.mark.parametrize(
    "document", ours(), ids=lambda document: document.relative_to(ROOT).as_posix()
)
def test_a_link_that_names_a_page_has_its_title(document: Path) -> None:
    wrong = []
    for text, target in re.findall(
        r"\[([A-Z][^\]]+)\]\(((?!\.\./README)[^):#]+\.md)\)", document.read_text()
    ):
        shown = " ".join(text.replace("`", "").split()).lower()
        if not title(document.parent / target.replace("\n", "")).startswith(shown):
            wrong.append(f"[{shown}]({target})")
    assert wrong == []
