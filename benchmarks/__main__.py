"""`python -m benchmarks`, where nothing is installed."""

import sys

from edge.process.start import aac_bench

sys.exit(aac_bench())
