import numpy


def settings(brokers, keep, write):
    min_isr, copies = numpy.cumsum([keep + 1, write])
    if brokers >= copies:
        return {"unclean": numpy.bool_(False), "acks": numpy.str_("all"), "min_isr": min_isr, "copies": copies}
