"""From findings to alerts: the rule engine and the life of an alert.

    observation ─▶ RuleEngine ─▶ each rule: Finding or Cleared ─▶ AlertBook ─▶ Alert in a phase

A finding is identified by rule and key; while it holds, its alert keeps one id: ``new``, ``update``, ``end``.
`AlertBook` decides which changes are sent (`update_policy`), when an unanswered alert escalates, and when a
finding has cleared for long enough. Floods of keys from outside are limited (`alert_limit`).

All of it is pure and runs on the event loop: time is an argument, alerts are return values; nothing here
stores or sends. `AlertBook.dump` is stored in the same commit as the alerts. After a restart `restore` comes
before any rule runs, so that a finding that still holds keeps its id. ValueError: the stored state
is damaged. An exception in a rule is logged; the other rules still get the observation.

Read `alert_book.py` first.
"""
