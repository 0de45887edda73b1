"""The test suite, in tiers: unit, integration, e2e, chaos, bench."""
