def hand_on(headers, span, new_trace):
    trace, flags, kept = new_trace, "01", []
    for name, value in headers:
        if name != "traceparent":
            kept.append((name, value))
    given = [value for name, value in headers if name == "traceparent"]
    parts = given[0].split(b"-") if len(given) == 1 and given[0] else []
    digits = set(b"0123456789abcdef")
    if [len(part) for part in parts] == [2, 32, 16, 2] and all(set(part) <= digits for part in parts):
        if parts[0] == b"00" and int(parts[1], 16) and int(parts[2], 16):
            trace, flags = parts[1].decode(), parts[3].decode()
    return (("traceparent", f"00-{trace}-{span}-{flags}".encode()), *kept)
