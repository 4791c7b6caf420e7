"""The commands of ``ringpost``.

Owns: options, output and exit codes of the command line; none of the agent's behaviour.
Entry points: ``agent/__main__.py`` collects the commands of ``agent_commands.py``, ``local_commands.py``,
``hardware_commands.py``, ``model_commands.py`` and ``remote_commands.py``, which only declare options. A
command imports its implementation when it is called (``ringpost fetch``: ``fetch_command`` in ``fetch.py``),
so that ``ringpost --help`` loads neither pydantic nor cv2. Packages add commands by the entry-point group
``ringpost.verbs`` (``command_group.py``).
Guarantees: results go to stdout (``--json``: one object per line), errors to stderr in one line each. Text
from a broker or a device passes `agent.runtime.sanitize` first. Exit codes: `agent.runtime.exit_codes`.
Threads: each command runs its own event loop; ``detect`` uses one thread per core.
Errors: OSError: 1, or 69 where it comes from a broker; BadConfig: 78; wrong options: 2.
Read this first: ``config_push.py``, on top of ``broker_session.py``.
"""
