"""Commands of the centre, and the state of outputs.

Read `commands.py` first, then `actuators.py`.
Owns: the models of commands (`requests`), their execution (`commands.Commands.carry_out`), the ids that make
a repeat a duplicate (`seen_ids`), a rate limit for each command name (`rate_limit`), and the requests for
sirens, lights and relays (`actuators.Actuators`).
Guarantees: each id is carried out at most once, also across a restart; every command has a result on
``command/result``; nothing that arrives is executed as code. An output is requested for a limited time,
compared with the report of the board, and expires by itself.
Threads: the event loop only. Time is an argument, except in `Commands.carry_out`.
Errors: in a command OSError becomes ``failed`` and ValueError ``rejected``; none reaches the caller.
"""
