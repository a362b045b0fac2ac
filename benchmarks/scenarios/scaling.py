"""One window again: other lengths, beams and threads."""

from benchmarks.scenarios.window import begin as begin
