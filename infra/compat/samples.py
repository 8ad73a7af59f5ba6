"""Spans as the tests send them."""

import time

from agentlightning.types import Span


def span_json(rollout, attempt, sequence_id=1, span_id=None, **more):
    """A span as a client posts it; `more` replaces fields or adds some."""
    return {
        "rollout_id": rollout,
        "attempt_id": attempt,
        "sequence_id": sequence_id,
        "trace_id": "trace-123",
        "span_id": span_id or f"span-{sequence_id}",
        "parent_id": None,
        "name": "step",
        "status": {"status_code": "OK", "description": None},
        "attributes": {},
        "events": [],
        "links": [],
        "start_time": time.time(),
        "end_time": time.time(),
        "context": None,
        "parent": None,
        "resource": {"attributes": {}, "schema_url": ""},
        **more,
    }


def span(rollout, attempt, sequence_id=1, span_id=None, **more):
    return Span.model_validate(span_json(rollout, attempt, sequence_id, span_id, **more))
