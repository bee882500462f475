from __future__ import annotations

import os
import re
import signal
import subprocess

import pytest
import trio

from tests.server.applications.blocking import WAYS
from tests.server.clients import Closed, open_trio_websocket
from tests.server.harness.process import APPLICATIONS, PATIENCE, TRIOWS, ServerProcess

pytestmark = pytest.mark.real_socket

# The graceful end of `blocking:app` may take 36.5 s. No test waits that long.


async def ended(process: ServerProcess) -> int:
    return await trio.to_thread.run_sync(process.wait)


#: The exit codes after two signals. Either of them may come first.
FORCED = {128 + signal.SIGINT, 128 + signal.SIGTERM}


def signal_twice(process: ServerProcess | subprocess.Popen[str]) -> None:
    """Send it two different signals, because the system may merge two equal ones."""
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("way", [way for way in WAYS if way not in {"search", "write_log"}])
async def test_a_second_signal_ends_a_blocked_process(way):
    with ServerProcess(TRIOWS, "blocking:app") as process:
        async with open_trio_websocket(f"{process.ws_url}/block/{way}") as client:
            await client.receive()
            signal_twice(process)
            assert await ended(process) in FORCED
    ended_at = process.output.index("ended at once: the event loop is blocked")
    assert "the connection to /block/{way} from 127.0.0.1:" in process.output[ended_at:]
    assert f"in {way}  " in process.output[ended_at:]
    assert "Traceback" not in process.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_blocked_process_ends_when_the_announced_time_is_over(number):
    with ServerProcess(TRIOWS, "blocking_short_end:app") as process:
        async with open_trio_websocket(f"{process.ws_url}/block/wait_in_c") as client:
            await client.receive()
            process.send_signal(number)
            assert await ended(process) == 128 + number
    assert "s at most: the event loop is blocked" in process.output
    assert "(a second signal ends the process within a second)\n" in process.output
    assert "something in the application has not ended:\n" in process.output
    assert "the connection to /block/{way} from 127.0.0.1:" in process.output
    assert "in wait_in_c  threading.Event().wait()" in process.output
    assert "Traceback" not in process.output


async def test_a_process_that_ends_by_force_says_what_was_still_running():
    with ServerProcess(TRIOWS, "hanging:app") as process:
        async with open_trio_websocket(f"{process.ws_url}/rooms/secret") as client:
            await client.receive()
            process.send_signal(signal.SIGTERM)
            assert await ended(process) == 128 + signal.SIGTERM
    _, _, text = process.output.partition("something in the application has not ended:\n")
    assert re.match(r"process \d+:  1 connection  \(shutting down\)\n  /rooms/{room}  ", text)
    assert "cancelled: shutdown" in text
    assert "in shielded  await trio.sleep_forever()" in text
    assert "secret" not in process.output


@pytest.mark.parametrize("app", ["threaded", "last_threaded"])
async def test_a_thread_that_keeps_the_process_alive_is_named(app):
    with ServerProcess(TRIOWS, f"hanging:{app}") as process:
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 128 + signal.SIGTERM
    _, _, text = process.output.partition("something in the application has not ended:\n")
    assert text.startswith("the thread writes reports, at\n")
    assert "in work  threading.Event().wait()" in text


async def test_an_exit_of_the_application_that_takes_too_long_is_named():
    with ServerProcess(TRIOWS, "hanging:ending") as process:
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 1
    assert "the application failed at its shutdown: TeardownTimeout: ends_never " in process.output
    assert re.search(r"hanging.py:\d+ in ends_never  await trio.sleep_forever\(\)", process.output)


def test_a_signal_ends_a_start_up_in_order_and_says_what_it_was_waiting_for():
    process = ServerProcess(TRIOWS, "hanging:starting")
    try:
        process.wait_for("waiting for nothing")
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    finally:
        process.__exit__()
    start = (
        r"ending the start-up, for 16 s at most: hanging.py:\d+ \(starts_never\) has not started, "
    )
    assert re.search(start + "and waits at\n", process.output)
    assert re.search(r"hanging.py:\d+ in starts_never  await trio.sleep_for", process.output)
    assert re.search(r"ended after \d+\.\d s\n$", process.output)


@pytest.mark.parametrize("module", ["blocking", "blocking_short_end"])
async def test_code_that_never_releases_the_gil_but_takes_signals_ends_with_its_stack(module):
    with ServerProcess(TRIOWS, f"{module}:app") as process:
        async with open_trio_websocket(f"{process.ws_url}/block/search") as client:
            await client.receive()
            process.send_signal(signal.SIGTERM)
            if module == "blocking":
                process.send_signal(signal.SIGINT)
            assert await ended(process) == 1
    assert re.search(r'blocking.py", line \d+ in search', process.output)


async def test_many_signals_do_not_make_the_end_later():
    with ServerProcess(TRIOWS, "blocking:app") as process:
        async with open_trio_websocket(f"{process.ws_url}/block/wait_in_c") as client:
            await client.receive()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ended, process)
                while process.is_running:
                    process.send_signal(signal.SIGINT)
                    await trio.sleep(0.1)
    assert "ended at once: the event loop is blocked" in process.output


