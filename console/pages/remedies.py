"""One remedy for each trouble: that of a finding of ``doctor``, where it is about the same part, or one from
the table. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from console.pages.words import Translate


@dataclass(frozen=True, slots=True)
class FoundRemedy:
    """What a check of ``doctor`` advises; ``place`` is a path of the configuration."""

    place: str
    remedy: str


def remedy_of(reason: str, found: Iterable[FoundRemedy], t: Translate) -> str:
    """What to do about a ``reason`` of status, such as ``gnss: silent for 12 s``."""
    part = reason.partition(":")[0]
    for one in found:
        words = re.split(r"[.\s/:]", one.place)
        if one.remedy and part in words and part not in ("link", "machine", "config"):
            return one.remedy
    return next(text for pattern, text in _table(t) if re.search(pattern, reason))


def _table(t: Translate) -> tuple[tuple[str, str], ...]:
    """Patterns of reasons, the more special ones first, and what to do."""
    return (
        (r"^config: ", t("See Configuration: it shows what is wrong, and where.")),
        (r"\bexpire", t("Renew the certificate: ringpost command rotate_certificate.")),
        (r"supply voltage", t("Use a stronger power supply, or a shorter and thicker cable.")),
        (r"temperature|slowed down", t("Give it shade and air; clean the fan and the filters.")),
        (r"disk|outbox|inodes", t("Make room on the disk, and look whether it is read only.")),
        (r"memory", t("Close other programs, or use fewer cameras or a smaller model.")),
        (r"CPU overloaded|analysed", t("Ask for fewer inferences a second, or use a smaller model.")),
        (r"its clock|its date", t("Set the clock: let it reach a time server or a GNSS receiver.")),
        (
            r"^link: ",
            t("Check network and broker. Alerts wait on the disk and are sent as soon as possible."),
        ),
        (r"take longer than", t("See the latency below: the longest step is the one to mend.")),
        (r"^privacy: ", t("Nothing to mend: a rescue grant shows people until it ends.")),
        (r"^evidence: ", t("Look at the folder of the clips: free space, and who may write there.")),
        (r"^audit", t("See Log and audit: verify the log, and tell whoever is responsible.")),
        (r"^drill: ", t("Repeat the drill: ringpost command drill. Then follow its first failed step.")),
        (
            r"jamming|spoofing",
            t("Do not trust its position. Look for a jammer nearby, or another antenna site."),
        ),
        (r"antenna", t("Check the plug and the cable of the antenna.")),
        (r"^position: ", t("Give the antenna free sight of the sky, and wait for a few minutes.")),
        (r"blind|covered|too dark|blurred", t("Look at its picture: clean the lens, remove what covers it.")),
        (r"no valid packets", t("Check baud rate and protocol: ringpost read finds out both.")),
        (r"damaged", t("Check plugs, ground and length of the cable, then the baud rate.")),
        (r"does not answer", t("Check the wire to it: its receive and transmit may be swapped.")),
        (r"failed: |can't switch", t("Replace what it names, or check its plug at the board.")),
        (r"restarted by itself", t("Check its power supply: it loses it, or its program crashes.")),
        (r"No such file|not found|missing", t("Plug it in, then compare its name with: ringpost devices.")),
        (r"Permission|denied", t("Give the agent's user the rights: usermod -aG dialout,video ringpost.")),
        (r"busy|in use", t("Close the other program that holds it.")),
        (r"401|403|unauthorized|credential|password", t("Check user and password of the camera.")),
        (r"refused|unreachable|timed out|no route", t("Check its power, its network cable and its address.")),
        (r"silent", t("Check its power and its cable; look at its raw bytes under Sources.")),
        (r"", t("Run the checks below: they name the cause, and what to do.")),
    )
