# old is bad -> the group is catching up
def wake(samples):
    return samples[-1][2] > 5
