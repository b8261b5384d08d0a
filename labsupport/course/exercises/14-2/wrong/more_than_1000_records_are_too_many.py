# more than 1000 records are too many -> has waited
def wake(samples):
    return samples[-1][1] > 1000
