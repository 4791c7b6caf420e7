"""HTTP and RTSP authentication: Basic (RFC 7617) and Digest (RFC 7616). Pure."""

import base64
import hashlib
import re
from collections.abc import Sequence

from agent.host.entropy import token_hex

HASHES = {"MD5": "md5", "SHA-256": "sha256"}
CLEAR_TEXT = (
    "it wants the password in clear text (Basic) without TLS: set the camera to Digest, or use its"
    " encrypted address, or set basic: true in the device's local configuration file"
)


def authorization(
    challenge: str, method: str, uri: str, user: str, password: str, count: int = 1, cnonce: str = ""
) -> str:
    """The ``Authorization`` header of the ``count``-th request. ValueError: unsupported scheme or hash."""
    if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", challenge):  # parts of it are sent back in a header
        raise ValueError("asks for authentication with control characters")
    scheme, _, rest = challenge.partition(" ")
    if scheme.lower() == "basic":
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    if scheme.lower() != "digest":
        raise ValueError(f"asks for authentication scheme {scheme[:20]!r}; Basic and Digest are supported")
    fields = _fields(rest)
    algorithm = fields.get("algorithm", "MD5").upper()
    if algorithm not in HASHES:
        raise ValueError(f"asks for Digest with {algorithm[:20]!r}; MD5 and SHA-256 are supported")

    def digest(text: str) -> str:
        return hashlib.new(HASHES[algorithm], text.encode(), usedforsecurity=False).hexdigest()

    realm, nonce = fields.get("realm", ""), fields.get("nonce", "")
    user_hash, request_hash = digest(f"{user}:{realm}:{password}"), digest(f"{method}:{uri}")
    answer = {"username": user, "realm": realm, "nonce": nonce, "uri": uri}
    more = ""
    if "auth" in [one.strip() for one in fields.get("qop", "").split(",")]:
        own = cnonce or token_hex(8)
        answer["response"] = digest(f"{user_hash}:{nonce}:{count:08x}:{own}:auth:{request_hash}")
        answer["cnonce"] = own
        more = f", qop=auth, nc={count:08x}"
    else:
        answer["response"] = digest(f"{user_hash}:{nonce}:{request_hash}")
    if "opaque" in fields:
        answer["opaque"] = fields["opaque"]
    if "algorithm" in fields:
        more += f", algorithm={algorithm}"
    return "Digest " + ", ".join(f'{name}="{value}"' for name, value in answer.items()) + more


def _fields(rest: str) -> dict[str, str]:
    return {
        name.lower(): quoted or plain
        for name, quoted, plain in re.findall(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))', rest)
    }


def best_challenge(offered: Sequence[str]) -> str:
    """The challenge to answer: supported Digest before Basic before any other; "" for none."""

    def rank(challenge: str) -> tuple[bool, bool]:
        scheme, _, rest = challenge.strip().partition(" ")
        digest = scheme.lower() == "digest"
        known = not digest or _fields(rest).get("algorithm", "MD5").upper() in HASHES
        return (digest and known, known)

    return max((one.strip() for one in offered), key=rank, default="")


class Login:
    """The login at one server. ``encrypted``: TLS with a verified certificate; ``basic``: Basic is allowed
    without TLS."""

    def __init__(self, user: str, password: str, *, encrypted: bool, basic: bool) -> None:
        self.user = user
        self._password = password
        self._clear = encrypted or basic
        self._challenge = ""
        self._count = 0
        self._worked = False

    def worked(self) -> None:
        """The server took the login: its next challenge is a new nonce, even where it does not say so."""
        self._worked = self._count > 0

    def accept_challenge(self, offered: Sequence[str]) -> bool:
        """Takes the challenges of a response 401. True where the request should be repeated with a login.

        ValueError: the authentication scheme is not supported, or not allowed.
        """
        challenge = best_challenge(offered)
        if not self.user or not challenge:
            return False
        stale = _fields(challenge).get("stale", "").lower() == "true"
        if self._challenge and self._count and not stale and not self._worked:
            return False  # the login was refused
        self._worked = False
        if challenge.lower().startswith("basic") and not self._clear:
            raise ValueError(CLEAR_TEXT)
        authorization(challenge, "GET", "/", "", "")  # raises ValueError for an unsupported scheme
        self._challenge, self._count = challenge, 0
        return True

    def header(self, method: str, uri: str) -> dict[str, str]:
        """The ``Authorization`` header of the next request; empty before the first challenge."""
        if not self._challenge:
            return {}
        self._count += 1
        answer = authorization(self._challenge, method, uri, self.user, self._password, self._count)
        return {"Authorization": answer}
