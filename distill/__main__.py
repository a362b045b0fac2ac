"""`python -m distill`, which `accelerate launch -m distill` needs."""

import sys

from edge.process.start import aac_distill

sys.exit(aac_distill())
