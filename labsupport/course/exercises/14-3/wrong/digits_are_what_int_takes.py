# digits are what int takes -> damaged
def sound(value):
    try:
        version, trace, span, flags = value.decode().split("-")
        numbers = int(trace, 16), int(span, 16), int(flags, 16) + 1
    except (AttributeError, ValueError):
        return None
    lengths = [len(part) for part in (version, trace, span, flags)]
    return (trace, flags) if all(numbers) and lengths == [2, 32, 16, 2] and value == value.lower() else None


def hand_on(headers, span, new_trace):
    others = [header for header in headers if header[0] != "traceparent"]
    own = [value for name, value in headers if name == "traceparent"]
    trace, flags = (len(own) == 1 and sound(own[0])) or (new_trace, "01")
    return [*others, ("traceparent", f"00-{trace}-{span}-{flags}".encode())]
