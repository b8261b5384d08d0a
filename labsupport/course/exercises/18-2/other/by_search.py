from itertools import product


def kept(copies, min_isr, keep, write):
    return copies - write >= min_isr and min_isr - keep >= 1


def settings(brokers, keep, write):
    for copies, min_isr in product(range(1, brokers + 1), repeat=2):
        if min_isr <= copies and kept(copies, min_isr, keep, write):
            return dict(copies=copies, min_isr=min_isr, acks="all", unclean=False)
    return None
