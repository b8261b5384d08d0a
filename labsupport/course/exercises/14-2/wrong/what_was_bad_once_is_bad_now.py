# what was bad once is bad now -> the group is catching up
def wake(samples):
    return any(age > 5 and lag >= samples[max(0, number - 5)][1] for number, (_, lag, age) in enumerate(samples))
