"""The answer to ``WWW-Authenticate``, as HTTP and RTSP ask it: Basic (RFC 7617), Digest (RFC 7616). Pure."""

import base64
import hashlib
import re
import secrets

HASHES = {"MD5": "md5", "SHA-256": "sha256"}


def authorization(
    challenge: str, method: str, uri: str, user: str, password: str, count: int = 1, cnonce: str = ""
) -> str:
    """The ``Authorization`` of the ``count``-th request. ValueError where none is known for it."""
    scheme, _, rest = challenge.partition(" ")
    if scheme.lower() == "basic":
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    if scheme.lower() != "digest":
        raise ValueError(f"asks for a login of another kind ({scheme[:20]!r}); Basic and Digest are known")
    fields = {
        name.lower(): quoted or plain
        for name, quoted, plain in re.findall(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))', rest)
    }
    algorithm = fields.get("algorithm", "MD5").upper()
    if algorithm not in HASHES:
        raise ValueError(f"asks for Digest with {algorithm[:20]!r}; MD5 and SHA-256 are known")

    def digest(text: str) -> str:
        return hashlib.new(HASHES[algorithm], text.encode(), usedforsecurity=False).hexdigest()

    realm, nonce = fields.get("realm", ""), fields.get("nonce", "")
    who, what = digest(f"{user}:{realm}:{password}"), digest(f"{method}:{uri}")
    answer = {"username": user, "realm": realm, "nonce": nonce, "uri": uri}
    more = ""
    if "auth" in [one.strip() for one in fields.get("qop", "").split(",")]:
        own = cnonce or secrets.token_hex(8)
        answer["response"] = digest(f"{who}:{nonce}:{count:08x}:{own}:auth:{what}")
        answer["cnonce"] = own
        more = f", qop=auth, nc={count:08x}"
    else:
        answer["response"] = digest(f"{who}:{nonce}:{what}")
    if "opaque" in fields:
        answer["opaque"] = fields["opaque"]
    if "algorithm" in fields:
        more += f", algorithm={algorithm}"
    return "Digest " + ", ".join(f'{name}="{value}"' for name, value in answer.items()) + more
