"""Turn the records of trials into tables, verdicts, figures and one HTML report.

python report.py runs/quick
python report.py --help
"""

import sys

from headtohead.report.main import main

if __name__ == "__main__":
    sys.exit(main())
