"""`python -m benchmarks`, where nothing is installed."""

import sys

from benchmarks.cli import main

sys.exit(main())
