"""Runs a trial as a script: what Lightning starts again for each further process of a trial."""

import sys
from pathlib import Path

if __name__ == "__main__":
    here = Path(__file__).resolve()
    sys.path[:] = [str(here.parents[2]), *(place for place in sys.path if place != str(here.parent))]
    from headtohead.trial.main import main

    sys.exit(main(sys.argv[1:]))
