"""
Clients that are programs: Node, Java and Go, which get the steps as lines, and curl.

The first line is the server's URL. Each other line is a step, with a tab between its fields. The
answers come back as JSON.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import trio
from attrs import field, frozen

from tests.server.clients.http.interface import Answer, Step, body
from tests.server.harness.process import PATIENCE

__all__ = ["Curl", "Program", "go", "java", "node"]

FOLDER = Path(__file__).parent


def _absent(*names: str, package: str) -> str | None:
    absent = [name for name in names if shutil.which(name) is None]
    return f"no {' or '.join(absent)} here: apt-get install {package}" if absent else None


@frozen
class Program:
    """
    A client in another language.

    Args:
        command: Runs it.
        making: Makes it, if it has to be compiled.
        package: The package of the system that has what both need.
    """

    command: Sequence[str]
    making: Sequence[str] = ()
    package: str = ""
    cannot: Mapping[str, str] = field(factory=dict)

    def missing(self) -> str | None:
        programs = {command[0] for command in (self.making or self.command, self.command)}
        made_here = {name for name in programs if "/" in name}
        return _absent(*(programs - made_here), package=self.package)

    def make(self) -> None:
        """Compile it."""
        if self.making:
            subprocess.run(self.making, check=True, capture_output=True)

    async def ask(self, url: str, steps: list[Step]) -> list[Answer]:
        return await trio.to_thread.run_sync(self._ask, url, steps)

    def _ask(self, url: str, steps: list[Step]) -> list[Answer]:
        lines = [url]
        for step in steps:
            switches = f"{step.chunked:d}\t{step.expects:d}\t{step.leave}"
            lines.append(f"{step.method}\t{step.target}\t{step.size}\t{switches}")
        done = subprocess.run(
            self.command,
            input="\n".join(lines),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [Answer(**facts) for facts in json.loads(done.stdout)]


def node(_folder: Path) -> Program:
    return Program(["node", str(FOLDER / "client.mjs")], package="nodejs")


def java(folder: Path) -> Program:
    return Program(
        ["java", "-XX:TieredStopAtLevel=1", "-cp", str(folder), "Client"],
        making=["javac", "-d", str(folder), str(FOLDER / "Client.java")],
        package="default-jdk-headless",
        cannot={"be refused": "it waits for 100 Continue forever (JDK-8286171)"},
    )


def go(folder: Path) -> Program:
    client = str(folder / "client")
    making = ["go", "build", "-o", client, str(FOLDER / "client.go")]
    return Program([client], making=making, package="golang-go")


@frozen
class Curl:
    """The program ``curl``."""

    folder: Path
    cannot: Mapping[str, str] = field(factory=dict)

    @staticmethod
    def missing() -> str | None:
        return _absent("curl", package="curl")

    async def ask(self, url: str, steps: list[Step]) -> list[Answer]:
        return await trio.to_thread.run_sync(self._ask, url, steps)

    def _ask(self, url: str, steps: list[Step]) -> list[Answer]:
        # A client that leaves is a process of its own, which is killed.
        staying = [(number, step) for number, step in enumerate(steps) if not step.leave]
        command = ["curl"]
        for number, step in staying:
            command += [*(["--next"] if number else []), *self._options(url, number, step)]
        if staying:
            subprocess.run(command, check=True, timeout=PATIENCE, capture_output=True)
        answers = [self._answer(number, step) for number, step in staying]
        return [*answers, *(self._leave(url, step) for step in steps if step.leave)]

    def _files(self, number: int) -> tuple[Path, Path, Path]:
        sent, head, received = (
            self.folder / f"{number}-{what}" for what in ("sent", "head", "got")
        )
        return sent, head, received

    def _options(self, url: str, number: int, step: Step) -> Iterator[str]:
        sent, head, received = self._files(number)
        received.write_bytes(b"")
        yield from ("--silent", "--show-error", "--noproxy", "*", "--globoff")
        yield from ("--dump-header", str(head), "--output", str(received), url + step.target)
        yield from ["--head"] if step.method == "HEAD" else ["--request", step.method]
        if step.size:
            sent.write_bytes(body(step.size))
            yield from ("--data-binary", f"@{sent}")
        if step.chunked:
            yield from ("--header", "Transfer-Encoding: chunked")
        # By itself, it goes on without an answer after a second.
        yield from ("--header", "Expect: 100-continue" if step.expects else "Expect:")
        yield from ("--expect100-timeout", str(PATIENCE * 2))

    def _answer(self, number: int, step: Step) -> Answer:
        _, head, received = self._files(number)
        # The last of the heads, behind those of 100 Continue.
        last = (
            head.read_bytes().decode("latin-1").removesuffix("\r\n\r\n").rpartition("\r\n\r\n")[2]
        )
        status, *lines = last.split("\r\n")
        pairs = [line.partition(":") for line in lines]
        data = received.read_bytes() if step.method != "HEAD" else b""
        headers = {name: value.strip() for name, _, value in pairs}
        return Answer.of(int(status.split()[1]), headers, data)

    @staticmethod
    def _leave(url: str, step: Step) -> Answer:
        command = ["curl", "--silent", "--noproxy", "*", "--no-buffer", url + step.target]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            data = process.stdout.read(step.leave)
            process.kill()
        return Answer.of(200, {}, data)
