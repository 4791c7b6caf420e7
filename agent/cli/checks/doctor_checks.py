"""The checks of ``ringpost doctor`` in their order: what others depend on comes first."""

from collections.abc import AsyncIterator

from agent.cli.checks.agent_state import check_agent, check_versions
from agent.cli.checks.broker import check_brokers
from agent.cli.checks.cameras import check_cameras
from agent.cli.checks.certificates import check_certificates
from agent.cli.checks.clock import check_clock
from agent.cli.checks.configuration import LoadedConfig, check_configuration
from agent.cli.checks.disk import check_disk
from agent.cli.checks.finding import Finding, skipped
from agent.cli.checks.fixes import check_fixes
from agent.cli.checks.host import check_host
from agent.cli.checks.models import check_models
from agent.cli.checks.ports import check_ports
from agent.cli.checks.queue import check_queue
from agent.cli.checks.runner import Check
from agent.cli.checks.secrets import check_permissions, check_secrets
from agent.cli.checks.servers import check_servers
from agent.cli.checks.target import Target
from agent.cli.checks.trust import check_audit, check_roles

HERE, HARDWARE, LOAD = 0, 1, 2
"""Groups: quick checks of this machine; what has to answer; what needs the whole CPU."""


def doctor_checks(loaded: LoadedConfig) -> tuple[Check, ...]:
    """At most about 56 s: 12 s for the first group, 22 s for each other one."""
    return (
        Check("configuration", lambda target: check_configuration(target, loaded), needs_config=False),
        Check("agent", check_agent, needs_config=False),
        Check("clock", check_clock, needs_config=False),
        Check("certificates", _certificates),
        Check("secrets", check_secrets),
        Check("permissions", check_permissions, needs_config=False),
        Check("roles", check_roles),
        Check("audit", check_audit, 12.0, needs_config=False),
        Check("disk", check_disk, needs_config=False),
        Check("queue", check_queue, needs_config=False),
        Check("temperature", check_host, needs_config=False),
        Check("versions", check_versions, needs_config=False),
        Check("ports", check_ports, group=HARDWARE),
        Check("servers", _servers, 12.0, HARDWARE),
        Check("fixes", check_fixes, 15.0, HARDWARE),
        Check("cameras", check_cameras, 22.0, HARDWARE),
        Check("broker", _brokers, 22.0, HARDWARE),
        Check("models", check_models, 22.0, LOAD),
    )


def _certificates(target: Target) -> list[Finding]:
    assert target.config is not None  # noqa: S101  the runner skips it otherwise
    return list(check_certificates(target.config))


async def _servers(target: Target) -> AsyncIterator[Finding]:
    assert target.config is not None  # noqa: S101  the runner skips it otherwise
    found = [finding async for finding in check_servers(target.config)]
    for finding in found or [skipped("the configuration has no serial server or gpsd")]:
        yield finding


async def _brokers(target: Target) -> AsyncIterator[Finding]:
    assert target.config is not None  # noqa: S101  the runner skips it otherwise
    for finding in await check_brokers(target.config, agent_runs=target.agent is not None):
        yield finding
