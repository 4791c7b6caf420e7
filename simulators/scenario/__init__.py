"""Scenarios: what happens to a set of simulated devices, and what must come of it.

    file ─▶ loader, checks ─▶ player on a Stage, virtual or real ─▶ record ─▶ expectations, checker ─▶ verdict

Entry points: `loader.find_scenario`, `player.play`, `search.search_seeds`.
"""
