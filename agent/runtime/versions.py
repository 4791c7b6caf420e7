"""The software in use here."""

import importlib.metadata
import platform
import ssl
import sys
from contextlib import suppress

PACKAGES = (
    "cryptography", "paho-mqtt", "pydantic", "pyserial", "numpy", "opencv-python-headless", "onnxruntime",
    "pyais", "pymodbus",
)  # fmt: skip


def versions() -> dict[str, str]:
    """By name; packages that are not installed are absent."""
    found = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    for name in ("ringpost", *PACKAGES):
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    found["OpenSSL"] = ssl.OPENSSL_VERSION.split()[1] if len(ssl.OPENSSL_VERSION.split()) > 1 else "?"
    return found | {"executable": sys.executable}
