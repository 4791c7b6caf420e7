"""The top-level command group, which installed packages extend."""

from importlib.metadata import entry_points
from typing import Any

import click

from agent.cli.options import finish
from agent.runtime.exit_codes import EX_INTERRUPTED


class CommandGroup(click.Group):
    """Our commands and those of installed packages (entry-point group ``ringpost.verbs``)."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        extensions = {entry.name for entry in entry_points(group="ringpost.verbs")}
        return sorted(extensions | set(super().list_commands(ctx)))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        for entry in entry_points(group="ringpost.verbs", name=cmd_name):
            try:
                command: click.Command = entry.load()
            except ImportError as error:
                raise click.ClickException(f"{cmd_name}: {error}; install ringpost[sim]") from error
            return command
        return None

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command. Ctrl-C ends it with 130 at any time: click's 1 would read as a refusal."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            finish(EX_INTERRUPTED)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            similar = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1) if args else []
            if similar and "No such command" in error.message:
                raise click.UsageError(f"{error.message} Did you mean {similar[0]!r}?", ctx) from error
            raise
