# a transaction is a transaction -> rows are not there exactly once
def exactly_once(service):
    if service["transaction"] == "output and offsets":
        return ["copies", "rows"] if service["reader"] == "read_committed" else ["rows"]
    return ["rows"] if service["inbox"] else []
