"""Templates of other frameworks are refused. The message says how to write them here."""

from __future__ import annotations

import re

import pytest

from triows._routing.template import Template
from triows.exceptions import TemplateError

# What somebody writes, and what the message tells them to write.
REWRITTEN = [
    # Flask, Quart, Django, Bottle, Sanic
    ("/users/<id>", "/users/{id}"),
    ("/users/<int:id>", "/users/{id:int}"),
    ("/<string:name>/<path:rest>", "/{name}/{rest:path}"),
    ("/<uuid:id>.<slug:kind>", "/{id:uuid}.{kind}"),
    ("/users/<id:int>", "/users/{id:int}"),
    ("/v<float:version>", "/v{version:float}"),
    ('/<re("[a-z]"):name>', "/{name}"),
    # Express, Rails, Phoenix, gin, Fastify, Fiber
    ("/users/:id", "/users/{id}"),
    ("/:room/:user", "/{room}/{user}"),
    ("/flights/:from-:to", "/flights/{from}-{to}"),
    ("/:name.:ending", "/{name}.{ending}"),
    ("/users/:id<int>", "/users/{id:int}"),
    ("/static/*filepath", "/static/{filepath:path}"),
    # ASP.NET, Spring, axum, API gateways, Go
    ("/{*rest}", "/{rest:path}"),
    ("/{**rest}", "/{rest:path}"),
    ("/{rest*}", "/{rest:path}"),
    ("/{proxy+}", "/{proxy:path}"),
    ("/{rest...}", "/{rest:path}"),
    # Next.js, SvelteKit
    ("/posts/[id]", "/posts/{id}"),
    ("/posts/[...slug]", "/posts/{slug:path}"),
    ("/[[...slug]]", "/{slug:path}"),
    # Not a path
    ("ws://example.org/rooms/{id}", "/rooms/{id}"),
    ("https://example.org", "/"),
    (" /rooms", "/rooms"),
    ("/rooms\n", "/rooms"),
    ("/ro\0oms", "/rooms"),
    ("rooms\\users", "rooms/users"),
]

# For these, the message can't show the right template.
REFUSED = [
    ("/{id?}", "an optional key, '{id?}'", "register the handler at a second path"),
    ("/{id:int?}", "an optional key, '{id:int?}'", "or make it a query parameter"),
    ("/{id=5}", "an optional key, '{id=5}'", "or make it a query parameter"),
    ("/:id?", "an optional key, ':id?'", "or make it a query parameter"),
    ("/{id:[0-9]+}", "a regular expression", 'Param(pattern="^...$")'),
    (r"/{id:\d{4}}", "a regular expression", 'Param(pattern="^...$")'),
    ("/{id:.*}", "a regular expression", "register_url_convertor"),
    ("/{id:regex(a)}", "a regular expression", "{name:int}"),
    (r"/users/(\d+)", "a regular expression", "{name:int}"),
    ("/users/[0-9]+", "a regular expression", "{name:int}"),
    ("/users/(a|b)", "a regular expression", "{name}"),
    (r"^users/(?P<id>\d+)/$", "a regular expression", "{name:int}"),
    ("/*", "a `*`, in '*'", "{rest:path}"),
    ("/**", "a `*`, in '**'", "{rest:path}"),
    ("/files/*.txt", "a `*`, in '*.txt'", "{name}"),
    ("/<>", "has '<>'", "a key is written {name}"),
    ("/{id:guid}", "unknown converter 'guid'", "write {id:uuid}"),
    ("/{id:UUID}", "unknown converter 'UUID'", "write {id:uuid}"),
    ("/{id:number}", "unknown converter 'number'", "write {id:int}"),
    ("/{id:string}", "unknown converter 'string'", "write {id}"),
    ("/{int:id}", "unknown converter 'id'", "the name comes first, so write {id:int}"),
    ("/{str:id}", "unknown converter 'id'", "the name comes first, so write {id}"),
]

# Characters that mean something in other frameworks, and are plain text here.
LITERAL = [
    "/things:batchGet", "/{id}:cancel", "/{id}:{verb}", "/urn:isbn:1", "/Products(1)",
    "/Products({id})", "/$metadata", "/@{user}", "/~{user}", "/c++", "/a+b", "/a=b;c=d,e",
    "/it's", "/a[1]", "/100%", "/50% off", "/1<2", "/{lat},{lon}", "/{a}.{b}", "/.well-known/x",
]  # fmt: skip


@pytest.mark.parametrize(("text", "here"), REWRITTEN)
def test_a_foreign_notation_is_refused_and_rewritten(text: str, here: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template.parse(text)
    assert f"write {here!r}" in caught.value.message or f"as in {here!r}" in caught.value.message
    assert Template.parse(here)


@pytest.mark.parametrize(("text", "problem", "remedy"), REFUSED)
def test_what_can_not_be_rewritten_is_refused_with_a_remedy(
    text: str, problem: str, remedy: str
) -> None:
    with pytest.raises(TemplateError) as caught:
        Template.parse(text)
    assert problem in caught.value.message
    assert remedy in caught.value.message
    for written in re.findall(r"write (\{\w+(?::\w+)?\})", remedy):
        assert Template.parse(written)


@pytest.mark.parametrize("text", LITERAL)
def test_other_characters_are_taken_literally(text: str) -> None:
    assert Template.parse(text).path == text
