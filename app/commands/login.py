"""`login` and `logout`: who a person is to a registry, kept as docker keeps it."""

from __future__ import annotations

from app.commands.definition import Command, Invocation
from app.commands.flags import flag
from app.keyring import HUB_KEY, FileKeyring, host_of, is_hub
from core.about import NAME
from core.errors import EngineError, InvalidInput, Unauthorized
from core.model.registry import DOCKER_HUB, Credentials

_MOST_STDIN_BYTES = 64 * 1024
_UNENCRYPTED = """
WARNING! Your credentials are stored unencrypted in '{path}'.
Configure a credential helper to remove this warning. See
https://docs.docker.com/go/credential-store/
"""


def _server(invocation: Invocation) -> str:
    """The server as references write it; Docker Hub where none is named."""
    given = invocation.arguments[0] if invocation.arguments else DOCKER_HUB
    host = DOCKER_HUB if is_hub(given) else host_of(given)
    if not host or any(character.isspace() or not character.isprintable() for character in host):
        raise InvalidInput(f"{given!r} is no registry", hint="write its host, with :PORT where it needs one")
    return host


def _login(invocation: Invocation) -> int:
    io, flags = invocation.io, invocation.flags
    username, password = flags.text("username"), _given_password(invocation)
    server = _server(invocation)
    ring = FileKeyring()
    if not username and not password and _log_in_again(invocation, ring, server):
        return 0
    if not (username and password) and not io.stdin_is_tty:
        raise InvalidInput(
            "cannot perform an interactive login from a non TTY device",
            hint="name the user with -u and give the password with --password-stdin",
        )
    if not username:
        username = io.read_line("Username: ").strip()
    if not username:
        raise InvalidInput("non-null username required")
    if not password:
        password = io.read_line("Password: ", hidden=True)
    if not password:
        raise InvalidInput("password required")
    _try(invocation, ring, server, Credentials(username=username, password=password))
    return 0


def _given_password(invocation: Invocation) -> str:
    """What the command line or the input says, which are for programs; empty: a person is to be asked."""
    io, flags = invocation.io, invocation.flags
    password, is_piped = flags.text("password"), flags.truth("password-stdin")
    if password and is_piped:
        raise InvalidInput("conflicting options: cannot specify both --password and --password-stdin")
    if password:
        io.complain("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
    if not is_piped:
        return password
    if not flags.text("username"):
        raise InvalidInput("the --password-stdin option requires --username to be set")
    data = io.stdin.read(_MOST_STDIN_BYTES) if io.stdin is not None else b""
    return data.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "surrogateescape")


def _log_in_again(invocation: Invocation, ring: FileKeyring, server: str) -> bool:
    """With what is known already; False: it is not enough, and a person is to be asked."""
    io, known = invocation.io, ring.find(server)
    if known is None:
        return False
    io.complain(f"Authenticating with existing credentials... [Username: {known.username}]\n")
    io.complain(f"Info -> To login with a different account, run '{NAME} logout' followed by '{NAME} login'\n")
    try:
        _try(invocation, ring, server, known)
    except Unauthorized as error:
        io.complain(f"Login did not succeed, error: {error.message}")
        return False
    return True


def _try(invocation: Invocation, ring: FileKeyring, server: str, credentials: Credentials) -> None:
    """Ask the registry, and keep what it has let in."""
    result = invocation.backend.registries.login(server, credentials)
    if token := result.identity_token:
        credentials = Credentials(username=credentials.username, identity_token=token)
    if ring.keep(server, credentials):
        invocation.io.complain(_UNENCRYPTED.format(path=ring.path))
    invocation.io.line(result.status)


def _logout(invocation: Invocation) -> int:
    io, server, ring = invocation.io, _server(invocation), FileKeyring()
    shown = HUB_KEY if server == DOCKER_HUB else server
    if not ring.knows(server):
        io.line(f"Not logged in to {shown}")
        return 0
    io.line(f"Removing login credentials for {shown}")
    try:
        ring.forget(server)
    except EngineError as error:
        raise EngineError(f"could not erase credentials: {error.message}", hint=error.hint) from None
    return 0


LOGIN = Command(
    run=_login,
    summary="Authenticate to a registry",
    usage=("[SERVER]",),
    description="Authenticate to a registry.\nDefaults to Docker Hub if no server is specified.",
    flags=(
        flag("-p, --password string", "Password or Personal Access Token (PAT)"),
        flag("--password-stdin", "Take the Password or Personal Access Token (PAT) from stdin"),
        flag("-u, --username string", "Username"),
    ),
    most=1,
    completes=("registry",),
)
LOGOUT = Command(
    run=_logout,
    summary="Log out from a registry",
    usage=("[SERVER]",),
    description="Log out from a registry.\nIf no server is specified, it is Docker Hub.",
    most=1,
    completes=("registry",),
)
