"""The reference's adapters on the traces of one file, timed: `adapters.py FILE SECONDS WIDTHS`.

Prints one JSON object: CPU-ms of each pass over all rollouts for triplets and for rows, and counts.
"""

import contextlib
import io
import json
import sys
import time

from reference_rows import load_daemon, row_builder

from agentlightning.adapter.triplet import TracerTraceToTriplet
from agentlightning.types import Span


def passes(seconds, work):
    """CPU-ms of each of at least three passes, for about so many seconds; and the last result."""
    took = []
    until = time.monotonic() + seconds
    while len(took) < 3 or time.monotonic() < until:
        before = time.process_time()
        result = work()
        took.append((time.process_time() - before) * 1000)
    return took, result


def main(file, seconds, widths):
    rollouts = {}
    with open(file, encoding="utf8") as lines:
        for line in lines:
            span = Span.model_validate(json.loads(line))
            rollouts.setdefault(span.rollout_id, []).append(span)
    adapter = TracerTraceToTriplet()
    triplets_ms, triplets = passes(
        seconds, lambda: {name: adapter.adapt(spans) for name, spans in rollouts.items()}
    )
    answer = {
        "calls": sum(len(found) for found in triplets.values()),
        "triplets": triplets_ms,
        "rows": {},
    }
    finished = [
        (name, name, next((t.reward for t in reversed(found) if t.reward is not None), None), found)
        for name, found in triplets.items()
    ]
    daemon = load_daemon()
    for level, (prompt, response) in widths.items():
        build = row_builder(daemon, level, prompt, response)
        took, (_, metrics) = passes(seconds, lambda: build(finished))
        answer["rows"][level] = {"ms": took, "rows": int(metrics["training/n_triplets"])}
    return answer


if __name__ == "__main__":
    file, seconds, widths = sys.argv[1:]
    with contextlib.redirect_stdout(io.StringIO()):
        answer = main(file, float(seconds), json.loads(widths))
    print(json.dumps(answer))
