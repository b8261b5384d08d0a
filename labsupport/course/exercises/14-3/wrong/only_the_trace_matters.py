# only the trace matters -> The record's other headers
import re

FORM = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")


def hand_on(headers, span, new_trace):
    others = [header for header in headers if header[0] != "traceparent"]
    own = [value for name, value in headers if name == "traceparent"]
    received = FORM.fullmatch(own[0] or b"") if len(own) == 1 else None
    trace, flags = received.groups() if received else (new_trace.encode(), b"01")
    return [("traceparent", b"00-%s-%s-%s" % (trace, span.encode(), flags))]