def test_a_signal_ends_a_start_up_that_blocks():
    process = ServerProcess(TRIOWS, "blocking:starting")
    try:
        process.wait_for("INFO triows: blocking")
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM
    finally:
        process.__exit__()
    assert "ended at once" in process.output


async def test_a_log_that_nobody_reads_does_not_keep_a_process_alive():
    command = [*TRIOWS, "blocking:app", "--bind", "127.0.0.1:0"]
    with subprocess.Popen(  # noqa: ASYNC220 - this returns at once
        command, cwd=APPLICATIONS, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            url = next(
                re.findall(r"http://\S+", line)[0] for line in process.stderr if "://" in line
            )
            async with open_trio_websocket(
                f"{url.replace('http', 'ws')}/block/write_log"
            ) as client:
                await client.receive()
                signal_twice(process)
                code = await trio.to_thread.run_sync(process.wait, PATIENCE)
        finally:
            process.kill()
    assert code in FORCED


async def test_a_signal_of_a_forked_child_does_not_end_the_server():
    with ServerProcess(TRIOWS, "blocking:app") as process:
        async with open_trio_websocket(f"{process.ws_url}/fork") as client:
            assert await client.receive() == str(-signal.SIGTERM)
            process.send_signal(signal.SIGINT)
            assert await ended(process) == 0
    assert process.output.count("shutting down") == 1


async def test_signals_work_when_other_code_has_taken_what_wakes_the_loop_up():
    with ServerProcess(TRIOWS, "blocking:app") as process:
        async with open_trio_websocket(f"{process.ws_url}/deaf") as client:
            await client.receive()
            process.send_signal(signal.SIGTERM)
            # The answer wakes the loop up. Then Python runs its signal handler.
            await client.send("wake up")
            assert await ended(process) == 0
    assert "shutting down" in process.output


async def test_ctrl_c_gives_handlers_a_second_where_sigterm_gives_them_any_time():
    with ServerProcess(TRIOWS, "blocking:patient") as process:
        async with open_trio_websocket(f"{process.ws_url}/stubborn") as client:
            await client.receive()
            process.send_signal(signal.SIGINT)
            with pytest.raises(Closed):
                await client.receive()
            assert await ended(process) == 0


# Several processes


async def test_a_second_signal_ends_blocked_workers():
    with ServerProcess(TRIOWS, "blocking:app", "--workers", "2") as process:
        async with open_trio_websocket(f"{process.ws_url}/block/wait_in_c") as client:
            await client.receive()
            process.send_signal(signal.SIGTERM)
            process.wait_for("stopping the workers")
            process.send_signal(signal.SIGTERM)
            assert await ended(process) == 128 + signal.SIGTERM
    assert "ended at once: the event loop is blocked" in process.output


async def test_a_blocked_worker_that_is_replaced_ends_and_the_server_goes_on():
    with ServerProcess(TRIOWS, "blocking_short_end:app", "--workers", "2") as process:
        async with open_trio_websocket(f"{process.ws_url}/block/sleep") as client:
            await client.receive()
            process.send_signal(signal.SIGHUP)
            process.wait_for("all workers are new")
            if "has ended with exit code 143" not in process.output:
                process.wait_for("has ended with exit code 143")
        async with open_trio_websocket(f"{process.ws_url}/echo") as client:
            await client.send("hi")
            assert await client.receive() == "hi"


async def test_a_blocked_worker_ends_when_its_parent_is_gone():
    with ServerProcess(TRIOWS, "blocking_short_end:app", "--workers", "2") as process:
        async with open_trio_websocket(f"{process.ws_url}/block/wait_in_c") as client:
            await client.receive()
            process.send_signal(signal.SIGKILL)
            # This waits until no process has the output open any more.
            assert await ended(process) == -signal.SIGKILL
    assert "something in the application has not ended" in process.output


async def test_ctrl_c_gives_the_handlers_of_workers_a_second():
    with ServerProcess(TRIOWS, "blocking:patient", "--workers", "2") as process:
        async with open_trio_websocket(f"{process.ws_url}/stubborn") as client:
            await client.receive()
            os.killpg(process.pid, signal.SIGINT)
            with pytest.raises(Closed):
                await client.receive()
            assert await ended(process) == 0


async def test_a_change_ends_a_blocked_process(tmp_path):
    (tmp_path / "changing.py").write_text((APPLICATIONS / "blocking.py").read_text())
    with ServerProcess(TRIOWS, "changing:app", "--reload", folder=tmp_path) as process:
        process.wait_for(r"serving by process \d+")
        async with open_trio_websocket(f"{process.ws_url}/block/wait_in_c") as client:
            await client.receive()
            with (tmp_path / "changing.py").open("a") as file:
                file.write("# changed\n")
            await trio.to_thread.run_sync(process.wait_for, r"serving by process \d+")
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0
