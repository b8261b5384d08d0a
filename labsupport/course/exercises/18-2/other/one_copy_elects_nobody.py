def settings(brokers, keep, write):
    copies = 1 + keep + write
    if copies <= brokers:
        return {"unclean": copies == 1, "acks": "all", "min_isr": copies - write, "copies": copies}
