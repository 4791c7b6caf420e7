"""The configuration of one device: its model, its file, and the pushes that change it.

Read `model.py` first, then `deployment.py`.
Owns: the sections of the file (`model.Config`), reading and checking (`loader.parse`, `cross_checks`,
`notes`), the choice at the start (`startup.choose`), the course of a push (`deployment.Deployment.handle`),
what no push may change (`push_policy`, `secret_policy`), the signatures that the other changes need
(`policy_table`, `push_changes`), the ledger of versions on disk (`ledger.Ledger`).
Guarantees: a pushed configuration is in force only after a proved trial; a trial that does not prove itself,
or that a restart interrupts, is rolled back; a push weakens neither redaction nor the connection.
Threads: the event loop; `check_push` and writes of the ledger run on worker threads.
Errors: `BadConfig` lists every error with path and line; OSError where a file can't be read or written.
"""
