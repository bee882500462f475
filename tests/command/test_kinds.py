from __future__ import annotations

import datetime
import re

import pytest

from triows._command.kinds import (
    MAX_WORKERS,
    SECONDS,
    AccessFormat,
    Address,
    Choice,
    Flag,
    HeaderName,
    Listening,
    Many,
    Mask,
    Number,
    Output,
    Path,
    RootPath,
    Table,
    Text,
    Workers,
)

ANSWER = Choice(("yes", "no"))
PORT = Number(0, 65535)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Text(), " a b ", " a b "),
        (Path(), "a.pem", "a.pem"),
        (Output(), "-", "-"),
        (AccessFormat(), "%(h)s took %(D)d µs, 100%%", "%(h)s took %(D)d µs, 100%%"),
        (Address(), "unix:a.sock", "unix:a.sock"),
        (RootPath(), "/app", "/app"),
        (RootPath(), "/a b/100%", "/a b/100%"),
        (ANSWER, "YES", "yes"),
        (PORT, "0", 0),
        (SECONDS, "2.5", 2.5),
        (Many(PORT), "80", 80),
        (HeaderName(), "X-Request-ID", "X-Request-ID"),
        (Mask(), "0", 0),
        (Mask(), "117", 0o117),
        (Mask(), "0077", 0o077),
        (Workers(), "1", 1),
        (Workers(), "0002", 2),
        (Workers(), str(MAX_WORKERS), MAX_WORKERS),
    ],
)
def test_text_of_the_command_line_is_read(kind, text, value):
    assert kind.from_text(text) == value


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        (Path(), "", "give a path, and not nothing"),
        *(
            (
                AccessFormat(),
                text,
                f"give a format such as '%(h)s %(r)s %(s)s', with %% for a "
                f"percent sign, not {text!r}: {why}",
            )
            for text, why in (
                ("%(h)q", "unsupported format character"),
                ("%(h)d", "%d format: a real number is required, not str"),
                ("%s %(h)s", "each value needs a name in parentheses"),
                ("%r", "each value needs a name in parentheses"),
                ("100%", "incomplete format"),
                ("%(h", "incomplete format key"),
            )
        ),
        (Address(), "8000", "write the host, too"),
        (RootPath(), "app", "give a path that begins with a slash, as in '/app'"),
        (RootPath(), "/a%20b", "give the path without percent-encoding: '/a b'"),
        (ANSWER, "maybe", "give one of yes, no, not 'maybe'"),
        (PORT, "http", "give a whole number, 0 to 65535, not 'http'"),
        (PORT, "1.5", "give a whole number, 0 to 65535, not '1.5'"),
        (PORT, "65536", "give a whole number, 0 to 65535, not '65536'"),
        (SECONDS, "-1", "give a number of seconds, 0 or more, not '-1'"),
        (SECONDS, "inf", "give a number of seconds, 0 or more, not 'inf'"),
        (SECONDS, "nan", "give a number of seconds, 0 or more, not 'nan'"),
        (PORT, "9" * 5000, "give a whole number, 0 to 65535, not "),
        *(
            (Workers(), text, "give a whole number, 1 or more, not")
            for text in ("0", "", "-1", "x")
        ),
        (HeaderName(), "x:", "give the name of a header, not 'x:'"),
        *(
            (Mask(), text, f"give an octal number such as 117, not {text!r}")
            for text in ("", "8", "u=rw", "-1", "00117", "0o117")
        ),
        (Workers(), str(MAX_WORKERS + 1), f"{MAX_WORKERS} is the most"),
        (Workers(), "9" * 5000, f"{MAX_WORKERS} is the most"),
        (Flag(), "yes", "give no value"),
        (Table(), "a", "write it into a configuration file"),
    ],
)
def test_other_text_is_told_what_to_write(kind, text, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        kind.from_text(text)


@pytest.mark.parametrize(
    ("kind", "found", "value"),
    [
        (Text(), "a", "a"),
        (Path(), "a.pem", "/etc/app/a.pem"),
        (Path(), "/b/a.pem", "/b/a.pem"),
        (Output(), "-", "-"),
        (Output(), "access.log", "/etc/app/access.log"),
        (Address(), "localhost:80", "localhost:80"),
        (Address(), "unix:a.sock", "unix:/etc/app/a.sock"),
        (Address(), "unix:/run/a.sock", "unix:/run/a.sock"),
        (Address(), "unix:@name", "unix:@name"),
        (Listening(), "all", "all"),
        (Listening(), "unix:a.sock", "unix:/etc/app/a.sock"),
        (HeaderName(), "X-Request-ID", "X-Request-ID"),
        (Mask(), 0o117, 0o117),
        (Mask(), "117", 0o117),
        (Mask(), 0o7, 0o7),
        (RootPath(), "", ""),
        (ANSWER, "No", "no"),
        (PORT, 80, 80),
        (SECONDS, 2, 2),
        (SECONDS, 2.5, 2.5),
        (Flag(), False, False),
        (Table(), {"version": 1}, {"version": 1}),
        (Many(PORT), [80, 81], [80, 81]),
        (Many(PORT), 80, [80]),
        (Many(PORT), [], []),
        (Workers(), 4, 4),
    ],
)
def test_a_value_of_a_file_is_read_with_paths_from_its_folder(kind, found, value):
    assert kind.from_toml(found, "/etc/app") == value


@pytest.mark.parametrize(
    ("kind", "found", "told"),
    [
        (Text(), 1, "give text in quotes, not a number"),
        (Text(), True, "give text in quotes, not true or false"),
        (Text(), datetime.date(2000, 1, 1), "give text in quotes, not a date or time"),
        (Path(), ["a"], "give text in quotes, not a list"),
        (AccessFormat(), 5, "give text in quotes, not a number"),
        (AccessFormat(), "%(h)q", "give a format such as"),
        (Address(), 8000, "give text in quotes, not a number"),
        (Listening(), 8000, "give text in quotes, not a number"),
        (Address(), "8000", "write the host, too"),
        (ANSWER, False, "give text in quotes, not true or false"),
        (PORT, "80", "give a whole number, 0 to 65535, not text"),
        (PORT, 80.0, "give a whole number, 0 to 65535, not a number"),
        (PORT, True, "give a whole number, 0 to 65535, not true or false"),
        (PORT, -1, "give a whole number, 0 to 65535, not -1"),
        (SECONDS, {}, "give a number of seconds, 0 or more, not a table"),
        (Flag(), 1, "give true or false, not a number"),
        (Flag(), "yes", "give true or false, not text"),
        (Table(), "a", "give a table, not text"),
        (Many(PORT, or_none=False), [], "give one or several, and not an empty list"),
        (Many(PORT), [80, "81"], "give a whole number, 0 to 65535, not text"),
        (HeaderName(), 7, "give text in quotes, not a number"),
        (Mask(), "u=rw", "give an octal number such as 117, not 'u=rw'"),
        (Mask(), True, 'give an octal number such as "117" or 0o117, not true or false'),
        (Mask(), 0o1000, 'give an octal number such as "117" or 0o117, not 512'),
        (Mask(), 117, 'give "117" or "165", in quotes, whichever you mean'),
        (Mask(), 0o77, 'give "63" or "77", in quotes, whichever you mean'),
        (Workers(), 0, "give a whole number, 1 or more, not 0"),
        (Workers(), MAX_WORKERS + 1, f"{MAX_WORKERS} is the most"),
    ],
)
def test_a_value_of_another_type_is_told_which_to_give(kind, found, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        kind.from_toml(found, "/etc/app")


def test_no_message_has_a_value_that_may_be_secret():
    with pytest.raises(ValueError, match="not a number") as caught:
        Text().from_toml(12345, "/")
    assert "12345" not in str(caught.value)
