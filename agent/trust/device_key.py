"""The device's own key, made at its first start: it signs what the device says about itself."""

from contextlib import suppress
from pathlib import Path

import structlog

from agent.runtime.error_text import describe_error
from agent.trust.signing_key import SigningKey

log = structlog.get_logger()

FILE = "identity/device.key"


def load_or_make(data_folder: Path) -> SigningKey:
    """The key in ``data_folder``; a new one where there is none.

    A damaged file is kept aside. Where the disk takes no new key, it lasts until the process ends.
    """
    path = data_folder / FILE
    try:
        return SigningKey.load(path)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        log.warning("device_key_damaged", error=describe_error(error))
        with suppress(OSError):
            path.replace(path.with_suffix(".damaged"))
    key = SigningKey.generate()
    try:
        key.save(path)
        log.info("device_key_made", key_id=key.key_id)
    except OSError as error:
        log.error("device_key_not_saved", error=describe_error(error))
    return key
