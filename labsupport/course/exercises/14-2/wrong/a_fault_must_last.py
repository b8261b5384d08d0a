# a fault must last -> it sleeps
def bad(samples):
    _, lag, age = samples[-1]
    before = samples[max(0, len(samples) - 6)][1]
    return age > 5 and lag >= before


def wake(samples):
    return len(samples) > 3 and bad(samples) and bad(samples[:-1]) and bad(samples[:-2])
