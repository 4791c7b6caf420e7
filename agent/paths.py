"""Paths and secrets in a configuration, which the sources of ``firmware_bridge`` name too."""

from firmware_bridge.secret import NearPath, Secret, beside

__all__ = ["NearPath", "Secret", "beside"]
