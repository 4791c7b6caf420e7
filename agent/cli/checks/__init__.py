"""The checks of this machine, its hardware and its brokers, for ``ringpost doctor`` and ``check --env``.

Entry points: `environment.check_environment` for ``check --env``; `doctor_checks.doctor_checks` and
`runner.run_checks` for ``doctor``.
Guarantees: nothing is changed. A port or camera that the running agent holds is never opened, and the broker
is not logged in to while the agent runs: its session may be the agent's. Whatever may hang or crash (cameras,
models) runs in a child process; everything has a time limit. No finding contains a secret.
Threads: one event loop; blocking checks run on threads that are abandoned at their limit.
Errors: none; whatever goes wrong is a `Finding`.
Read this first: ``finding.py``.
"""
