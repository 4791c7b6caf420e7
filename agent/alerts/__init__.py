"""From findings to alerts: the rule engine and the life of an alert.

    observation ─▶ RuleEngine ─▶ each rule: Finding or Cleared ─▶ AlertBook ─▶ Alert in a phase

A finding is identified by rule and key; while it holds, its alert keeps one id: ``new``, ``update``,
``end``. The `AlertBook` decides what is worth an update, when nobody has answered in time, and when a
finding has really cleared. It is pure: time is an argument, alerts are return values, nothing here stores
or sends.

An exception in a rule is logged and reported; the other rules still get the observation. After a restart
the active alerts are restored before any rule runs, so that a finding that still holds keeps its id.
"""
