"""``ringpost check``: validates configurations without hardware, cv2 or onnxruntime."""

import json
import sys
from pathlib import Path

import click

from agent.config.loader import read
from agent.config.notes import config_notes
from agent.config.secret_policy import secret_notes
from agent.config.view_notes import survey_notes
from agent.domain.yaml_loader import BadConfig, Problem
from agent.runtime.exit_codes import EX_CONFIG


def check_command(files: list[Path], env: bool, as_json: bool) -> int:
    """Prints all errors of each file, or one line with "ok". 0; 78 for errors in a file or, with ``env``, at
    this device; 69 where only a broker or the centre failed."""
    code = 0
    for file in files:
        problems: list[Problem] = []
        warnings: list[str] = []
        notes: list[str] = []
        facts: list[str] = []
        try:
            config = read(file)
        except BadConfig as error:
            problems, code = error.problems, EX_CONFIG
            lines = error.lines()
        else:
            lines = []
            notes = [*config_notes(config), *survey_notes(config), *secret_notes(config)]
            if env:
                from agent.cli.checks.environment import check_environment
                from agent.cli.checks.finding import exit_code

                findings = check_environment(config, file)
                warnings = [finding.line for finding in findings if finding.state in ("failed", "warning")]
                facts = [finding.line for finding in findings if finding.is_fact]
                code = max(code, exit_code(findings))
        if as_json:
            errors = [
                {"line": problem.line, "path": problem.path, "message": problem.message}
                for problem in problems
            ]
            answer = {"file": str(file), "ok": not lines, "errors": errors, "warnings": warnings}
            print(json.dumps(answer | {"notes": notes, "facts": facts}))
            continue
        for line in lines:
            click.echo(line, err=True)
        for note in notes:
            click.echo(f"{file}: note: {note}", err=True)
        for warning in warnings:
            click.echo(f"{file}: {warning}", err=True)
        for fact in facts:
            print(f"{file}: {fact}")
        if not lines and not warnings:
            count = f"{len(config.sources)} sources, {len(config.rules)} rules"
            print(f"{file}: ok: {config.device} ({config.kind}), {count}")
    sys.stdout.flush()
    return code
