"""Training of both stages: one loop, one checkpoint format, two stages that know what a step is."""
