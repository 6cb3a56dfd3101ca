"""Rules of the endpoint that OpenAPI cannot express, for the requests that Schemathesis generates."""

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    """`until` needs `wait`."""
    if "until" in (case.query or {}):
        case.query.setdefault("wait", 0)
