# who is dead has a growing lag -> does not grow
def wake(samples):
    _, lag, age = samples[-1]
    return age > 5 and lag > samples[max(0, len(samples) - 6)][1]
