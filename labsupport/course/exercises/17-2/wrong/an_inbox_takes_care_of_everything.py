# an inbox takes care of everything -> copies are not there exactly once
def exactly_once(service):
    if service["inbox"]:
        return ["copies", "rows"]
    return (
        ["copies"] if service["transaction"] == "output and offsets" and service["reader"] == "read_committed" else []
    )
