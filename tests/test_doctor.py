"""`ringpost doctor`: each check on machines, data folders and agents made for it."""

import asyncio
import json
import os
import threading
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.__main__ import cli
from agent.audit.audit_log import AuditLog
from agent.audit.chain_files import ChainFiles
from agent.cli.checks import agent_state, clock, host, queue, trust
from agent.cli.checks.broker import check_brokers
from agent.cli.checks.certificates import check_certificates
from agent.cli.checks.child import run_child
from agent.cli.checks.configuration import check_configuration, load
from agent.cli.checks.disk import check_disk
from agent.cli.checks.finding import Finding, exit_code, failed, ok, skipped, warning, worst
from agent.cli.checks.fixes import check_fixes
from agent.cli.checks.models import check_models
from agent.cli.checks.ports import check_ports
from agent.cli.checks.runner import Check, run_checks
from agent.cli.checks.secrets import check_permissions, check_secrets
from agent.cli.checks.target import Machine, Target, use_credentials_of_unit
from agent.cli.doctor import WIDTH, doctor_command
from agent.config.ledger import FILE as LEDGER
from agent.config.ledger import Ledger, PushResult, Version
from agent.config.loader import digest, parse
from agent.config.model import Config
from agent.config.secret_filter import SecretFilter
from agent.domain.message import Message
from agent.outbox.outbox import Outbox
from agent.trust.device_key import load_or_make
from agent.trust.roles import sign_roles, small_team_roles
from agent.trust.signing_key import SigningKey
from firmware_bridge.nmea import gnss_encoder
from firmware_bridge.readings import Fix
from simulators.wire import Wire
from tests.scripted_broker import SILENT, ScriptedBroker
from tests.test_environment import scripted

BASE = """\
schema_version: 1
device: d
kind: watch_point
place: {{ring: inner_city, domain: ground, site: s, post: p}}
data: {{directory: "{folder}/data", max_mb: 32}}
evidence: {{record: false}}
broker: {{url: "mqtt://127.0.0.1:{port}"}}
"""


def text_of(folder: Path, more: str = "", port: int = 9) -> str:
    return BASE.format(folder=folder, port=port) + more


def config_of(folder: Path, more: str = "", port: int = 9) -> Config:
    return parse(text_of(folder, more, port), name="a.yaml", base=folder)


def target_of(folder: Path, more: str = "", root: Path = Path("/")) -> Target:
    (folder / "data").mkdir(exist_ok=True)
    config = config_of(folder, more)
    return Target(file=folder / "a.yaml", config=config, folder=folder / "data", machine=Machine(root))


def lines(findings: Iterator[Finding]) -> list[str]:
    return [f"{finding.state}: {finding.line}" for finding in findings]


async def collected(findings: Any) -> list[str]:
    return [f"{finding.state}: {finding.line}" async for finding in findings]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_health(folder: Path, **fields: Any) -> None:
    at = {"at": datetime.now(UTC).isoformat()}
    write(folder / "data" / "health.json", json.dumps(at | fields))


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Path]:
    """A folder whose data an agent holds: this process."""
    outbox = Outbox.open(tmp_path / "data")
    yield tmp_path
    outbox.close()


@pytest.mark.parametrize(
    ("findings", "state", "code"),
    [
        ([], "ok", 0),
        ([ok("a")], "ok", 0),
        ([skipped("a")], "skipped", 0),
        ([skipped("a"), ok("b")], "ok", 0),
        ([skipped("a"), warning("b"), ok("c")], "warning", 0),
        ([failed("a", central=True), warning("b")], "failed", 69),
        ([failed("a", central=True), failed("b")], "failed", 78),
        ([failed("a")], "failed", 78),
    ],
)
def test_the_worst_counts_and_local_comes_before_central(
    findings: list[Finding], state: str, code: int
) -> None:
    assert (worst(findings), exit_code(findings)) == (state, code)


