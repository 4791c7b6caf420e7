"""Mutations of the agent and of the centre, each of which a scenario must notice."""

from bench.mutations import first_trial, in_the_field, seen_by_invariants  # noqa: F401
from bench.mutations.mutation import MUTATIONS, Patch
from bench.mutations.playing import play_mutated
from bench.mutations.troubles import TROUBLES_NAME

__all__ = ["MUTATIONS", "TROUBLES_NAME", "Patch", "play_mutated"]
