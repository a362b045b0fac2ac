import sys

from edge.process.start import aac_stream

sys.exit(aac_stream())
