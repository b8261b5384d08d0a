# there are always six samples -> IndexError
def wake(samples):
    _, lag, age = samples[-1]
    return lag >= samples[-6][1] and age > 5
