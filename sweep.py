"""Run every trial of a W&B sweep file on this machine, without an account.

python sweep.py sweeps/quick.yaml
python sweep.py --help
"""

import sys

from headtohead.runner.main import main

if __name__ == "__main__":
    sys.exit(main())
