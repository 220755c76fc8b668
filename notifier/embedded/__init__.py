"""Everything on one machine, with real servers from wheels: for the demo, the tests and the benchmarks.

Nothing here is needed, or imported, in production.
"""
