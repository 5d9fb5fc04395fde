"""What goes wrong on the way to a server, in words that name the stage and the next step."""

from __future__ import annotations

from urllib.parse import urlsplit

from core.errors import EngineError, InvalidInput, TimedOut, Unreachable
from core.registry import tls
from core.registry.answers import Interrupted, shown
from core.registry.connections import Refused


def network_trouble(error: BaseException, where: str, asked: str) -> EngineError:
    """The error for one of urllib3's, or of the system's.

    Args: where: stage and request, as in `connecting for GET https://…`. asked: the request.
    """
    import ssl

    from urllib3 import exceptions

    for inner in (error, *error.args):  # urllib3 puts what a connection raises into an error of its own
        if isinstance(inner, Refused):
            return Unreachable(str(inner), hint="the registry is hostile, or a name server is")
    if isinstance(error, exceptions.ProxyError):
        return Unreachable(
            f"{where}: the proxy does not let it through: {shown(error.original_error)}",
            hint="look at HTTP_PROXY, HTTPS_PROXY and `proxies` in daemon.json",
        )
    if isinstance(error, exceptions.NameResolutionError):
        host = urlsplit(asked.partition(" ")[2]).hostname
        return Unreachable(f"{where}: no address is known of {host}", hint="check the name, and DNS here")
    if isinstance(error, exceptions.NewConnectionError):
        why = error.__cause__ or error
        text = getattr(why, "strerror", None) or str(why)
        return Unreachable(f"{where}: {shown(text).lower()}", hint="check the registry's name and port")
    if isinstance(error, exceptions.TimeoutError | TimeoutError):
        return TimedOut(f"{where}: no answer in time", hint="look at the network and the registry, and try again")
    if isinstance(error, exceptions.SSLError | ssl.SSLError):
        return _tls_trouble(error, where, asked)
    if isinstance(error, exceptions.LocationValueError | exceptions.LocationParseError | ValueError):
        return InvalidInput(f"{asked}: this is no address: {shown(error)}")
    return Interrupted(f"{where}: the connection broke: {_why(error)}", hint="try again")


def _tls_trouble(error: BaseException, where: str, asked: str) -> Unreachable:
    text = str(error).lower()
    url = asked.partition(" ")[2]
    host = urlsplit(url).netloc
    if "wrong_version_number" in text or "wrong version number" in text:
        return Unreachable(
            f"{where}: the server gave an HTTP response to an HTTPS client",
            hint=f"if {host} is meant to be without TLS, add it to insecure-registries in daemon.json",
        )
    if "certificate" in text and ("verify failed" in text or "doesn't match" in text):
        why = text.partition("verify failed: ")[2].partition(" (_ssl")[0] or "it is for another name"
        return Unreachable(
            f"{where}: its certificate can't be trusted: {shown(why)}",
            hint=f"put the authority's certificate into {tls.DIRECTORIES[0]}/{host}/ca.crt",
        )
    return Unreachable(f"{where}: {shown(_why(error))}", hint="look at the registry's TLS settings")


def _why(error: BaseException) -> str:
    for inner in (error.__cause__, *error.args[::-1]):
        if isinstance(inner, BaseException):
            return shown(getattr(inner, "strerror", None) or str(inner) or type(inner).__name__).lower()
    return shown(str(error) or type(error).__name__).lower()
