"""``ringpost check --env``: devices, disk, secrets, models, cameras and brokers are present and work.

The check changes nothing: it opens no serial port (that may reset a microcontroller), and the running agent
keeps its session with the broker.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from agent.cli.checks.broker import check_brokers
from agent.cli.checks.cameras import check_cameras
from agent.cli.checks.certificates import check_certificates
from agent.cli.checks.disk import check_disk
from agent.cli.checks.finding import Finding, ok
from agent.cli.checks.models import check_model_files
from agent.cli.checks.ports import check_ports
from agent.cli.checks.secrets import check_secrets
from agent.cli.checks.servers import check_servers
from agent.cli.checks.target import Target, use_credentials_of_unit
from agent.config.model import Config


def check_environment(config: Config, file: Path = Path("FILE")) -> list[Finding]:
    """All findings. Blocks until cameras and brokers have answered or timed out."""
    use_credentials_of_unit()
    target = Target(file=file, config=config, folder=config.data.directory)
    certificates = list(check_certificates(config))
    findings = [
        *check_ports(target),
        *check_disk(target),
        *check_secrets(target),
        *check_model_files(config),
        *certificates,
    ]
    if target.agent is not None:
        findings.append(ok(f"the agent is running: {target.agent}"))
    usable = not any(finding.state == "failed" for finding in certificates)
    return findings + asyncio.run(_check_network(target, config, with_brokers=usable))


async def _check_network(target: Target, config: Config, *, with_brokers: bool) -> list[Finding]:
    """Checks servers, cameras and brokers concurrently."""
    jobs = [_all(check_servers(config)), _all(check_cameras(target))]
    if with_brokers:
        jobs.append(check_brokers(config, agent_runs=target.agent is not None))
    return [finding for findings in await asyncio.gather(*jobs) for finding in findings]


async def _all(findings: AsyncIterator[Finding]) -> list[Finding]:
    return [finding async for finding in findings]
