"""The combiner's constants, one set for all series. Written by `python -m bench.fit_combiner --write`."""

AGAIN_BITS = 2.0
ALARM_BITS = 0.3
ALARM_MEMORY = 2_000.0
ALONE_EARLY = 6.0
ALONE_HALF = 40_000.0
ALONE_LATE = 1.0
FIRE_BITS = 5.2
MEMORY_RATE = 0.2
MEMORY_SHARE = 0.5
REST_SAMPLES = 150.0
