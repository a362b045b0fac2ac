"""`python -m distill`, which `accelerate launch -m distill` needs."""

import sys

from distill.cli import main

sys.exit(main())
