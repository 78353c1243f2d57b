"""What OpenAPI cannot say of this service: the times that it takes, and how a batch is judged."""

from datetime import datetime, timedelta, timezone

import jsonschema_rs
import schemathesis
from hypothesis import strategies as st

# Those that a MySQL TIMESTAMP holds, in any zone.
_zones = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_times = st.datetimes(datetime(1970, 1, 3), datetime(2038, 1, 17), timezones=_zones).map(datetime.isoformat)
schemathesis.openapi.format("date-time", _times)

# Codes of what the schema of an event cannot say.
_BEYOND_THE_SCHEMA = {"timestamp_out_of_range", "invalid_timestamp", "number_out_of_range", "invalid_string", "too_deep"}


@schemathesis.check
def each_event_of_a_batch_is_judged_alone(ctx, response, case):
    """The events that the schema forbids are rejected, the others accepted, and all are counted."""
    if case.operation.label != "POST /events/batch" or response.status_code not in (200, 202):
        return
    events = case.body["events"] if isinstance(case.body, dict) else case.body
    answer = response.json()
    rejected = {error["index"]: error["code"] for error in answer["errors"]}
    assert answer["received"] == len(events) == answer["accepted"] + answer["rejected"]
    assert answer["rejected"] == len(rejected)
    components = case.operation.schema.raw_schema["components"]
    validator = jsonschema_rs.Draft202012Validator(
        {"$ref": "#/components/schemas/NewEvent", "components": components}, validate_formats=True
    )
    for index, event in enumerate(events):
        if not validator.is_valid(event):
            assert index in rejected, f"accepted, and not valid: {event!r}"
        elif index in rejected:
            assert rejected[index] in _BEYOND_THE_SCHEMA, f"{rejected[index]}, and valid: {event!r}"


@schemathesis.check
def a_page_needs_no_cursor(ctx, response, case):
    """Without a cursor, valid filters always lead to a page."""
    if case.operation.label == "GET /events" and case.meta and case.meta.generation.mode.is_positive:
        assert response.status_code == 200 or "cursor" in (case.query or {})


@schemathesis.check
class WhatIsDurableCanBeRead:
    """An event that was acknowledged, and not just as queued, is found from then on."""

    def __init__(self):
        self.durable = set()

    def after_response(self, ctx, response, case):
        if response.status_code in (200, 202) and case.operation.label.startswith("POST /events"):
            answer = response.json()
            if answer["ack"] != "queued":
                self.durable.update(answer.get("ids") or [answer.get("id")])
        if response.status_code == 404 and case.operation.label == "GET /events/{id}":
            assert str(case.path_parameters["id"]).lower() not in self.durable
