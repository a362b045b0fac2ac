import sys

from edge.start import aac_stream

sys.exit(aac_stream())
