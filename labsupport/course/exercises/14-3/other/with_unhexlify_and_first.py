from binascii import unhexlify


def context(value):
    if len(value or b"") != 55 or value != value.lower():
        raise ValueError(value)
    version, trace, span, flags = map(unhexlify, value.split(b"-"))
    if version != b"\0" or len(trace) != 16 or len(span) != 8 or not any(trace) or not any(span):
        raise ValueError(value)
    return trace.hex(), flags.hex()


def hand_on(headers, span, new_trace):
    try:
        (received,) = (value for name, value in headers if name == "traceparent")
        trace, flags = context(received)
    except ValueError:
        trace, flags = new_trace, "01"
    sent = [("traceparent", "-".join(["00", trace, span, flags]).encode("ascii"))]
    sent.extend(filter(lambda header: header[0] != "traceparent", headers))
    return sent
