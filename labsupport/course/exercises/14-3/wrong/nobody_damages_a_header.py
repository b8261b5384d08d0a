# nobody damages a header -> Error
def hand_on(headers, span, new_trace):
    others = [header for header in headers if header[0] != "traceparent"]
    trace, flags = new_trace, "01"
    for name, value in headers:
        if name == "traceparent":
            _, trace, _, flags = value.decode().split("-")
    return [*others, ("traceparent", f"00-{trace}-{span}-{flags}".encode())]
