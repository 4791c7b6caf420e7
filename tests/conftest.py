"""What all tests share: property tests measure words, not this machine, so no example is ever too slow."""

from hypothesis import HealthCheck, settings

settings.register_profile("ringpost", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ringpost")
