"""`python -m distill`, which `accelerate launch -m distill` needs."""

import sys

from edge.start import aac_distill

sys.exit(aac_distill())
