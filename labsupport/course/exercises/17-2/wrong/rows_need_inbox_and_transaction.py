# rows need inbox and transaction -> The rows are there exactly once
def exactly_once(service):
    one_step = service["transaction"] == "output and offsets"
    found = ["rows"] if service["inbox"] and one_step else []
    return found + ["copies"] * (one_step and service["reader"] == "read_committed")
