# the database is called database -> the names are
def exactly_once(service):
    found = ["database"] if service["inbox"] else []
    one_step = service["transaction"] == "output and offsets"
    return found + ["copies"] * (one_step and service["reader"] == "read_committed")