HOSTS: dict[str, tuple[dict[str, str], str]] = {
    "cool": ({"sys/class/thermal/thermal_zone0/temp": "45000"}, "ok: 45 °C"),
    "hot": ({"sys/class/thermal/thermal_zone0/temp": "78500"}, "warning: 78.5 °C; shade it"),
    "too hot": ({"sys/class/thermal/thermal_zone1/temp": "91000"}, "failed: 91 °C; shade it"),
    "unknown": ({"sys/class/thermal/thermal_zone0/temp": "-274000"}, "skipped: this machine reports no temp"),
    "low voltage now": (
        {"sys/devices/platform/soc/soc:firmware/get_throttled": "50005"},
        "failed: now: CPU is slowed down, supply voltage is too low; a stronger power supply",
    ),
    "low voltage before": (
        {"sys/devices/platform/soc/soc:firmware/get_throttled": "10000"},
        "warning: since the start: supply voltage is too low; a stronger power supply",
    ),
    "slow before": (
        {"sys/devices/platform/soc/soc:firmware/get_throttled": "40000"},
        "warning: since the start: CPU is slowed down; shade it",
    ),
    "well": ({"sys/devices/platform/soc/soc:firmware/get_throttled": "0"}, "ok: not throttled"),
    "counted": (
        {"sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "7"},
        "warning: the CPU was slowed down 7 times",
    ),
    "no memory": (
        {"proc/meminfo": "MemTotal: 900000 kB\nMemAvailable: 20000 kB\n"},
        "warning: 20 of 900 MB memory free; see what uses it",
    ),
    "busy": (
        {"proc/meminfo": "MemTotal: 900000 kB\nMemAvailable: 500000 kB\n", "proc/loadavg": f"1 {9 * (os.cpu_count() or 1)} 1"},
        "warning: 500 of 900 MB memory free, load 9 per core; see what uses it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTS)
def test_temperature_throttling_and_memory(case: str, tmp_path: Path) -> None:
    files, words = HOSTS[case]
    for name, text in files.items():
        write(tmp_path / "root" / name, text + "\n")
    found = lines(host.check_host(target_of(tmp_path, root=tmp_path / "root")))
    assert any(line.startswith(words) for line in found), found


@pytest.mark.parametrize(
    ("synced", "error_ms", "health", "words"),
    [
        (True, 12.0, {}, "ok: "),
        (True, 5000.0, {}, "warning: "),
        (False, None, {}, "warning: "),
        (False, None, {"clock": {"source": "gnss", "error_ms": 210}}, "ok: "),
    ],
)
def test_the_clock(
    synced: bool,
    error_ms: float | None,
    health: dict[str, Any],
    words: str,
    agent: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.cli.checks.clock.kernel_clock", lambda: (synced, error_ms))
    write_health(agent, **health)
    (line,) = lines(clock.check_clock(target_of(agent, root=agent / "nothing")))
    assert line.startswith(words)
    assert "synchronised" in line or "GNSS" in line


def test_a_clock_that_is_certainly_wrong_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.cli.checks.clock.utc_now", lambda: datetime(1970, 1, 1, tzinfo=UTC))
    (line,) = lines(clock.check_clock(target_of(tmp_path)))
    assert line.startswith("failed: the clock says 1970-01-01 00:00 UTC, which is wrong; sudo date")


def test_a_port_that_another_program_holds_is_named_with_its_end(tmp_path: Path) -> None:
    wire = Wire(tmp_path / "ttyUSB0")
    proc = tmp_path / "root/proc"
    more = f"sources: {{gnss: {{kind: nmea, port: {wire.path}}}}}\n"
    try:
        for name, remedy in (("gpsd", "disable --now gpsd.socket"), ("minicom", "sudo kill 812")):
            write(proc / "812/comm", name + "\n")
            (proc / "812/fd").mkdir(exist_ok=True)
            link = proc / "812/fd/5"
            link.unlink(missing_ok=True)
            link.symlink_to(wire.path.resolve())
            (line,) = lines(check_ports(target_of(tmp_path, more, tmp_path / "root")))
            assert line.startswith(f"failed: sources.gnss.port: {wire.path} is in use by {name} (812); ")
            assert remedy in line
        link.unlink()
        (line,) = lines(check_ports(target_of(tmp_path, more, tmp_path / "root")))
        assert line == f"ok: sources.gnss.port: {wire.path}: present, may be opened, nobody holds it"
    finally:
        wire.unplug()
    (line,) = lines(check_ports(target_of(tmp_path, more)))
    assert "not found: unplugged or renamed; `ringpost devices` lists the ports" in line


def test_a_port_of_the_running_agent_is_well_and_is_not_opened(agent: Path) -> None:
    wire = Wire(agent / "ttyUSB0")
    more = f"sources: {{gnss: {{kind: nmea, port: {wire.path}}}}}\n"
    held = os.open(wire.path, os.O_RDWR | os.O_NOCTTY)
    try:
        (line,) = lines(check_ports(target_of(agent, more)))
        assert line == f"ok: sources.gnss.port: {wire.path}: open by the running agent"
        write_health(
            agent,
            parts=[{"part": "gnss", "running": "running", "speaking": True, "good": 9}],
            receivers=[{"source": "gnss", "used": True, "satellites": 9}],
        )
        (line,) = asyncio.run(collected(check_fixes(target_of(agent, more))))
        assert line == "ok: sources.gnss: the running agent gets fixes: satellites 9"
        parts = [{"part": "gnss", "running": "waiting", "error": "unplugged"}]
        write_health(agent, parts=parts)
        (line,) = asyncio.run(collected(check_fixes(target_of(agent, more))))
        assert line.startswith("failed: sources.gnss: the running agent says: unplugged")
    finally:
        os.close(held)
        wire.unplug()


FIXES: dict[str, tuple[Fix | None, str]] = {
    "good": (
        Fix(mode="3d", lat=32.0, lon=118.0, satellites=9, hdop=0.9, time=datetime.now(UTC)),
        "ok: sources.gnss: 3D fix, 9 satellites",
    ),
    "poor": (
        Fix(mode="3d", lat=32.0, lon=118.0, satellites=4, hdop=9.0, time=datetime.now(UTC)),
        "warning: sources.gnss: 3D fix",
    ),
    "none": (
        Fix(mode="none", satellites=0, time=datetime.now(UTC)),
        "warning: sources.gnss: no fix",
    ),
    "silent": (None, "failed: sources.gnss: no fix message in 1 s, nothing received; check its power"),
}


@pytest.mark.parametrize("case", FIXES)
def test_a_free_receiver_is_listened_to(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fix, words = FIXES[case]
    monkeypatch.setattr("agent.cli.checks.fixes.LISTEN_S", 1.0 if fix is None else 4.0)
    wire, done = Wire(tmp_path / "gnss"), threading.Event()

    def send() -> None:
        while fix is not None and not done.wait(0.2):
            wire.write(gnss_encoder.encode(fix))

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    try:
        more = f"sources: {{gnss: {{kind: nmea, port: {wire.path}, baud: 9600}}}}\n"
        (line,) = asyncio.run(collected(check_fixes(target_of(tmp_path, more))))
        assert line.startswith(words)
    finally:
        done.set()
        sender.join()
        wire.unplug()


def test_the_queue_is_read_while_the_agent_writes_it(agent: Path) -> None:
    """And from a copy where no agent runs: nothing new lies beside the files."""
    target = target_of(agent)
    assert lines(queue.check_queue(target)) == ["ok: nothing waits"]
    assert target.agent is not None


def test_what_waits_is_counted(tmp_path: Path) -> None:
    async def scene() -> None:
        outbox = Outbox.open(tmp_path / "data")
        messages = [
            Message(lane="alert", topic="alert", id=f"a{n}", body=b"{}", rank=n % 2, age_s=age_s)
            for n, age_s in enumerate((7200.0, 1.0, 2.0))
        ]
        await outbox.put(*messages)
        try:
            (line,) = lines(queue.check_queue(target_of(tmp_path)))
            assert line.startswith("failed: waits: 3 alert; 2 of it critical; the oldest alert for 2 h; ")
        finally:
            outbox.close()

    asyncio.run(scene())
    before = sorted(path.name for path in (tmp_path / "data").iterdir())
    (line,) = lines(queue.check_queue(target_of(tmp_path)))
    assert line.startswith(
        "warning: waits: 3 alert; 2 of it critical; the oldest alert for 2 h; start the agent"
    )
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == before
    (tmp_path / "data/alerts.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    (line,) = lines(queue.check_queue(target_of(tmp_path)))
    assert line.startswith("failed: alerts.db: ")


def test_the_disk_is_written_and_left_as_it_was(tmp_path: Path) -> None:
    target = target_of(tmp_path)
    found = lines(check_disk(target))
    assert [line.split(":")[0] for line in found] == ["ok", "ok"]
    assert list(target.folder.iterdir()) == []


def test_files_that_others_may_read_are_counted(tmp_path: Path) -> None:
    target = target_of(tmp_path, root=tmp_path / "root")
    for name, mode in (("alerts.db", 0o644), ("telemetry-00000001.db", 0o600), ("notes.txt", 0o644)):
        (target.folder / name).touch()
        (target.folder / name).chmod(mode)
    found = lines(check_permissions(target))
    assert found[0] == f"warning: 1 files are open to others: alerts.db; sudo chmod -R go= {target.folder}"
    assert found[1].startswith("skipped: no systemd unit")
    (target.folder / "alerts.db").chmod(0o600)
    write(tmp_path / "root/etc/systemd/system/ringpost.service", "[Service]\nUMask=0077\n")
    assert [line.split(":")[0] for line in lines(check_permissions(target))] == ["ok", "ok"]


def test_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "good").write_text("swordfish")
    (tmp_path / "good").chmod(0o600)
    camera = (
        "{{kind: camera, url: 'rtsp://127.0.0.1:9/{0}', purpose: a test, username: u, password: {{{1}}}}}"
    )
    cases = (("file: good", "ok: 1 secrets can be read"), ("file: nope", "failed: sources.c.password: "),
             ("credential: x", "skipped: sources.c.password: credential 'x': only the service"),
             ("env: RINGPOST_NOPE", "failed: sources.c.password: environment"))  # fmt: skip
    for secret, words in cases:
        more = f"sources: {{c: {camera.format('x', secret)}}}\n"
        (line,) = lines(check_secrets(target_of(tmp_path, more)))
        assert line.startswith(words)
        assert "swordfish" not in line
    (tmp_path / "good").chmod(0o644)
    (line,) = lines(
        check_secrets(target_of(tmp_path, f"sources: {{c: {camera.format('x', 'file: good')}}}\n"))
    )
    assert line.startswith(f"warning: sources.c.password: {tmp_path}/good is open to every user; chmod o=")


def test_the_agent_says_how_it_is(agent: Path) -> None:
    (line,) = lines(agent_state.check_agent(target_of(agent)))
    assert line.startswith("skipped: runs: ")
    write_health(agent, reasons=["gnss: silent"], link={"broker": "mqtts://b:8883", "acknowledged_ms": 40.1})
    state, link, reason = lines(agent_state.check_agent(target_of(agent)))
    assert f"({os.getpid()}), degraded" in state
    assert link == "ok: connected to mqtts://b:8883, acknowledges in 40.1 ms"
    assert reason == "warning: it says: gnss: silent; see the check of that part"
    write_health(agent, reasons=["machine: CPU overloaded"], link={"broker": "mqtts://b:8883"})
    assert lines(agent_state.check_agent(target_of(agent)))[-1].endswith("; see the check of the temperature")
    write_health(agent, reasons=[], link={})
    assert lines(agent_state.check_agent(target_of(agent)))[1].startswith("failed: it is not connected")
    write(agent / "data/health.json", json.dumps({"at": "2026-11-01T00:00:00Z", "reasons": "x" * 999}))
    (line,) = lines(agent_state.check_agent(target_of(agent)))
    assert line.startswith("warning: runs: ")


def test_no_agent(tmp_path: Path) -> None:
    (line,) = lines(agent_state.check_agent(target_of(tmp_path)))
    assert line.startswith(f"warning: no agent runs with the data in {tmp_path}/data; sudo systemctl start")


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"at": 7, "parts": 3, "reasons": {}}', "\0" * 99, "[" * 50_000]
)
def test_a_damaged_health_file_is_no_health(text: str, agent: Path) -> None:
    write(agent / "data/health.json", text)
    target = target_of(agent)
    assert lines(agent_state.check_agent(target))
    assert target.part("x") == {}


def ledger_in(folder: Path, ledger: Ledger) -> None:
    write(folder / "data/config" / LEDGER, ledger.model_dump_json())


def test_drift_and_the_last_push_are_told(tmp_path: Path) -> None:
    file, text = tmp_path / "a.yaml", text_of(tmp_path)
    file.write_text(text)
    local = Version(text=text, sha256=digest(text), source="local", local_sha256=digest(text))
    pushed_text = text.replace("site: s", "site: t")
    pushed = Version(
        text=pushed_text, sha256=digest(pushed_text), source="push", revision=7, local_sha256=digest(text)
    )

    def told() -> list[str]:
        loaded = load(file, None)
        target = Target(file=file, config=loaded.in_force, folder=loaded.folder)
        assert loaded.in_force is not None
        return [loaded.in_force.place.site, *lines(check_configuration(target, loaded))]

    assert told() == ["s", f"ok: {file}: valid; d (watch_point), 0 sources, 0 rules"]
    ledger_in(tmp_path, Ledger(active=local))
    assert told()[-1] == "ok: in force: this file"
    reason = PushResult(state="rolled_back", revision=8, reason="the broker was not reached")
    ledger_in(tmp_path, Ledger(active=pushed, answer=reason))
    site, _, force, differs, rolled = told()
    assert site == "t"
    assert force.startswith("ok: in force: pushed, device revision 7")
    assert differs == "ok: the push differs from the file in place.site"
    assert rolled.startswith(
        "warning: the last push, revision 8, was rolled back: the broker was not reached"
    )
    file.write_text(text.replace("post: p", "post: q"))
    site, *rest = told()
    assert site == "s"
    assert (
        "warning: the file was edited since the agent's start: place.post, place.site; to run it: " in rest[1]
    )
    (tmp_path / "data/config" / LEDGER).write_text("{")
    assert any("damaged" in line for line in told())
    assert (tmp_path / "data/config" / LEDGER).exists()


def test_the_roles_document(tmp_path: Path) -> None:
    (line,) = lines(trust.check_roles(target_of(tmp_path)))
    assert line.startswith("warning: no roles document: the device takes no push")
    key = SigningKey.generate()
    roles = small_team_roles(key, SigningKey.generate())
    (tmp_path / "data/config").mkdir()
    (tmp_path / "data/config/roles.json").write_bytes(sign_roles(roles, [key]))
    first, *rest = lines(trust.check_roles(target_of(tmp_path)))
    assert first.startswith("ok: version 1 in ")
    assert any(line.startswith(f"ok: configurer: {key.key_id[:8]} (root); devices *") for line in rest)
    (tmp_path / "data/config/roles.json").write_bytes(sign_roles(roles, [SigningKey.generate()]))
    assert lines(trust.check_roles(target_of(tmp_path)))[0].startswith("failed: roles: ")


def test_the_audit_log_is_verified(tmp_path: Path) -> None:
    target = target_of(tmp_path)
    (line,) = lines(trust.check_audit(target))
    assert line.startswith(f"skipped: {tmp_path}/data/audit does not exist")
    key = load_or_make(tmp_path / "data")
    log = AuditLog(ChainFiles(tmp_path / "data/audit", device_key=key.public.hex(), sign=key.sign))
    for number in range(3):
        log.append_durably("push", who=["0" * 16], revision=number)
    log.close()
    (line,) = lines(trust.check_audit(target))
    assert line.endswith(" are intact")
    (file,) = (tmp_path / "data/audit").glob("*.jsonl")
    data = file.read_text().splitlines(keepends=True)
    file.write_text("".join(data[:-1]))
    assert any(
        line.startswith("failed: ") and "missing at the end" in line
        for line in lines(trust.check_audit(target))
    )
    file.write_text("".join(data[:1] + data[2:]))
    assert all(line.startswith("failed: ") for line in lines(trust.check_audit(target)))


def test_an_agent_whose_data_are_closed_to_us_is_noticed(
    agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else doctor would log in to the broker, and take the agent's session."""
    real = os.open

    def refuse(path: Any, *arguments: Any, **more: Any) -> int:
        if str(path).startswith(str(agent / "data")):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **more)

    monkeypatch.setattr("os.open", refuse)
    target = target_of(agent)
    assert target.agent is not None
    assert target.agent.endswith(f"({os.getpid()})")


def test_a_key_that_only_the_service_has_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    text = text_of(tmp_path).replace(
        'mqtt://127.0.0.1:9"', 'mqtts://127.0.0.1:9", cert: c.pem, key: {credential: k}'
    )
    (tmp_path / "c.pem").write_text("")
    target = Target(file=tmp_path, config=parse(text, name="", base=tmp_path), folder=tmp_path)
    assert target.config is not None
    first, *_ = lines(check_certificates(target.config))
    assert first.startswith("skipped: broker.key: only the service has its key")
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials/k").write_text("no key")
    use_credentials_of_unit(tmp_path / "credentials")
    first, *_ = lines(check_certificates(target.config))
    assert first.startswith("failed: broker: ")


def test_a_broker_that_never_answers_costs_no_more_than_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.cli.checks.broker.WITHIN_S", 0.5)
    with scripted(ScriptedBroker(admit=lambda _: SILENT)) as broker:
        (finding,) = asyncio.run(check_brokers(config_of(tmp_path, port=broker.port)))
    assert (finding.state, finding.central) == ("failed", True)
    assert finding.text == "127.0.0.1 does not answer within 0.5 s"


def test_a_check_that_hangs_or_raises_is_a_finding_and_the_others_go_on(tmp_path: Path) -> None:
    release = threading.Event()

    def hang(_: Target) -> Iterator[Finding]:
        yield ok("first")
        release.wait(60)

    def fail(_: Target) -> Iterator[Finding]:
        raise KeyError("x")

    async def slow(_: Target) -> Any:
        yield warning("found")
        await asyncio.sleep(60)

    async def scene() -> list[tuple[int, str, str]]:
        checks = [
            Check("hang", hang, 0.2), Check("fail", fail), Check("slow", slow, 0.2, 1),
            Check("fine", lambda _: [ok("x")]), Check("no config", lambda _: [ok("x")], group=2),
        ]  # fmt: skip
        target = Target(file=tmp_path, config=None, folder=tmp_path)
        config = config_of(tmp_path)
        with_config = Target(file=tmp_path, config=config, folder=tmp_path)
        found = [result async for result in run_checks(checks[:4], with_config)]
        found += [result async for result in run_checks(checks[4:], target)]
        return [(result.number, result.state, result.findings[-1].text) for result in found]

    told = asyncio.run(scene())
    release.set()
    assert [(number, state) for number, state, _ in told] == [
        (1, "failed"), (2, "failed"), (4, "ok"), (3, "failed"), (1, "skipped"),
    ]  # fmt: skip
    assert told[0][2] == told[3][2] == "no answer within 0.2 s: it hangs"
    assert told[1][2].startswith("the check itself failed: KeyError")


@pytest.mark.parametrize(
    ("module", "within_s", "words"),
    [
        ("json.tool", 60.0, "it ended with 0"),  # an answer that is no object
        ("this_is_no_module", 60.0, "No module named"),
        ("http.server", 1.0, "no answer within 1 s: it hangs"),
    ],
)
def test_a_child_that_fails_or_hangs(module: str, within_s: float, words: str) -> None:
    answer, error = asyncio.run(run_child(module, {}, within_s))
    if module != "json.tool":
        assert answer is None
        assert words in error
        assert "\n" not in error


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["doctor", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_the_command_beside_a_broker(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    with scripted(ScriptedBroker()) as broker:
        file.write_text(text_of(tmp_path, port=broker.port))
        (tmp_path / "data").mkdir()
        code, said = run(str(file))
        assert all(len(line) <= WIDTH for line in said.splitlines()), said
        assert code == 0, said
        assert "a message to ringpost/v1/d/telemetry/doctor acknowledged in" in said.replace(
            "\n" + " " * 28, " "
        )
        assert [one.topic for one in broker.published] == ["ringpost/v1/d/telemetry/doctor"]
        code, said = run(str(file), "--json")
    *checks, summary = map(json.loads, said.splitlines())
    assert [one["number"] for one in checks] == list(range(1, len(checks) + 1))
    assert {one["state"] for one in checks} <= {"ok", "warning", "failed", "skipped"}
    assert sum(summary["summary"].values()) == len(checks)
    assert list((tmp_path / "data").iterdir()) == []


def test_the_broker_is_not_logged_in_to_beside_a_running_agent(agent: Path) -> None:
    file = agent / "a.yaml"
    with scripted(ScriptedBroker()) as broker:
        file.write_text(text_of(agent, port=broker.port))
        run(str(file))
        assert broker.connects == []


def test_exit_codes(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text_of(tmp_path))
    code, said = run(str(file))
    assert code == 1
    assert "1 failed: broker" in said
    file.write_text("device: [")
    assert run(str(file), "--data", str(tmp_path))[0] == 78
    assert run(str(tmp_path / "nope.yaml"), "--data", str(tmp_path))[0] == 78


SECRETS = (
    "swordfish-1",
    "hunter2-hunter2",
    "in-the-url-7",
    "query-token-9",
    "MIIEvQIBADANBg",
    "block-secret-5",
)


def test_a_bundle_holds_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of files, the environment, urls, keys in PEM form, and what somebody wrote into the configuration."""
    monkeypatch.setenv("CAMERA_PASSWORD", SECRETS[1])
    (tmp_path / "password").write_text(SECRETS[0] + "\n")
    pem = f"-----BEGIN PRIVATE KEY-----\n{SECRETS[4]}\n-----END PRIVATE KEY-----\n"
    good = text_of(
        tmp_path,
        "sources:\n"
        "  a: {kind: camera, url: 'rtsp://127.0.0.1:9/x', purpose: a test, username: u, password: {file: password}}\n"
        f"  b: {{kind: camera, url: 'http://127.0.0.1:9/x?auth={SECRETS[3]}', purpose: a test, username: u,"
        " password: {env: CAMERA_PASSWORD}}\n"
        f"# rtsp://admin:{SECRETS[2]}@10.0.0.1/x once; the password was {SECRETS[0]}\n",
    )
    bad = good + (
        f"privacy: {{rescue_key: {SECRETS[1]}}}\nmqtt_password: '{SECRETS[2]}'\npasswd: |\n  {SECRETS[5]}\n"
        f"  {SECRETS[5]}\nkey: |\n  {pem.replace(chr(10), chr(10) + '  ')}\n"
    )  # fmt: skip
    file, bundle = tmp_path / "a.yaml", tmp_path / "b.zip"
    write_health(tmp_path, parts=[], reasons=[f"cam: rtsp://u:{SECRETS[2]}@h/ {SECRETS[0]}"], note=pem)
    for text in (good, bad):
        file.write_text(text)
        run(str(file), "--data", str(tmp_path / "data"), "--bundle", str(bundle))
        assert bundle.stat().st_mode & 0o777 == 0o600
        with zipfile.ZipFile(bundle) as content:
            assert {"doctor.json", "config.yaml", "health.json", "versions.json", "df.txt"} <= set(
                content.namelist()
            )
            for name in content.namelist():
                inside = content.read(name).decode()
                assert [secret for secret in SECRETS if secret in inside] == [], name
            assert "purpose: a test" in content.read("config.yaml").decode()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.one_of(st.text(), st.binary().map(lambda data: data.decode("latin-1")),
                      st.sampled_from(["a: &a [*a]", "{" * 9999, "- " * 5000, "device: d\nsources: {a: 7}", "\0"])))  # fmt: skip
def test_no_configuration_crashes_it(text: str, tmp_path: Path) -> None:
    file = tmp_path / "hostile.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    code = doctor_command(file, tmp_path / "data", as_json=True, bundle=tmp_path / "b.zip")
    assert code == 78


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("password: correct horse battery", "password: [removed]"),
        ('password: "a b\\"c" # x', 'password: "[removed]" # x'),
        ("{username: bob, password: 'x y', url: z}", "{username: [removed], password: [removed], url: z}"),
        ("rtsp://u:p/a@b@host/x?tok=1", "rtsp://[removed]@host/x?[removed]"),
        ("DB_PASSWORD=abc next=1", "DB_PASSWORD=[removed] next=1"),
        ('{"password": "s1", "n": 2}', '{"password": "[removed]", "n": 2}'),
        ("token: >-\n  s1\n  s2\nother: 1", "token: [removed]\nother: 1"),
        ("-----BEGIN A KEY-----\nx", "[removed]"),
        ("key: {file: a}", "key: {file: a}"),
        ("mqtt://h:1883 reached", "mqtt://h:1883 reached"),
        ("fps: 5", "fps: 5"),
    ],
)
def test_what_a_text_loses(text: str, cleaned: str) -> None:
    assert SecretFilter(()).clean(text) == cleaned


@pytest.mark.parametrize(
    "part", ["a", "pass_", "a://", " ", "key: ", "@", "\n", "key: |\n", "'", 'user="', "\t\n"]
)
def test_no_text_takes_the_filter_long(part: str) -> None:
    """Some of these would take hours with unbounded patterns: the time limit of a test ends it."""
    SecretFilter(()).clean(part * (250_000 // len(part)))


HOSTILE: dict[str, str] = {
    "a port that makes terminals": "sources: {s: {kind: nmea, port: /dev/ptmx}}",
    "a port that is a folder": "sources: {s: {kind: nmea, port: /}}",
    "a port that never ends": "sources: {s: {kind: ubx, port: /dev/zero}}",
    "a port with a null byte": 'sources: {s: {kind: nmea, port: "/dev/\\0x"}}',
    "a port with escapes": 'sources: {s: {kind: nmea, port: "/dev/\\e[2J\\n\\u202e"}}',
    "a port with a long name": f"sources: {{s: {{kind: nmea, port: /dev/{'x' * 5000}}}}}",
    "a pipe as a port": "sources: {s: {kind: nmea, port: FOLDER/pipe}}",
    "a pipe as a camera": "sources: {s: {kind: camera, url: FOLDER/pipe, purpose: test}}",
    "a folder as a camera": "sources: {s: {kind: camera, url: FOLDER, purpose: test}}",
    "a device as a camera": "sources: {s: {kind: camera, url: /dev/mem, purpose: test}}",
    "a pipe as a password": "sources: {s: {kind: camera, url: 'rtsp://127.0.0.1:9/x', purpose: test, username: u, password: {file: pipe}}}",
    "a server without a host": "sources: {s: {kind: ais, port: 'tcp://nope.invalid:9'}}",
    "data in a file": 'data: {directory: "FOLDER/file"}',
    "data nowhere": 'data: {directory: "/proc/nope/x"}',
    "data with a null byte": 'data: {directory: "/x\\0y"}',
    "data in a device": 'data: {directory: "/dev/null"}',
    "a pipe as roles": "roles: pipe",
    "a pipe as CA": "broker: {url: 'mqtts://127.0.0.1:9', ca: pipe}",
    "a broker with a strange name": "broker: {url: 'mqtts://xn--\u00e4.invalid:9', ca: file}",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", HOSTILE)
def test_no_valid_configuration_crashes_it(case: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    more = HOSTILE[case].replace("FOLDER", str(tmp_path))
    key = more.partition(":")[0]
    base = [line for line in text_of(tmp_path).splitlines() if not line.startswith(f"{key}:")]
    file = tmp_path / "a.yaml"
    file.write_text("\n".join([*base, more]) + "\n")
    code, said = run(str(file), "--bundle", str(tmp_path / "b.zip"))
    assert code in (1, 78), said
    assert all(len(line) <= WIDTH for line in said.splitlines()), said
    assert "the check itself failed" not in said or "null" in said
    assert "\x1b[2J" not in said


@pytest.mark.slow
def test_the_model_is_measured_in_a_child_process(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra vision: pip install -e .[vision]")
    camera = "{kind: camera, url: 'rtsp://127.0.0.1:9/x', purpose: a test, fps: 0.1}"
    target = target_of(tmp_path, f"sources: {{c: {camera}}}\n")
    (line,) = asyncio.run(collected(check_models(target)))
    assert "default: loaded in " in line
    assert " ms per inference on cpu" in line


def test_a_broken_file_does_not_hide_what_runs(agent: Path) -> None:
    """The agent goes on with the configuration in force; doctor checks that one, and says what is broken."""
    file, text = agent / "a.yaml", text_of(agent)
    version = Version(text=text, sha256=digest(text), source="local", local_sha256=digest(text))
    ledger_in(agent, Ledger(active=version))
    file.write_text(text.replace("kind: watch_point", "kind: watch_pint"))
    loaded = load(file, None)
    assert loaded.folder == agent / "data"
    assert loaded.in_force is not None
    target = Target(file=file, config=loaded.in_force, folder=loaded.folder)
    assert target.agent is not None
    first, *_ = lines(check_configuration(target, loaded))
    assert first.startswith(f"failed: {file}:3: kind: ")
    assert run(str(agent / "nope.yaml"), "--data", str(agent / "data"))[0] == 78


def test_a_missing_file_is_named_once(tmp_path: Path) -> None:
    assert load(tmp_path / "no.yaml", None).problems == (f"{tmp_path}/no.yaml: No such file or directory",)
