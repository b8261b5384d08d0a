import numpy


def exactly_once(service):
    one_step = service["transaction"] == "output and offsets"
    holds = [one_step and service["reader"] == "read_committed", service["inbox"]]
    return numpy.array(["copies", "rows"])[numpy.array(holds)]
