# an alert may take its time -> has waited
def wake(samples):
    _, lag, age = samples[-1]
    return age > 30 and lag >= samples[-6][1]
