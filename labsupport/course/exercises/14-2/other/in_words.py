WAITED, WINDOW = 6, 5


def wake(samples):
    now, lag, age = samples[-1]
    earlier = [waiting for minute, waiting, _ in samples if minute >= now - WINDOW]
    catching_up = lag < earlier[0]
    return age >= WAITED and not catching_up
