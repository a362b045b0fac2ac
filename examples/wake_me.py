"""Waits until one of some sounds is heard, then rings the terminal's bell and says so.

python examples/wake_me.py baby cries            # by the default microphone
python examples/wake_me.py --device 3 dog
python examples/wake_me.py --device examples/sample.ogg thunderstorm
"""

from __future__ import annotations

import argparse
import sys

from edge.errors import AacStreamError
from edge.streaming.stream import stream


def main() -> int:
    parser = argparse.ArgumentParser(description="Waits for a sound.")
    parser.add_argument("--device", default="mic", help="as of aac-stream (mic)")
    parser.add_argument("words", nargs="+", help="any of which must be in the caption")
    given = parser.parse_args()
    try:
        for heard in stream(given.device):
            for event in heard.events:
                if event.open and any(word in event.text.split() for word in given.words):
                    when = heard.at(event.start_s, event.number) or f"{event.start_s:.1f} s"
                    print(f"\a{when}: {event.text} ({event.confidence:.0%} sure)")
                    return 0
    except AacStreamError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 1


if __name__ == "__main__":
    sys.exit(main())
