"""Every benchmark in turn: ``python -m benchmarks``."""

from benchmarks import fusion

if __name__ == "__main__":
    fusion.main()
