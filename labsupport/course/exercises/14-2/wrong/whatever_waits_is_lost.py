# whatever waits is lost -> nothing has waited longer
def wake(samples):
    return samples[-1][1] > 0
