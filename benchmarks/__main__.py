"""Every benchmark in turn: ``python -m benchmarks``."""

from benchmarks import frontend, fusion

if __name__ == "__main__":
    frontend.main()
    fusion.main()
