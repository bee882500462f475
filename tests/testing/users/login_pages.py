"""The HTTP pages of an application with WebSockets. Both versions use Starlette for them."""

from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

PASSWORDS = {"ada": "lovelace"}
SESSIONS: dict[str, str] = {}
listeners: list = []


async def login(request):
    form = await request.json()
    if PASSWORDS.get(form["user"]) != form["password"]:
        return JSONResponse({"detail": "no"}, 401)
    session = f"session-{len(SESSIONS)}"
    SESSIONS[session] = form["user"]
    response = RedirectResponse("/me", 303)
    response.set_cookie("session", session, httponly=True)
    return response


async def logout(request):
    SESSIONS.pop(request.cookies.get("session"), None)
    response = Response(status_code=204)
    response.delete_cookie("session")
    return response


async def me(request):
    user = SESSIONS.get(request.cookies.get("session", ""))
    return JSONResponse({"user": user}, 200 if user else 401)


async def publish(request):
    text = (await request.body()).decode()
    for listener in listeners:
        await listener.send_text(text)
    return JSONResponse({"listeners": len(listeners)})


async def crash(request):
    raise ValueError("the page is broken")


pages = Starlette(
    routes=[
        Route("/login", login, methods=["POST"]),
        Route("/logout", logout, methods=["POST"]),
        Route("/me", me),
        Route("/publish", publish, methods=["POST"]),
        Route("/crash", crash),
    ]
)
