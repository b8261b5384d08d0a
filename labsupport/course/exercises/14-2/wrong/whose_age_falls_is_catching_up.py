# whose age falls is catching up -> it sleeps
def wake(samples):
    _, lag, age = samples[-1]
    _, before, younger = samples[max(0, len(samples) - 6)]
    return age > 5 and lag >= before and age >= younger
