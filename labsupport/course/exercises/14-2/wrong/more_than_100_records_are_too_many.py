# more than 100 records are too many -> nothing has waited longer
def wake(samples):
    return samples[-1][1] > 100
