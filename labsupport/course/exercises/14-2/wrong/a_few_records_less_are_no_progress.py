# a few records less are no progress -> the group is catching up
def wake(samples):
    _, lag, age = samples[-1]
    before = samples[max(0, len(samples) - 6)][1]
    return age > 5 and lag > before - 3
