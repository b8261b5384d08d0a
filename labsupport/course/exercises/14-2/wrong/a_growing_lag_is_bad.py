# a growing lag is bad -> nothing has waited longer
def wake(samples):
    return len(samples) > 1 and samples[-1][1] > samples[-2][1]
