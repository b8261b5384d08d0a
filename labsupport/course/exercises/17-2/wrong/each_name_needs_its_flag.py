# each name needs its flag -> which is a dict
def exactly_once(service):
    one_step = service["transaction"] == "output and offsets"
    return {"copies": one_step and service["reader"] == "read_committed", "rows": service["inbox"]}
