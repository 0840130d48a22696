"""Measurements that print one table each: `python -m benchmarks.NAME --help`. README.md shows the last ones."""
